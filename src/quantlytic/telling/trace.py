"""A strategy that tells which of its own comparisons led it to an order.

The class is read once more from its source, each comparison made to note what it compared, and the copy is run in plain Python
on the same bytes: it decides the same, and says why. Nothing is asked of whoever wrote the strategy.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from types import FunctionType
from typing import Any

from quantlytic.engine.strategy import Strategy

ORDERING = frozenset(
    {
        "buy", "sell", "target_weight", "target_quantity", "target_value", "close", "limit", "stop", "stop_limit", "take_profit",
        "trailing_stop", "bracket",
    }
)  # fmt: skip
"""The broker's methods that make an order."""

_NOTES = "__notes__"


@dataclass(frozen=True)
class Comparison:
    """A comparison in the source. `scope` resolves the local names in it; `leaves` are its names and attributes, in text."""

    left: ast.expr
    op: ast.cmpop
    right: ast.expr
    leaves: tuple[str, ...]
    scope: Scope


@dataclass(frozen=True)
class Condition:
    """A comparison that an order depends on: it had to come out as `wanted`. `depth` counts outwards from the order;
    `is_else`: the order stands where the test around the comparison failed."""

    number: int
    wanted: bool
    depth: int
    is_else: bool


@dataclass(frozen=True)
class Seen:
    """What a comparison saw: both sides, the values of its leaves, and how it came out."""

    left: float
    right: float
    leaves: tuple[Any, ...]
    outcome: bool


class Scope:
    """A method's local names and what was last assigned to each, as source."""

    def __init__(self, function: ast.FunctionDef) -> None:
        self.arguments = tuple(argument.arg for argument in function.args.args)
        self.assigned: dict[str, list[ast.expr]] = {}
        for node in ast.walk(function):
            if isinstance(node, ast.Assign):
                for target in node.targets:
                    self._assign(target, node.value)

    def _assign(self, target: ast.expr, value: ast.expr) -> None:
        if isinstance(target, ast.Name):
            self.assigned.setdefault(target.id, []).append(value)
        elif isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
            for one, its in zip(target.elts, value.elts, strict=True):
                self._assign(one, its)
        elif isinstance(target, ast.Tuple) and isinstance(value, ast.IfExp):
            self._assign(target, value.body)
            self._assign(target, value.orelse)

    def of(self, name: str) -> list[ast.expr]:
        """What the name was assigned; [] for an argument or a global."""
        return self.assigned.get(name, [])


class Notes:
    """Where a traced strategy writes: comparisons by number as they came out, and the orders that were reached."""

    def __init__(self) -> None:
        self.comparisons: list[Comparison] = []
        self.orders: list[tuple[Condition, ...]] = []
        self.seen: dict[int, Seen] = {}
        self.reached: list[int] = []

    def clear(self) -> None:
        """Before the next event."""
        self.seen, self.reached = {}, []

    def compare(self, number: int, outcome: Any, left: Any, right: Any, *leaves: Any) -> Any:
        """Note a comparison, and give back how it came out."""
        self.seen[number] = Seen(left, right, leaves, bool(outcome))
        return outcome

    def reach(self, number: int) -> None:
        """Note that an order's line was reached."""
        self.reached.append(number)


def traced(strategy: type[Strategy]) -> tuple[type[Strategy], Notes]:
    """A class that decides as `strategy` does, bit for bit, and the notes that it takes on the way.

    A method whose source cannot be had, or that calls `super()`, is left as it is. The notes are one for all that use the class:
    not for several threads.
    """
    if strategy not in _traced:
        notes = Notes()
        methods: dict[str, Any] = {}
        for owner in strategy.__mro__:
            if owner is Strategy:
                break
            for name, value in vars(owner).items():
                if isinstance(value, FunctionType) and name not in methods and name not in ("setup", "prepared"):
                    methods[name] = _rewritten(value, notes) or value
        members = {
            "__doc__": strategy.__doc__,
            "__module__": strategy.__module__,
            "__qualname__": strategy.__qualname__,
        }
        _traced[strategy] = type(strategy.__name__, (strategy,), members | methods), notes
    return _traced[strategy]


