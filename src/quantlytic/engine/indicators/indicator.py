"""What indicators share."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from quantlytic.engine.compiler.record import Record
from quantlytic.engine.param import Whole
from quantlytic.model.errors import InputError


class Indicator(Record):
    """Takes one value (or bar) at a time by `update`, which returns `value`; `ready` says whether that is a number.

    A plain object outside of strategies; part of the flat state inside. `over` runs the same code over arrays. An indicator
    with several results holds each as an attribute, named in `outputs`. NaN and infinite inputs follow one of two rules,
    named in `on_nan`:

    - "window": results that would need the missing input are NaN; as soon as it has left the window all is as before;
    - "skip": recursive ones leave everything as it was, as if that bar had not been.
    """

    value: float
    outputs: ClassVar[tuple[str, ...]] = ("value",)
    on_nan: ClassVar[str] = "window"

    @property
    def ready(self) -> bool:
        return not math.isnan(self.value)

    def check_period(self, period: int, low: int = 1, name: str = "period") -> None:
        if isinstance(period, bool) or int(period) != period or period < low:
            raise InputError(f"{type(self).__name__}: the {name} is a whole number, {low} or more, not {period!r}")

    def check_number(self, value: float, name: str, low: float = 0.0) -> None:
        if isinstance(value, bool) or not math.isfinite(value) or value < low:
            raise InputError(f"{type(self).__name__}: the {name} is a number, {low:g} or more, not {value!r}")

    @classmethod
    def over(cls, *columns: NDArray[np.float64], **params: Any) -> Any:
        """The values after each row of the columns: `SMA.over(close, period=20)`, `ATR.over(high, low, close, period=14)`.

        The columns are what `update` takes, of one length. Returns f8[rows], NaN until ready; for an indicator with several
        `outputs` a named tuple of such arrays: `upper, middle, lower = BollingerBands.over(close, period=20)`.
        """
        from quantlytic.engine.compiler.vectorise import run_over

        return run_over(cls(**params), columns)


def derived(period: int, rule: Callable[[int], int]) -> Whole:
    """A period made from another; `rule` never falls. Buffers still take what the highest of a parameter's range needs."""
    high = getattr(period, "high", None)
    return Whole(rule(int(period)), None if high is None else rule(high))
