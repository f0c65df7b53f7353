"""What in a strategy's source cannot be compiled, or would not do what it says: found before the compiler, in plain words.

Only what is certain is told here, each with its line and what to write instead; the rest the compiler finds (`explain`).
"""

from __future__ import annotations

import ast
import builtins
import difflib
import inspect
import math
from collections.abc import Iterable, Iterator
from types import FunctionType, ModuleType
from typing import Any, NamedTuple

import numpy as np

from quantlytic.engine.account.broker import Broker
from quantlytic.engine.compiler.nostate import PLAIN, read_source
from quantlytic.engine.compiler.record import Layout, Record
from quantlytic.engine.data.slice import Slice
from quantlytic.engine.matching.orderbook import Book
from quantlytic.engine.strategy import HANDLERS, Strategy
from quantlytic.model.bar import BAR
from quantlytic.model.fill import FILL
from quantlytic.model.quote import QUOTE
from quantlytic.model.trade import TRADE

_NO_TEXT = f"no text in a handler: use numbers, and print after the run; {PLAIN}"
_STATEMENTS: dict[type[ast.AST], str] = {
    ast.Try: "no try/except in a handler: test before (if x > 0.0: ...); what raises ends the run and is told with its bar",
    ast.With: "no `with` in a handler: open files and locks before the run or after it",
    ast.Lambda: "no lambda in a handler: write a method of the class and call it as self.name(...)",
    ast.FunctionDef: "no function inside of a handler: write it as a method of the class or at the top of the file",
    ast.ClassDef: "no class inside of a handler: write it at the top of the file",
    ast.Yield: "no generators: a handler is called for each event; keep what it must remember on self",
    ast.YieldFrom: "no generators: a handler is called for each event; keep what it must remember on self",
    ast.Await: "a handler waits for nothing: no await",
    ast.AsyncFunctionDef: "handlers and what they call are plain functions: no async",
    ast.Global: "no global variables: keep it on self, with a first value in setup()",
    ast.Nonlocal: "no nonlocal variables: keep it on self, with a first value in setup()",
    ast.Import: "no import in a handler: import at the top of the file",
    ast.ImportFrom: "no import in a handler: import at the top of the file",
    ast.Delete: "nothing can be deleted in a handler: set a number that means `none`, such as math.nan",
    ast.JoinedStr: _NO_TEXT,
    ast.Dict: f"no dicts in a handler: use arrays made in setup(), np.zeros(n), and a number as the key; {PLAIN}",
    ast.Set: f"no sets in a handler: use an array of flags made in setup(), np.zeros(n, bool); {PLAIN}",
    ast.DictComp: f"no dicts in a handler: use arrays made in setup(), np.zeros(n), and a number as the key; {PLAIN}",
    ast.SetComp: f"no sets in a handler: use an array of flags made in setup(), np.zeros(n, bool); {PLAIN}",
    ast.GeneratorExp: "no generator expressions in a handler: write a for loop that adds up numbers",
}
_CALLS = {
    "open": "a handler sees no files: read before the run and keep an array in setup()",
    "input": "a handler asks nobody: declare a parameter with param()",
    "isinstance": "the kinds of values are known: no isinstance in a handler",
    "getattr": "no getattr in a handler: write self.name",
    "setattr": "no setattr in a handler: write self.name = value, with a first value in setup()",
    "hasattr": "no hasattr in a handler: what is on self is made in setup(), always",
    "super": "no super() in a handler: give the base's rule a name of its own and call it as self.name(...)",
    "eval": "no eval in a handler",
    "exec": "no exec in a handler",
    "dict": f"no dicts in a handler: use arrays made in setup(); {PLAIN}",
    "set": f"no sets in a handler: use an array of flags made in setup(); {PLAIN}",
    "str": _NO_TEXT,
    "format": _NO_TEXT,
    "repr": _NO_TEXT,
}
_MODULES = {
    "logging": f"no logging in a handler: orders, fills and signals are in the result; {PLAIN}",
    "datetime": "times are whole ns UTC: bar.close_time; the hour of a day is bar.close_time // 3_600_000_000_000 % 24",
    "time": "a handler sees no clock: bar.close_time (ns UTC) is the time",
    "random": "random numbers are drawn in setup(), with a seed: self.draws = np.random.default_rng(7).random(1000)",
    "numpy.random": "random numbers are drawn in setup(), with a seed: self.draws = np.random.default_rng(7).random(1000)",
    "pandas": f"pandas is not for handlers: indicators work bar by bar (quantlytic.indicators), and so do NumPy arrays; {PLAIN}",
}
_EVENTS: dict[str, tuple[str, Iterable[str]]] = {
    "on_bar": ("bar", BAR.names or ()),
    "on_trade": ("trade", TRADE.names or ()),
    "on_quote": ("quote", QUOTE.names or ()),
    "on_fill": ("fill", FILL.names or ()),
    "on_slice": ("slice", [*vars(Slice()), *(name for name in vars(Slice) if name[0] != "_")]),
    "on_book": ("book", [*vars(Book()), *(name for name in dir(Book) if name[0] != "_")]),
}


