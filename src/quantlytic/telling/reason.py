"""Why a strategy acted, in words: the comparisons of its own source that led to the order, with what they compared.

"SMA 50 (64,230.11) crossed above SMA 200 (64,228.02) at 64,210.00." No strategy writes these: see `trace`.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable
from typing import Any

from quantlytic.telling.trace import Comparison, Condition, Notes, Seen
from quantlytic.telling.vocabulary import ACCOUNT, CONSTANT, Term, Vocabulary, calculate

Format = Callable[[float], str]
MOST = 3
"""How many comparisons are told at most."""

_OPPOSITE: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Gt: ast.LtE, ast.LtE: ast.Gt, ast.Lt: ast.GtE, ast.GtE: ast.Lt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
}  # fmt: skip
_MIRRORED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Gt: ast.Lt, ast.Lt: ast.Gt, ast.GtE: ast.LtE, ast.LtE: ast.GtE, ast.Eq: ast.Eq, ast.NotEq: ast.NotEq,
}  # fmt: skip
# op -> (it is so, it has just become so, it has just become so beside a number that stays)
_VERBS: dict[type[ast.cmpop], tuple[str, str, str]] = {
    ast.Gt: ("is above", "crossed above", "rose above"),
    ast.Lt: ("is below", "crossed below", "fell below"),
    ast.GtE: ("is at or above", "reached", "reached"),
    ast.LtE: ("is at or below", "came down to", "came down to"),
    ast.Eq: ("is", "became", "became"),
    ast.NotEq: ("is not", "left", "left"),
}


class Reasons:
    """Puts a strategy's notes of one decision into words. `before`: what its comparisons saw at the decision before."""

    def __init__(self, notes: Notes, vocabulary: Vocabulary, before: dict[int, Seen], number: Format) -> None:
        self._notes, self._vocabulary = notes, vocabulary
        self._before, self._number = before, number

    def sentence(self, price: str) -> str:
        """The reason of the orders that were just made at that price; "" where the source tells none."""
        told: dict[tuple[str, str], str] = {}
        for what, words in filter(None, map(self._phrase, self._chosen())):
            told.setdefault(what, words)
        phrases = list(told.values())[:MOST]
        if not phrases:
            return ""
        joined = ", and ".join(phrases) if len(phrases) < 3 else ", ".join(phrases[:-1]) + ", and " + phrases[-1]
        at = "" if "the close" in joined else f" at {price}"
        return (joined[0].upper() + joined[1:] + at + ".").replace(" -", " −").replace("(-", "(−")

    def _chosen(self) -> list[Condition]:
        """The comparisons that came out as the orders needed: those that have just changed first, then the nearest; what is
        merely counted (`step == 1`) last."""
        seen = self._notes.seen
        found = [condition for order in self._notes.reached for condition in self._notes.orders[order]]
        found = [one for one in dict.fromkeys(found) if one.number in seen and seen[one.number].outcome == one.wanted]
        inside = [one for one in found if not one.is_else]
        equal = [isinstance(self._notes.comparisons[one.number].op, ast.Eq | ast.NotEq) for one in inside or found]
        ranked = zip(equal, inside or found, strict=True)
        return [one for _, one in sorted(ranked, key=lambda pair: (pair[0], not self._is_new(pair[1]), pair[1].depth))]

    def _is_new(self, condition: Condition) -> bool:
        before = self._before.get(condition.number)
        return before is not None and before.outcome != condition.wanted

    def _phrase(self, condition: Condition) -> tuple[tuple[str, str], str] | None:
        """What is compared, and the comparison in words; None for one that says nothing about the market."""
        comparison, seen = self._notes.comparisons[condition.number], self._notes.seen[condition.number]
        op = type(comparison.op) if condition.wanted else _OPPOSITE.get(type(comparison.op))
        if op not in _VERBS:
            return None
        side = _plainer(comparison, seen, self._vocabulary)
        op = _MIRRORED[op] if side.is_mirrored else op
        left, right, left_value, right_value = side.left, side.right, side.left_value, side.right_value
        if left.kind == CONSTANT:
            left, right, left_value, right_value, op = right, left, right_value, left_value, _MIRRORED[op]
        if ACCOUNT in (left.kind, right.kind) or left.kind == CONSTANT or " time" in left.text:
            return None
        fixed, new = right.kind == CONSTANT, self._is_new(condition)
        if fixed and right_value == 0.0 and left.text.endswith(" trend"):
            way = "up" if left_value > 0.0 else "down"
            return (left.text, "way"), f"{left.text.removesuffix(' trend')} {'turned' if new else 'points'} {way}"
        verb = _VERBS[op][(2 if fixed else 1) if new else 0]
        shown = "" if op is ast.Eq else self._shown(left_value)
        other = (
            self._number(right_value) if fixed and _is_number(right_value) else right.text + self._shown(right_value)
        )
        return (left.text, right.text), f"{left.text}{shown} {verb} {other}"

    def _shown(self, value: Any) -> str:
        return f" ({self._number(float(value))})" if _is_number(value) else ""