_traced: dict[
    type[Strategy], tuple[type[Strategy], Notes]
] = {}  # a layout is kept for ever: one a class, not one a run


def _rewritten(function: FunctionType, notes: Notes) -> FunctionType | None:
    """The same function, noting; None where that cannot be done."""
    if function.__closure__ or "super" in function.__code__.co_names:
        return None
    try:
        source = textwrap.dedent(inspect.getsource(function))
        asked, changed = ast.parse(source), ast.parse(source)
    except (OSError, TypeError, SyntaxError):
        return None
    definition = changed.body[0]
    if (
        not isinstance(definition, ast.FunctionDef)
        or not isinstance(asked.body[0], ast.FunctionDef)
        or _is_private(asked)
    ):
        return None
    _undress(definition)
    _Rewriter(_Survey(notes, asked.body[0])).visit(definition)
    ast.fix_missing_locations(changed)
    scope = dict(function.__globals__) | {_NOTES: notes}
    try:
        exec(compile(changed, function.__code__.co_filename, "exec"), scope)  # its own source, as it was imported
    except SyntaxError:  # a comparison where nothing may be noted, such as what a comprehension runs over
        return None
    made = scope[definition.name]
    assert isinstance(made, FunctionType)
    made.__module__, made.__qualname__ = function.__module__, function.__qualname__
    made.__defaults__, made.__kwdefaults__ = function.__defaults__, function.__kwdefaults__
    return made


def _undress(definition: ast.FunctionDef) -> None:
    """Without what is evaluated where a function is defined: that has been done, in another scope."""
    definition.decorator_list, definition.returns = [], None
    arguments = definition.args
    for one in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]:
        if one is not None:
            one.annotation = None
    arguments.defaults, arguments.kw_defaults = [], [None] * len(arguments.kwonlyargs)


def _is_private(tree: ast.AST) -> bool:
    """Whether there are names such as `self.__x`, which mean something else outside of their class."""
    names = (node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute))
    return any(name.startswith("__") and not name.endswith("__") for name in names)


class _Survey:
    """What there is to note in a method: its comparisons and its orders, each with a number, by their place."""

    def __init__(self, notes: Notes, function: ast.FunctionDef) -> None:
        self.notes, self.scope = notes, Scope(function)
        self.comparisons: dict[Place, int] = {}
        self.orders: dict[Place, int] = {}
        for node in ast.walk(function):
            if isinstance(node, ast.Compare) and len(node.ops) == 1:
                self.comparisons[place_of(node)] = len(notes.comparisons)
                leaves = tuple(dict.fromkeys(ast.unparse(leaf) for leaf in self._read(node)))
                notes.comparisons.append(Comparison(node.left, node.ops[0], node.comparators[0], leaves, self.scope))
        self._block(function.body, ())

    def _read(self, node: ast.expr, hops: int = 0) -> Iterator[ast.expr]:
        """The leaves of an expression, and those of what its local names stand for. A name that is assigned once, and is read,
        has been assigned: so the names it was made of are there as well."""
        for leaf in _leaves(node):
            yield leaf
            values = self.scope.of(leaf.id) if isinstance(leaf, ast.Name) and hops < 2 else []
            if len(values) == 1:
                yield from self._read(values[0], hops + 1)

    def _block(self, statements: list[ast.stmt], guards: tuple[tuple[ast.expr, bool], ...]) -> None:
        """`guards`: the tests around, innermost first, and how each came out."""
        for statement in statements:
            if isinstance(statement, ast.If):
                self._calls(statement.test, guards)
                self._block(statement.body, ((statement.test, True), *guards))
                self._block(statement.orelse, ((statement.test, False), *guards))
            elif isinstance(statement, ast.For | ast.While | ast.With):
                self._block(statement.body, guards)
            else:
                self._calls(statement, guards)

    def _calls(self, within: ast.AST, guards: tuple[tuple[ast.expr, bool], ...]) -> None:
        for node in ast.walk(within):
            if isinstance(node, ast.Call) and _makes_order(node):
                self.orders[place_of(node)] = len(self.notes.orders)
                self.notes.orders.append(tuple(self._conditions(guards)))

    def _conditions(self, guards: tuple[tuple[ast.expr, bool], ...]) -> Iterator[Condition]:
        for depth, (test, wanted) in enumerate(guards):
            for number, its in self._within(test, wanted, 0):
                yield Condition(number, its, depth, not wanted)

    def _within(self, test: ast.expr, wanted: bool, hops: int) -> Iterator[tuple[int, bool]]:
        """The comparisons that a test is made of, through names that stand for them."""
        if isinstance(test, ast.BoolOp):
            for value in test.values:
                yield from self._within(value, wanted, hops)
        elif isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            yield from self._within(test.operand, not wanted, hops)
        elif isinstance(test, ast.IfExp):
            yield from self._within(test.body, wanted, hops)
            yield from self._within(test.orelse, wanted, hops)
        elif isinstance(test, ast.Name) and hops < 3:
            for value in self.scope.of(test.id):
                yield from self._within(value, wanted, hops + 1)
        elif isinstance(test, ast.Compare) and place_of(test) in self.comparisons:
            yield self.comparisons[place_of(test)], wanted


