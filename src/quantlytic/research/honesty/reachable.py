"""The data that a rule can reach besides the bars it is given: globals, closures, attributes of its class.

A rule that was handed the whole history at import time looks ahead however little the engine shows it.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from quantlytic.engine.compiler.record import Record
from quantlytic.engine.data.bars import Bars

_DEPTH = 4  # functions that call functions


@dataclass(frozen=True)
class Slot:
    """A place that holds one row a bar. `put` replaces what is there; `value` is what was there at first."""

    name: str
    value: Any
    put: Callable[[Any], None]


def reachable(subject: Any, rows: int) -> list[Slot]:
    """Arrays, lists, Bars and pandas objects with `rows` rows that the functions of `subject` (a class, an instance, a
    function) name or carry."""
    found: dict[tuple[int, str], Slot] = {}
    for slot in _walk(subject, rows, set(), _DEPTH):
        found.setdefault((id(slot.value), slot.name), slot)
    return list(found.values())


def _walk(subject: Any, rows: int, seen: set[int], depth: int) -> Iterator[Slot]:
    if id(subject) in seen or depth == 0:
        return
    seen.add(id(subject))
    if isinstance(subject, types.MethodType):
        yield from _walk(subject.__self__, rows, seen, depth)
        yield from _walk(subject.__func__, rows, seen, depth)
    elif isinstance(subject, types.FunctionType):
        yield from _function(subject, rows, seen, depth)
    elif isinstance(subject, type):
        for owner in subject.__mro__:
            if owner is object or owner is Record or owner.__module__.startswith("quantlytic.engine"):
                continue
            for name, value in list(vars(owner).items()):
                if _has_rows(value, rows):
                    yield Slot(f"{owner.__name__}.{name}", value, _attribute(owner, name))
                elif isinstance(value, types.FunctionType | staticmethod | classmethod):
                    yield from _walk(getattr(value, "__func__", value), rows, seen, depth - 1)
    elif not isinstance(subject, types.ModuleType) and hasattr(subject, "__dict__"):
        for name, value in list(vars(subject).items()):
            if _has_rows(value, rows):
                yield Slot(f"{type(subject).__name__}.{name}", value, _attribute(subject, name))
        yield from _walk(type(subject), rows, seen, depth)


def _function(function: types.FunctionType, rows: int, seen: set[int], depth: int) -> Iterator[Slot]:
    names = {name for code in _codes(function.__code__) for name in code.co_names}
    for name in sorted(names & function.__globals__.keys()):
        value = function.__globals__[name]
        if _has_rows(value, rows):
            yield Slot(name, value, _item(function.__globals__, name))
        elif _of_user(value, function):
            yield from _walk(value, rows, seen, depth - 1)
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            value = cell.cell_contents
        except ValueError:  # not bound yet
            continue
        if _has_rows(value, rows):
            yield Slot(name, value, _attribute(cell, "cell_contents"))
        elif _of_user(value, function) or isinstance(value, dict):
            yield from _walk(value, rows, seen, depth - 1)
    for at, value in enumerate(function.__defaults__ or ()):
        if _has_rows(value, rows):
            yield Slot(f"{function.__name__}'s default {at + 1}", value, _default(function, at))


def _of_user(value: Any, function: types.FunctionType) -> bool:
    """Functions and classes of the same file, and objects of such classes; never libraries."""
    home = value.__module__ if isinstance(value, types.FunctionType | type) else type(value).__module__
    return bool(home == function.__module__)


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


def _has_rows(value: Any, rows: int) -> bool:
    if isinstance(value, Bars):
        return len(value) == rows
    if isinstance(value, np.ndarray):
        return (
            value.ndim in (1, 2)
            and len(value) == rows
            and (value.dtype.names is not None or value.dtype.kind in "fiub")
        )
    if isinstance(value, list):
        return len(value) == rows and all(isinstance(one, int | float) for one in value)
    return type(value).__module__.partition(".")[0] == "pandas" and hasattr(value, "iloc") and len(value) == rows


def _attribute(owner: Any, name: str) -> Callable[[Any], None]:
    return lambda value: setattr(owner, name, value)


def _item(owner: dict[str, Any], name: str) -> Callable[[Any], None]:
    def put(value: Any) -> None:
        owner[name] = value

    return put


def _default(function: types.FunctionType, at: int) -> Callable[[Any], None]:
    def put(value: Any) -> None:
        values = list(function.__defaults__ or ())
        values[at] = value
        function.__defaults__ = tuple(values)

    return put
