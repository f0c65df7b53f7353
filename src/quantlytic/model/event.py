"""The base of every event on the tape, and the NumPy dtype made from the same definition."""

from __future__ import annotations

import typing
from enum import IntEnum
from typing import Annotated, Any

import msgspec
import numpy as np

InstrumentId = Annotated[str, "i4"]
"""`venue:SYMBOL` on the wire; in arrays a small integer, the instrument's index in the run's instrument list."""


class Event(msgspec.Struct, frozen=True, array_like=True, gc=False, tag_field="event"):
    """One fact on the tape. Fields are only ever appended, each new one with a default (the wire format is positional)."""


def dtype_of(event: type[Event]) -> np.dtype[Any]:
    """The NumPy record that mirrors `event`: int -> i8, float -> f8, bool -> bool, IntEnum -> i1, InstrumentId -> i4.

    Free text and nested values have no fixed width and stay out of arrays.
    """
    hints = typing.get_type_hints(event, include_extras=True)
    fields = [(name, code) for name in event.__struct_fields__ if (code := _array_code(hints[name])) is not None]
    return np.dtype(fields, align=True)


def _array_code(hint: Any) -> str | None:
    if typing.get_origin(hint) is Annotated:
        return str(typing.get_args(hint)[1])
    if isinstance(hint, type) and issubclass(hint, IntEnum):
        return "i1"
    return {int: "i8", float: "f8", bool: "?"}.get(hint)
