"""The names of a strategy's source in words: `self.fast_ma` is "SMA 50", `bar.close` "the close"."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from dataclasses import dataclass
from typing import Any

from quantlytic.engine.compiler.record import Record
from quantlytic.engine.strategy import Strategy, class_constants
from quantlytic.telling.trace import Scope

CONSTANT, ACCOUNT, SERIES, STATE = "constant", "account", "series", "state"
_NAMES = {
    "SAR": "parabolic SAR {}", "Max": "the highest of {} bars", "Min": "the lowest of {} bars", "Sum": "the sum of {} bars",
    "StdDev": "standard deviation {}", "BollingerBands": "Bollinger band {}", "Var": "variance {}",
    "Lag": "the value {} bars ago", "ZScore": "z-score {}",
}  # fmt: skip
_ATTRIBUTES = {"plus_di": "+DI", "minus_di": "−DI", "percent_b": "%B"}
_SYMBOLS = {ast.Add: "+", ast.Sub: "−", ast.Mult: "×", ast.Div: "/"}


@dataclass(frozen=True)
class Term:
    """One side of a comparison, in words. `kind`: a "constant", something of the "account", a "series" of the market or made from
    it, or other "state". `value` is known for constants."""

    text: str
    kind: str
    value: float | None = None


class Vocabulary:
    """How one strategy, with its parameters, is spoken of."""

    def __init__(self, strategy: Strategy, instruments: int = 1) -> None:
        self._constants: dict[str, float] = {name: float(value) for name, value in strategy.params.items()}
        self._constants |= {name: float(value) for name, value in class_constants(type(strategy)).items()}
        prepared = strategy.prepared(instruments)
        sources = _setup_calls(type(strategy))
        self.indicators: dict[str, str] = {
            name: self._indicator(value, sources.get(name))
            for name, value in vars(prepared).items()
            if isinstance(value, Record) and hasattr(value, "update")
        }

    def term(self, node: ast.expr, scope: Scope, leaves: dict[str, Any], hops: int = 0) -> Term:
        """An expression in words; `leaves`: the values that its names had."""
        folded = self._fold(node, scope)
        if folded is not None:
            return Term(f"{folded:g}", CONSTANT, folded)
        found = Term(_words(ast.unparse(node)), STATE)
        if isinstance(node, ast.Attribute):
            found = self._attribute(ast.unparse(node))
        elif isinstance(node, ast.Name):
            found = self._name(node.id, scope, leaves, hops)
        elif isinstance(node, ast.BinOp) and type(node.op) in _SYMBOLS:
            found = self._binary(node, scope, leaves, hops)
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            inner = self.term(node.operand, scope, leaves, hops)
            found = Term(f"−{inner.text}", inner.kind)
        elif isinstance(node, ast.Call):
            found = self._call(node, scope, leaves, hops)
        return found

    # ---- inside

    def _attribute(self, text: str) -> Term:
        owner, _, rest = text.partition(".")
        if owner == "bar":
            return Term(f"the {_words(rest)}", SERIES)
        if owner == "broker":
            return Term(_words(rest), ACCOUNT)
        name, _, output = rest.partition(".")
        if owner == "self" and name in self.indicators:
            words = "" if output in ("", "value") else " " + _ATTRIBUTES.get(output, _words(output))
            return Term(self.indicators[name] + words, SERIES)
        return Term(_words(rest), STATE)

    def _name(self, name: str, scope: Scope, leaves: dict[str, Any], hops: int) -> Term:
        values = scope.of(name)
        if len(values) == 1 and hops < 3:
            value = values[0]
            if isinstance(value, ast.IfExp) and all(
                self._fold(branch, scope) is not None for branch in (value.body, value.orelse)
            ):
                return Term(_words(name), CONSTANT, float(leaves[name]) if name in leaves else None)
            found = self.term(value, scope, leaves, hops + 1)
            if found.kind != STATE:
                return found
        return Term(_words(name), STATE)

    def _binary(self, node: ast.BinOp, scope: Scope, leaves: dict[str, Any], hops: int) -> Term:
        left, right = (self.term(side, scope, leaves, hops) for side in (node.left, node.right))
        neutral = 1.0 if isinstance(node.op, ast.Mult | ast.Div) else 0.0
        if right.value == neutral:
            return left
        if left.value == neutral and isinstance(node.op, ast.Mult | ast.Add):
            return right
        kinds = {left.kind, right.kind} - {CONSTANT}
        kind = next(iter(kinds)) if len(kinds) == 1 else ACCOUNT if ACCOUNT in kinds else STATE
        sides = [f"({side.text})" if " + " in side.text or " − " in side.text else side.text for side in (left, right)]
        return Term(f"{sides[0]} {_SYMBOLS[type(node.op)]} {sides[1]}", kind)

    def _call(self, node: ast.Call, scope: Scope, leaves: dict[str, Any], hops: int) -> Term:
        text = ast.unparse(node.func)
        owner, _, method = text.rpartition(".")
        if method == "update" and owner.startswith("self."):
            return self._attribute(owner)
        if owner.startswith("broker"):
            return Term(_words(method), ACCOUNT)
        inner = [self.term(argument, scope, leaves, hops + 1) for argument in node.args]
        if text in ("abs", "int", "float", "min", "max") and inner:
            kind = next((one.kind for one in inner if one.kind != CONSTANT), STATE)
            listed = ", ".join(self._shortened([one.text for one in inner]))
            words = {"min": "the lower of ", "max": "the higher of ", "abs": "the size of "}.get(text, "")
            return Term(words + listed, kind)
        return Term(_words(text.removeprefix("self.")), STATE)

    def _fold(self, node: ast.expr, scope: Scope) -> float | None:
        """The number that an expression of constants and parameters is."""
        if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
            return float(node.value)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self":
            return self._constants.get(node.attr)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            inner = self._fold(node.operand, scope)
            return None if inner is None else -inner
        if isinstance(node, ast.BinOp) and type(node.op) in _SYMBOLS:
            left, right = self._fold(node.left, scope), self._fold(node.right, scope)
            if left is None or right is None or (isinstance(node.op, ast.Div) and right == 0.0):
                return None
            return calculate(node.op, left, right)
        return None

    def _indicator(self, instance: Record, call: ast.Call | None) -> str:
        kind = type(instance).__name__
        words = [part if part.isupper() else part.lower() for part in re.split(r"(?<=[a-z0-9])(?=[A-Z])", kind)]
        name = _NAMES.get(kind) or (words[0].capitalize() if words[0].islower() else words[0])
        name = name if kind in _NAMES else " ".join([name, *words[1:], "{}"])
        numbers = [self._fold(argument, _NO_SCOPE) for argument in call.args] if call is not None else []
        return name.format(", ".join(f"{number:g}" for number in numbers if number is not None)).strip()

    def _shortened(self, texts: list[str]) -> list[str]:
        """An indicator's name is said once: "Ichimoku 9, 26, 52 span a, span b"."""
        first = next((name for name in self.indicators.values() if texts[0].startswith(name + " ")), None)
        return texts if first is None else [texts[0], *(text.removeprefix(first + " ") for text in texts[1:])]


def calculate(op: ast.operator, left: float, right: float) -> float:
    """Of the four plain operations the one that is asked for."""
    if isinstance(op, ast.Add):
        return left + right
    if isinstance(op, ast.Sub):
        return left - right
    return left * right if isinstance(op, ast.Mult) else left / right


def _setup_calls(strategy: type[Strategy]) -> dict[str, ast.Call]:
    """Attribute -> the call in `setup` that made it."""
    found: dict[str, ast.Call] = {}
    for owner in reversed(strategy.__mro__):
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(vars(owner)["setup"])))
        except (KeyError, OSError, TypeError, SyntaxError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
                for target in node.targets:
                    if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name):
                        found[target.attr] = node.value
    return found


_NO_SCOPE = Scope(ast.parse("def nothing(): ...").body[0])  # type: ignore[arg-type]


def _words(name: str) -> str:
    return name.replace("self.", "").replace("_", " ").replace(".", " ")
