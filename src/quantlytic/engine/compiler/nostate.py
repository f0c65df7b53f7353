"""What cannot be state, because it has no fixed width: where it is made, and what to keep in its place."""

from __future__ import annotations

import ast
import inspect
import textwrap
from types import FunctionType

PLAIN = "or derive from PythonStrategy, which may do anything"
_INSTEAD: tuple[tuple[set[str], str], ...] = (
    ({"list", "deque", "tuple"}, "np.zeros(n) with a counter, or an indicator such as Lag(n)"),
    ({"dict", "defaultdict", "OrderedDict", "set", "Counter"}, "an array indexed by a small number"),
    ({"str", "bytes"}, "a number for each case, or an IntEnum"),
    ({"NoneType"}, "math.nan, tested by math.isnan(x), or a bool"),
    ({"datetime", "date", "timedelta", "Timestamp", "Timedelta", "time"}, "whole ns UTC, as bar.close_time has them"),
    ({"DataFrame", "Series"}, "indicators of quantlytic.indicators, or a column as a NumPy array: series.to_numpy()"),
    ({"ndarray"}, "an array of floats, ints or bools with one element or more"),
    ({"function", "method", "builtin_function_or_method"}, "a method of the class, called as self.name(...)"),
)
"""Kinds of values that have no fixed width, and what to keep in their place."""


def no_state(cls: type, name: str, value: object) -> str:
    """What to say when an attribute has no fixed width: where it is made, and what to make instead."""
    kind = type(value).__name__
    instead = next((words for kinds, words in _INSTEAD if kind in kinds), "keep it out of the strategy")
    return (
        f"{place_of(cls, name)}{cls.__name__}.{name} is a {kind}: state must be a number, a bool, an indicator or a non-empty "
        f"NumPy array of numbers made in setup(), such as np.zeros(64). Here: {instead}; {PLAIN}"
    )


def place_of(cls: type, name: str) -> str:
    """Where `self.name` gets its first value in `setup` (or `__init__`), as `file:line: `; "" where that is not known."""
    for owner in cls.__mro__:
        for method in ("setup", "__init__"):
            function = vars(owner).get(method)
            read = read_source(function) if isinstance(function, FunctionType) else None
            if read is None:
                continue
            for node in ast.walk(read[0]):
                if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and node.attr == name:
                    return f"{read[1]}:{node.lineno}: "
    return ""


def read_source(function: FunctionType) -> tuple[ast.FunctionDef, str] | None:
    """A function's syntax, with the lines of its file, and the file."""
    try:
        lines, first = inspect.getsourcelines(function)
        tree = ast.parse(textwrap.dedent("".join(lines)))
    except (OSError, SyntaxError, TypeError):
        return None
    ast.increment_lineno(tree, first - 1)
    node = tree.body[0] if tree.body else None
    return (node, str(inspect.getsourcefile(function))) if isinstance(node, ast.FunctionDef) else None
