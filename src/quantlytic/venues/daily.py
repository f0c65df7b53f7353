"""The port for daily history: what any vendor of it gives, before anybody has judged it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

DAILY = np.dtype(
    [
        ("time", "i8"), ("open", "f8"), ("high", "f8"), ("low", "f8"), ("close", "f8"), ("adj_close", "f8"),
        ("volume", "f8"), ("dividend", "f8"), ("split", "f8"), ("capital_gain", "f8"),
    ]
)  # fmt: skip
"""A row of a vendor's history. `time`: midnight UTC of the exchange's date, ns. Prices are NaN where the vendor has none.

`adj_close` is the close adjusted for splits and payouts (NaN: the vendor gives none); `dividend` and `capital_gain` are cash a
unit on the ex-date, 0 for none; `split` is new units for one old, 0 for none.
"""


@dataclass(frozen=True)
class DailyHistory:
    """Rows of dtype DAILY in order of time, as the vendor has them.

    `basis`: "split-adjusted" (prices, volumes and dividends are in today's units) or "raw" (in those of their day).
    `later_split`: new units for one old by all splits after the last row, which a split-adjusted history has in it already.
    `currency` is the vendor's word for the prices' unit, such as "USD", or "GBp" for pence; "" where it has none.
    """

    instrument: str
    rows: NDArray[Any]
    basis: str
    currency: str = ""
    later_split: float = 1.0


class DailySource(Protocol):
    """Where daily history comes from. `name` is told in ledgers and reports."""

    name: str

    def history(self, instrument: str, start: date, end: date) -> DailyHistory:
        """The rows of the dates from `start` to `end`, both included; none where the vendor has none.

        Raises InputError for an instrument that it does not know, VenueError when it cannot be asked, DataError when its
        answer is none of that.
        """
