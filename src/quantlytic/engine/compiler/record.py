"""Objects as flat records: the attributes of an instance become the fields of a NumPy record, its class keeps the methods.

The same methods then run three ways: on the plain instance, on a `View` of bytes (debug: breakpoints work), and compiled
against the record's type (`engine/compiler/jit.py`). State is plain, position-independent bytes: copy, save or fork it freely.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlytic.model.errors import StrategyError

Bytes = NDArray[np.uint8]


class Record:
    """Base of everything that lives in the state: strategies, indicators, the account and its rows."""


class Layout:
    """How instances of `cls` lie in memory. One object per distinct layout (interned): compare by identity."""

    _interned: dict[tuple[object, ...], Layout] = {}  # noqa: RUF012 - process-wide on purpose

    def __init__(self, cls: type[Record], dtype: np.dtype[Any], nested: Mapping[str, Layout]) -> None:
        self.cls = cls
        self.dtype = dtype
        self.nested = dict(nested)
        self.size = dtype.itemsize
        self.view: type[View] = _view_class(self)

    @classmethod
    def intern(cls, owner: type[Record], dtype: np.dtype[Any], nested: Mapping[str, Layout]) -> Layout:
        key = (owner, dtype, dtype.itemsize, *((name, id(layout)) for name, layout in nested.items()))
        found = cls._interned.get(key)
        # `setdefault` so that two threads get the same one.
        return cls._interned.setdefault(key, cls(owner, dtype, nested)) if found is None else found

    def __repr__(self) -> str:
        return f"Layout({self.cls.__qualname__}, {self.size} bytes)"


def layout_of(source: Record | np.dtype[Any]) -> Layout:
    """The layout of an instance's attributes, in the order they were set; or of a plain structured dtype.

    int -> i8, float -> f8, bool -> bool, NumPy array -> fixed sub-array, Record -> nested record. Anything else has no
    fixed width: StrategyError naming the attribute and what to write instead.
    """
    if isinstance(source, np.dtype):
        return Layout.intern(Record, source, {})
    fields: list[tuple[Any, ...]] = []
    nested: dict[str, Layout] = {}
    for name, value in vars(source).items():
        if name.startswith("_view_"):
            raise StrategyError(f"{type(source).__name__}.{name}: names with _view_ are taken, choose another")
        if isinstance(value, Record):
            nested[name] = layout_of(value)
            fields.append((name, nested[name].dtype))
        elif isinstance(value, np.ndarray) and value.dtype.kind in "fib" and value.size:
            # Numba has no arrays of bool in records: flags are kept as 0 and 1.
            fields.append((name, np.uint8 if value.dtype == bool else value.dtype, value.shape))
        elif (code := _code(value)) is not None:
            fields.append((name, code))
        else:
            from quantlytic.engine.compiler.nostate import no_state

            raise StrategyError(no_state(type(source), name, value))
    try:
        dtype = _dtype_of(tuple(fields) or (("unused", "i1"),))
    except (ValueError, MemoryError):
        raise StrategyError(
            f"{type(source).__name__} has more state than 2 GB: make its arrays and periods shorter"
        ) from None
    return Layout.intern(type(source), dtype, nested)


@functools.lru_cache(4096)
def _dtype_of(fields: tuple[tuple[Any, ...], ...]) -> np.dtype[Any]:
    return np.dtype(list(fields), align=True)


def pack(instance: Record, layout: Layout, target: Any) -> None:
    """Write the instance's attributes into `target`, a record (`np.void`) of the layout's dtype."""
    for name, value in vars(instance).items():
        if name in layout.nested:
            pack(value, layout.nested[name], target[name])
        else:
            target[name] = value


def fields_of(record: Any) -> dict[str, Any]:
    """A record (`np.void`) as a dict of Python numbers, arrays (copies) and dicts."""
    found: dict[str, Any] = {}
    for name in record.dtype.names:
        value = record[name]
        if isinstance(value, np.void):
            found[name] = fields_of(value)
        else:
            found[name] = value.copy() if isinstance(value, np.ndarray) else value.item()
    return found


def _code(value: object) -> str | None:
    if isinstance(value, bool | np.bool_):
        return "?"
    if isinstance(value, int | np.integer):
        return "i8"
    if isinstance(value, float | np.floating):
        return "f8"
    return None


class Address:
    """A place in a byte buffer; `+` moves it. Compiled code uses plain integers instead."""

    __slots__ = ("buffer", "offset")

    def __init__(self, buffer: Bytes, offset: int = 0) -> None:
        self.buffer = buffer
        self.offset = offset

    def __add__(self, distance: int) -> Address:
        return Address(self.buffer, self.offset + int(distance))


class View(Record):
    """A record in a byte buffer, uncompiled: attributes are its fields, methods are the class's own.

    What it needs itself lies under names that no field can take: `layout_of` refuses them.
    """

    __slots__ = ("_view_buffer", "_view_offset")
    _view_layout: Layout
    _view_names: frozenset[str]
    _view_buffer: Bytes
    _view_offset: int

    def __init__(self, buffer: Bytes, offset: int = 0) -> None:
        object.__setattr__(self, "_view_buffer", buffer)
        object.__setattr__(self, "_view_offset", offset)

    def __setattr__(self, name: str, value: object) -> None:
        if name not in self._view_names:
            raise AttributeError(f"self.{name} is not part of the state: give it a first value in setup()")
        object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        names = self._view_layout.dtype.names or ()
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)!r}' for name in names)})"


def _view_class(layout: Layout) -> type[View]:
    members: dict[str, Any] = {
        "__slots__": (),
        "_view_layout": layout,
        "_view_names": frozenset(layout.dtype.names or ()),
    }
    fields = layout.dtype.fields
    assert fields is not None
    for name, field in fields.items():
        dtype, offset = field[0], field[1]
        if name in layout.nested:
            members[name] = _nested(layout.nested[name], offset)
        elif dtype.subdtype is not None:
            members[name] = _array(dtype, offset)
        else:
            members[name] = _scalar(name, dtype, offset)
    bases = (View,) if layout.cls is Record else (View, layout.cls)
    return type(layout.cls.__name__, bases, members)


def _scalar(name: str, dtype: np.dtype[Any], offset: int) -> property:
    codec = struct.Struct(
        "=" + {"i8": "q", "i4": "i", "i2": "h", "i1": "b", "f8": "d", "f4": "f", "b1": "?"}[dtype.str[1:]]
    )
    make = dtype.type
    whole = dtype.kind == "i"

    def read(view: View) -> Any:
        return make(codec.unpack_from(view._view_buffer.data, view._view_offset + offset)[0])

    def write(view: View, value: Any) -> None:
        if whole and isinstance(value, float | np.floating):
            raise TypeError(f"self.{name} is a whole number and was given {value!r}: write {name} = 0.0 in setup()")
        codec.pack_into(view._view_buffer.data, view._view_offset + offset, value)

    return property(read, write)


def _array(dtype: np.dtype[Any], offset: int) -> property:
    base, shape = dtype.subdtype or (dtype, ())

    def read(view: View) -> NDArray[Any]:
        start = view._view_offset + offset
        return view._view_buffer[start : start + dtype.itemsize].view(base).reshape(shape)

    def write(view: View, value: Any) -> None:
        read(view)[...] = value

    return property(read, write)


def _nested(layout: Layout, offset: int) -> property:
    return property(lambda view: layout.view(view._view_buffer, view._view_offset + offset))


# ---- primitives: the few things a record's methods do that are not plain Python; jit.py teaches them to the compiler ----


def at(base: Any, distance: int, layout: Layout) -> Any:
    """The record of `layout` that lies `distance` bytes after `base` (a record, or an address)."""
    if isinstance(base, Address):
        return layout.view(base.buffer, base.offset + int(distance))
    return layout.view(base._view_buffer, base._view_offset + int(distance))


def address_of(record: Any) -> Any:
    """The address of a record's first byte."""
    return Address(record._view_buffer, record._view_offset)


def copy_out(source: Any, size: int, target: Bytes, start: int) -> None:
    """Copy `size` bytes from the address `source` into the byte array `target` at `start`."""
    target[start : start + size] = source.buffer[source.offset : source.offset + size]


def copy_in(source: Any, target: Any, size: int) -> None:
    """Copy `size` bytes from the address `source` to the address `target`."""
    target.buffer[target.offset : target.offset + size] = source.buffer[source.offset : source.offset + size]


def call(step: Callable[[int, Any, Any, Any], None], kind: int, state: Any, event: Any, broker: Any) -> None:
    """Call a strategy's step: `kind` is the handler, the rest are addresses."""
    step(kind, state, event, broker)


def call_run(
    run: Callable[..., int], arena: Any, bars: Any, first: int, count: int, equity: Any, journal: Any, step: Any
) -> int:
    """Call the loop `run`: compiled, by the address of its machine code, not as a part of the caller."""
    return run(arena, bars, first, count, equity, journal, step)