class _Rewriter(ast.NodeTransformer):
    """Puts the notes into a method's body."""

    def __init__(self, survey: _Survey) -> None:
        self._survey = survey

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        number = self._survey.comparisons.get(place_of(node))
        if number is None:
            return self.generic_visit(node)
        # (_left := a, _right := b, notes.compare(n, _left < _right, _left, _right, ...))[2]: each side is evaluated once
        names = f"_left_{number}", f"_right_{number}"
        left, right = (ast.Name(name, ast.Load()) for name in names)
        leaves = [ast.parse(text, mode="eval").body for text in self._survey.notes.comparisons[number].leaves]
        call = _call("compare", ast.Constant(number), ast.Compare(left, list(node.ops), [right]), left, right, *leaves)
        sides = [
            ast.NamedExpr(ast.Name(name, ast.Store()), self.visit(side))
            for name, side in zip(names, (node.left, node.comparators[0]), strict=True)
        ]
        return ast.Subscript(ast.Tuple([*sides, call], ast.Load()), ast.Constant(2), ast.Load())

    def visit_Call(self, node: ast.Call) -> ast.AST:
        number = self._survey.orders.get(place_of(node))
        changed = self.generic_visit(node)
        assert isinstance(changed, ast.expr)
        if number is None:
            return changed
        parts = ast.Tuple([_call("reach", ast.Constant(number)), changed], ast.Load())
        return ast.Subscript(parts, ast.Constant(1), ast.Load())


def _makes_order(node: ast.Call) -> bool:
    """An order by the broker, or a method of the strategy's own that is handed the broker to make one."""
    if not isinstance(node.func, ast.Attribute):
        return False
    if isinstance(node.func.value, ast.Name) and node.func.value.id == "self":
        return any(isinstance(argument, ast.Name) and argument.id == "broker" for argument in node.args)
    return node.func.attr in ORDERING


Place = tuple[int, int, int | None, int | None]


def place_of(node: ast.expr) -> Place:
    """Where an expression stands in its source."""
    return node.lineno, node.col_offset, node.end_lineno, node.end_col_offset


def _call(method: str, *arguments: ast.expr) -> ast.Call:
    return ast.Call(ast.Attribute(ast.Name(_NOTES, ast.Load()), method, ast.Load()), list(arguments), [])


def _leaves(node: ast.expr) -> Iterator[ast.expr]:
    """Names and attributes that have been read when the expression has been evaluated, and may be read again: calls, branches
    and comprehensions are not looked into."""
    if isinstance(node, ast.Name) or (isinstance(node, ast.Attribute) and _is_chain(node)):
        yield node
    elif isinstance(node, ast.Compare | ast.BinOp | ast.UnaryOp):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                yield from _leaves(child)


def _is_chain(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) or (isinstance(node, ast.Attribute) and _is_chain(node.value))
