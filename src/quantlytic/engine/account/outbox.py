"""What one bar brought forth, taken out of the arena."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlytic.engine.account.broker import BROKER
from quantlytic.engine.compiler.record import Bytes
from quantlytic.model.cashflow import CASH_FLOW
from quantlytic.model.fill import FILL
from quantlytic.model.order import ORDER, ORDER_AMEND, ORDER_CANCEL, ORDER_UPDATE
from quantlytic.model.signal import SIGNAL

# In the order of the account's counters, which lie side by side.
NAMES = ("fills", "updates", "new_orders", "signals", "cancels", "amends", "flows")
DTYPES = (FILL, ORDER_UPDATE, ORDER, SIGNAL, ORDER_CANCEL, ORDER_AMEND, CASH_FLOW)
FILLS, UPDATES, ORDERS, SIGNALS, CANCELS, AMENDS, FLOWS = range(7)


class Outbox:
    """Seven boxes of rows, and how many are in each (`counts`, i8[7], a view of the account's own counters)."""

    def __init__(self, arena: Bytes) -> None:
        account = arena[: BROKER.size].view(BROKER.dtype)[0]["account"]
        offset = BROKER.nested["account"].dtype.fields[NAMES[0]][1]  # type: ignore[index]
        self.counts: NDArray[np.int64] = arena[offset : offset + 8 * len(NAMES)].view(np.int64)
        self._arena = arena
        self._starts = [int(account[f"{name}_at"]) for name in NAMES]
        self._empty = [np.zeros(0, dtype) for dtype in DTYPES]

    def take(self, box: int) -> NDArray[Any]:
        """Empty a box; returns its rows (a copy, unless there are none)."""
        count = int(self.counts[box])
        if not count:
            return self._empty[box]
        self.counts[box] = 0
        start, dtype = self._starts[box], DTYPES[box]
        return self._arena[start : start + count * dtype.itemsize].copy().view(dtype)
