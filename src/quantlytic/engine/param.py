"""Parameters of a strategy: declared with a default and a range, checked when it is made."""

from __future__ import annotations

import math
from typing import Any

from quantlytic.model.errors import InputError


class Whole(int):
    """A whole number that knows how large it may become: buffers sized by it take `high`, so one layout serves a sweep."""

    high: int | None

    def __new__(cls, value: int, high: int | None = None) -> Whole:
        self = super().__new__(cls, value)
        self.high = high
        return self


class Param:
    """What `param` declares. `kind` is int, float or bool, from the annotation or else from the default."""

    def __init__(self, default: int | float | bool, low: float | None, high: float | None) -> None:
        self.default = default
        self.low = low
        self.high = high
        self.kind: type = type(default)
        self.name = ""
        self.owner = ""

    def bind(self, owner: type, name: str, annotation: object) -> None:
        """Learn the name and, from its annotation, the kind (`weight: float = param(1)` is a float)."""
        kinds = {"int": int, "float": float, "bool": bool}
        self.kind = kinds.get(
            annotation if isinstance(annotation, str) else getattr(annotation, "__name__", ""), self.kind
        )
        self.name, self.owner = name, owner.__name__

    def check(self, value: object) -> int | float | bool:
        """The value in the parameter's kind. InputError when it is of another kind or out of range."""
        if self.kind is bool:
            if not isinstance(value, bool):
                raise InputError(f"{self.owner}: parameter {self.name!r} is true or false, not {value!r}")
            return value
        if isinstance(value, bool) or not isinstance(value, int | float) or not _fits(value):
            raise InputError(f"{self.owner}: parameter {self.name!r} is {self._range()}, not {value!r}")
        if self.kind is int and value != int(value):
            raise InputError(f"{self.owner}: parameter {self.name!r} is {self._range()}, not {value!r}")
        if (self.low is not None and value < self.low) or (self.high is not None and value > self.high):
            raise InputError(f"{self.owner}: parameter {self.name!r} is {self._range()}, not {value!r}")
        if self.kind is int:
            return Whole(int(value), None if self.high is None else int(self.high))
        return float(value)

    def _range(self) -> str:
        kind = "a whole number" if self.kind is int else "a number"
        if self.low is not None and self.high is not None:
            return f"{kind} from {self.low} to {self.high}"
        if self.low is not None:
            return f"{kind}, {self.low} or more"
        return kind if self.high is None else f"{kind}, {self.high} or less"


def param(default: int | float | bool, *, low: float | None = None, high: float | None = None) -> Any:
    """Declare a parameter in a strategy's class body: `fast: int = param(50, low=2, high=200)`.

    `low` and `high` are inclusive. Buffers sized by a whole parameter take its `high`.
    """
    return Param(default, low, high)


def _fits(value: int | float) -> bool:
    """Whether eight bytes hold it."""
    return -(2**63) <= value < 2**63 if isinstance(value, int) else math.isfinite(value)


def capacity_of(count: int) -> int:
    """How many slots a buffer for `count` values gets: a parameter's `high`, else the next power of two."""
    high = getattr(count, "high", None)
    return int(high) if high is not None else 1 << max(int(count) - 1, 0).bit_length()
