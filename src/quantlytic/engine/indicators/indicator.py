"""What indicators share."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlytic.engine.record import Record
from quantlytic.model.errors import InputError


class Indicator(Record):
    """Takes one value (or bar) at a time by `update`; holds `value` and says whether it is `ready`.

    A plain object outside of strategies; part of the flat state inside. `over` runs the same code over arrays.
    """

    value: float

    def check_period(self, period: int, low: int = 1) -> None:
        if isinstance(period, bool) or int(period) != period or period < low:
            raise InputError(f"{type(self).__name__}: the period is a whole number, {low} or more, not {period!r}")

    @classmethod
    def over(cls, *columns: NDArray[np.float64], **params: Any) -> NDArray[np.float64]:
        """The values after each row of the columns: `SMA.over(close, period=20)`, `ATR.over(high, low, close, period=14)`.

        Returns f8[rows], NaN until ready. The columns are what `update` takes, of one length.
        """
        from quantlytic.engine.vectorise import run_over

        return run_over(cls(**params), columns)
