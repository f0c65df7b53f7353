"""What a session's `run` brought forth, bar after bar."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlytic.engine.account.outbox import AMENDS, CANCELS, DTYPES, FILLS, FLOWS, ORDERS, SIGNALS, UPDATES
from quantlytic.engine.run.digest import digest_of
from quantlytic.engine.run.rows import Rows

Array = NDArray[Any]


class Results:
    """Growing arrays. What a property returns is a view: it stays as it is when more bars are run."""

    def __init__(self) -> None:
        self._equity = Rows(np.dtype("f8"))
        self._times = Rows(np.dtype("i8"))
        self._logs = [Rows(dtype) for dtype in DTYPES]

    @property
    def equity(self) -> NDArray[np.float64]:
        """Equity at the close of each bar run: f8[bars]."""
        return self._equity.array

    @property
    def fills(self) -> Array:
        """FILL rows."""
        return self._logs[FILLS].array

    @property
    def updates(self) -> Array:
        """ORDER_UPDATE rows."""
        return self._logs[UPDATES].array

    @property
    def orders(self) -> Array:
        """ORDER rows, rejected ones included."""
        return self._logs[ORDERS].array

    @property
    def signals(self) -> Array:
        """SIGNAL rows."""
        return self._logs[SIGNALS].array

    @property
    def cancels(self) -> Array:
        """ORDER_CANCEL rows."""
        return self._logs[CANCELS].array

    def forget(self) -> None:
        """Drop the rows so far, so that a long run goes on in bounded memory. Copy first what is still to be read."""
        for rows in (self._equity, self._times, *self._logs):
            rows.clear()

    @property
    def amends(self) -> Array:
        """ORDER_AMEND rows."""
        return self._logs[AMENDS].array

    @property
    def flows(self) -> Array:
        """CASH_FLOW rows: money that came or went without a fill."""
        return self._logs[FLOWS].array

    @property
    def digest(self) -> str:
        """SHA-256 over fills, cash flows and equity."""
        return digest_of(self.fills, self.equity, self.flows)