class _Sides:
    """A comparison as it is told: two terms, their values, and whether its sense was turned around on the way."""

    def __init__(self, left: Term, right: Term, left_value: Any, right_value: Any, is_mirrored: bool = False) -> None:
        self.left, self.right = left, right
        self.left_value, self.right_value = left_value, right_value
        self.is_mirrored = is_mirrored


def _plainer(comparison: Comparison, seen: Seen, vocabulary: Vocabulary) -> _Sides:
    """`position * (close - middle) < 0` is close < middle for a long position; `plus - minus > 0` is plus > minus."""
    scope, leaves = comparison.scope, dict(zip(comparison.leaves, seen.leaves, strict=True))

    def term(node: ast.expr) -> Term:
        return vocabulary.term(node, scope, leaves)

    left, is_mirrored = comparison.left, False
    if isinstance(comparison.right, ast.Constant) and comparison.right.value == 0:
        kept = []
        for factor in _factors(left):
            if term(factor).kind not in (ACCOUNT, CONSTANT):
                kept.append(factor)
            elif (value := _value(factor, leaves)) is not None and value < 0.0:
                is_mirrored = not is_mirrored
        left = kept[0] if len(kept) == 1 else left
        if len(kept) != 1:
            is_mirrored = False
        sub = scope.of(left.id)[0] if isinstance(left, ast.Name) and len(scope.of(left.id)) == 1 else left
        if isinstance(sub, ast.BinOp) and isinstance(sub.op, ast.Sub):
            values = _value(sub.left, leaves), _value(sub.right, leaves)
            whole = _value(left, leaves)
            if None not in values and (whole is None or values[0] - values[1] == whole):  # type: ignore[operator]
                return _Sides(term(sub.left), term(sub.right), *values, is_mirrored)
    value = seen.left if left is comparison.left else _value(left, leaves)
    return _Sides(term(left), term(comparison.right), value, seen.right, is_mirrored)


def _factors(node: ast.expr) -> list[ast.expr]:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        return [*_factors(node.left), *_factors(node.right)]
    return [node]


def _value(node: ast.expr, leaves: dict[str, Any]) -> float | None:
    """What an expression of the noted names comes to; None where it cannot be told."""
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return float(node.value)
    found = leaves.get(ast.unparse(node)) if isinstance(node, ast.Name | ast.Attribute) else None
    if found is not None:
        return float(found) if _is_number(found) else None
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub | ast.Mult):
        left, right = _value(node.left, leaves), _value(node.right, leaves)
        return None if left is None or right is None else calculate(node.op, left, right)
    return None


def _is_number(value: Any) -> bool:
    try:
        return math.isfinite(float(value))
    except (TypeError, ValueError):
        return False