class Mistake(NamedTuple):
    """Where (`file:line`) and what, in one line each."""

    where: str
    what: str


def first_mistake(strategy: type[Strategy], layout: Layout) -> Mistake | None:
    """The first mistake in the handlers and in what they call, or None. Source that cannot be read has none."""
    seen: set[FunctionType] = set()
    for name in HANDLERS:
        if name in strategy.handlers():
            for found in _in_function(getattr(strategy, name), name, layout, seen, ()):
                return found
    return None


def _in_function(
    function: FunctionType, handler: str, layout: Layout | None, seen: set[FunctionType], path: tuple[FunctionType, ...]
) -> Iterator[Mistake]:
    if function in seen or function.__module__.startswith("quantlytic.engine."):
        return
    seen.add(function)
    read = read_source(function)
    if read is None:
        return
    tree, file = read
    visitor = _Visitor(function, tree, handler, layout)
    for node, what in visitor.found():
        yield Mistake(f"{file}:{getattr(node, 'lineno', tree.lineno)}", what)
    for node, called, owner in visitor.called:
        if called is function or called in path:
            yield Mistake(f"{file}:{node.lineno}", f"{called.__name__} calls itself: write a loop")
        yield from _in_function(called, "", owner, seen, (*path, function))


class _Visitor:
    """Goes through one function. `handler`: its name, "" for a helper; `layout`: of `self`, None for a plain function."""

    def __init__(self, function: FunctionType, tree: ast.FunctionDef, handler: str, layout: Layout | None) -> None:
        self._function, self._tree, self._handler, self._layout = function, tree, handler, layout
        arguments = [one.arg for one in tree.args.args]
        self._self = arguments[0] if layout is not None and arguments else ""
        self._event = arguments[1] if handler and len(arguments) == 3 else ""
        self._broker = arguments[2] if handler and len(arguments) == 3 else "broker" if "broker" in arguments else ""
        closed = inspect.getclosurevars(function).nonlocals
        self._known: dict[str, Any] = {**vars(builtins), **function.__globals__, **closed}
        self._local = {
            *arguments,
            *(node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)),
            *(node.name for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler) and node.name),
            *(node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)),
        }
        self.called: list[tuple[ast.Call, FunctionType, Layout | None]] = []

    def found(self) -> Iterator[tuple[ast.AST, str]]:
        for statement in self._tree.body:
            for node in ast.walk(statement):
                what = _STATEMENTS.get(type(node)) or self._of(node)
                if what:
                    yield node, what

    def _of(self, node: ast.AST) -> str | None:  # noqa: PLR0911 - one case a kind of node
        if isinstance(node, ast.Return):
            returns = node.value is not None and not (isinstance(node.value, ast.Constant) and node.value.value is None)
            return f"{self._handler} returns nothing: send orders through broker" if self._handler and returns else None
        if isinstance(node, ast.Expr):
            return self._unused(node.value)
        if isinstance(node, ast.Compare):
            return self._compare(node)
        if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            return next((what for one in targets if (what := self._assigned(one, node.value))), None)
        if isinstance(node, ast.Call):
            return self._call(node)
        if isinstance(node, ast.Attribute):
            return self._attribute(node)
        if isinstance(node, ast.Subscript):
            return self._index(node)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            return self._name(node.id)
        return None

    # ---- what stands where it does not belong ----

    def _unused(self, value: ast.expr) -> str | None:
        """`broker.close` without brackets does nothing."""
        method = isinstance(value, ast.Attribute) and self._is(value.value, self._broker)
        if method and inspect.isfunction(getattr(Broker, value.attr, None)):  # type: ignore[attr-defined]
            return f"broker.{value.attr} is not called: write broker.{value.attr}(...)"  # type: ignore[attr-defined]
        return None

    def _compare(self, node: ast.Compare) -> str | None:
        for side in (node.left, *node.comparators):
            if isinstance(side, ast.Constant) and isinstance(side.value, str):
                return f"no text in a handler: compare numbers, such as Side.BUY, not {side.value!r}"
            if isinstance(side, ast.Constant) and side.value is None:
                return "nothing on self is ever None: use math.nan with math.isnan(x), or a bool"
        return None

    def _assigned(self, target: ast.expr, value: ast.expr | None) -> str | None:  # noqa: PLR0911 - one case a line
        if isinstance(target, ast.Subscript) and isinstance(target.value, ast.Name):
            name = target.value.id
            if name not in self._local and name in self._known:
                return f"{name} is a global, and frozen in compiled code: make it in setup() as self.{name.lower()}"
        if not isinstance(target, ast.Attribute):
            return None
        if self._is(target.value, self._event):
            return f"{self._event}.{target.attr} is what happened: it cannot be changed"
        if self._is(target.value, self._broker):
            return (
                f"broker.{target.attr} changes by orders only: broker.target_quantity(...), broker.target_weight(...)"
            )
        if self._is(target.value, self._self) and isinstance(value, ast.Constant | ast.List | ast.Tuple):
            if isinstance(value, ast.Constant) and isinstance(value.value, bool | int | float):
                return None
            kind = repr(value.value) if isinstance(value, ast.Constant) else f"a {type(value).__name__.lower()}"
            kept = "state is numbers, bools and arrays made in setup(); math.nan for `none`"
            return f"self.{target.attr} cannot become {kind}: {kept}"
        return None

    def _call(self, node: ast.Call) -> str | None:
        function = node.func
        if isinstance(function, ast.Name):
            return self._call_by_name(node, function.id)
        if not isinstance(function, ast.Attribute):
            return None
        if self._is(function.value, self._broker):
            return self._arguments(node, Broker, function.attr, "broker")
        if self._is(function.value, self._self) and self._layout is not None:
            return self._call_of_self(node, function.attr)
        part = function.value
        if isinstance(part, ast.Attribute) and self._is(part.value, self._self) and self._layout is not None:
            nested = self._layout.nested.get(part.attr)
            return self._arguments(node, nested.cls, function.attr, f"self.{part.attr}") if nested is not None else None
        return None

    def _call_by_name(self, node: ast.Call, name: str) -> str | None:
        if name in self._local:
            return None
        value = self._known.get(name)
        if name in _CALLS and value is getattr(builtins, name, None):
            return _CALLS[name]
        if isinstance(value, type) and issubclass(value, Record):
            own = f"self.{name.lower()}"
            return f"{name}(...) is made in setup(): {own} = {name}(...), then {own}.update(...) here"
        if isinstance(value, FunctionType):
            self.called.append((node, value, None))
        return None

    def _call_of_self(self, node: ast.Call, name: str) -> str | None:
        assert self._layout is not None
        if name in ("setup", "every"):
            return f"self.{name}() belongs into setup(), which runs once, before all events"
        function = inspect.getattr_static(self._layout.cls, name, None)
        if isinstance(function, FunctionType):
            self.called.append((node, function, self._layout))
            return self._arguments(node, self._layout.cls, name, "self")
        return None

    def _arguments(self, node: ast.Call, cls: type, name: str, owner: str) -> str | None:
        """Whether a call fits a method."""
        member = inspect.getattr_static(cls, name, None)
        if isinstance(member, property):
            return f"{owner}.{name} is a value: write it without brackets"
        if not isinstance(member, FunctionType) or any(isinstance(one, ast.Starred) for one in node.args):
            return None
        for one in [*node.args, *(word.value for word in node.keywords)]:
            if isinstance(one, ast.Constant) and isinstance(one.value, str):
                return f"{owner}.{name} takes numbers, such as Side.BUY and TimeInForce.IOC, not {one.value!r}"
        signature = inspect.signature(member)
        try:
            signature.bind(None, *node.args, **{word.arg: word.value for word in node.keywords if word.arg})
        except TypeError as error:
            shown = ", ".join(
                one.name if one.default is one.empty else f"{one.name}={one.default}"
                for one in list(signature.parameters.values())[1:]
            )
            return f"{owner}.{name}({shown}): {error}"
        return None

    # ---- names ----

    def _attribute(self, node: ast.Attribute) -> str | None:  # noqa: PLR0911 - one case an owner
        name = node.attr
        if self._is(node.value, self._self) and self._layout is not None:
            fields = self._layout.dtype.names or ()
            if name in fields or hasattr(self._layout.cls, name):
                return None
            label = self._layout.cls.__name__
            close = _did_you_mean("self.", name, [*fields, *_public(self._layout.cls)])
            return f"{label}.{name}: give it a first value in setup(){close}"
        if self._is(node.value, self._broker) and not hasattr(Broker, name):
            return f"Broker.{name}: there is no such name" + _did_you_mean("broker.", name, _public(Broker))
        if self._is(node.value, self._event) and self._handler in _EVENTS:
            word, names = _EVENTS[self._handler]
            if name not in names:
                close = _did_you_mean(f"{word}.", name, names) or f"; it has {', '.join(names)}"
                return f"{word}.{name}: there is no such name{close}"
            return None
        part = node.value
        if isinstance(part, ast.Attribute) and self._is(part.value, self._self) and self._layout is not None:
            nested = self._layout.nested.get(part.attr)
            if nested is not None and name not in (nested.dtype.names or ()) and not hasattr(nested.cls, name):
                shown = [*(nested.dtype.names or ()), *_public(nested.cls)]
                close = _did_you_mean(f"self.{part.attr}.", name, shown)
                return f"{nested.cls.__name__}.{name}: there is no such name{close}"
        return self._of_module(node)

    def _of_module(self, node: ast.Attribute) -> str | None:
        """`np.absent`, `np.random.x`."""
        path, root = [node.attr], node.value
        while isinstance(root, ast.Attribute):
            path.insert(0, root.attr)
            root = root.value
        if not isinstance(root, ast.Name) or root.id in self._local:
            return None
        value = self._known.get(root.id)
        for k, name in enumerate(path):
            if not isinstance(value, ModuleType):
                return None
            if f"{value.__name__}.{name}" in _MODULES:
                return _MODULES[f"{value.__name__}.{name}"]
            if value in (np, math) and not hasattr(value, name):
                shown = ".".join([root.id, *path[:k]])
                return f"there is no {name!r} in that module: {shown}" + _did_you_mean(f"{shown}.", name, dir(value))
            value = getattr(value, name, None)
        return None

    def _name(self, name: str) -> str | None:  # noqa: PLR0911 - one case a kind of value
        if name in self._local:
            return None
        if name not in self._known:
            fields = [] if self._layout is None else [f"self.{field}" for field in self._layout.dtype.names or ()]
            if f"self.{name}" in fields:
                return f"{name!r} is not defined: write self.{name}"
            return f"{name!r} is not defined" + _did_you_mean("", name, [*self._local, *self._function.__globals__])
        value = self._known[name]
        if isinstance(value, ModuleType):
            return _MODULES.get(value.__name__.partition(".")[0])
        if isinstance(value, str | list | dict | set | bytes) or value is None:
            kind = "None" if value is None else f"a {type(value).__name__}"
            made = f"self.{name.lower()} = np.array(...)"
            return f"{name} is {kind}: use numbers set by param() or in setup(), arrays as {made}; {PLAIN}"
        if callable(value):
            return _MODULES.get((getattr(value, "__module__", "") or "").partition(".")[0])
        if isinstance(value, bool | int | float | complex | np.ndarray | np.generic | tuple):
            return None
        return f"{name!r} cannot be used in a handler: use numbers set by param() or in setup(); {PLAIN}"

    def _index(self, node: ast.Subscript) -> str | None:
        index = node.slice
        fraction = isinstance(index, ast.BinOp) and isinstance(index.op, ast.Div)
        if fraction or (isinstance(index, ast.Constant) and isinstance(index.value, float)):
            return "an index is a whole number: divide with //, or write int(x)"
        if isinstance(index, ast.Constant) and isinstance(index.value, str):
            return f"no text in a handler: write .{index.value} or a number, not [{index.value!r}]"
        return None

    @staticmethod
    def _is(node: ast.expr, name: str) -> bool:
        return bool(name) and isinstance(node, ast.Name) and node.id == name


def _public(cls: type) -> list[str]:
    return [name for name in dir(cls) if not name.startswith("_")]


def _did_you_mean(prefix: str, name: str, names: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(names), 1, 0.6)
    return f"; did you mean {prefix}{close[0]}?" if close else ""
