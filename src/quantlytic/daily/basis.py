"""Between the units of today and those of the day: splits multiply what came before them.

What is stored is raw, in the units of its day: that never changes. What vendors give is in today's units, and changes with the
next split.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlytic.venues.daily import DailyHistory

_PRICES = ("open", "high", "low", "close")
_CASH = ("dividend", "capital_gain")


def split_adjusted(history: DailyHistory) -> NDArray[Any]:
    """The rows in the units after the last row's split and all later ones."""
    if history.basis == "split-adjusted":
        return history.rows.copy()
    return _scaled(history.rows, 1.0 / _later(history.rows, history.later_split))


def raw(history: DailyHistory, adjusted: NDArray[Any]) -> NDArray[Any]:
    """Split-adjusted rows of that history in the units of their day. `adj_close` stays as it is: it is of no day."""
    return _scaled(adjusted, _later(adjusted, history.later_split))


def _later(rows: NDArray[Any], later_split: float) -> NDArray[np.float64]:
    """New units for one of the row's, by all splits after it."""
    ratio = np.where(rows["split"] > 0.0, rows["split"], 1.0)
    return np.asarray(np.append(np.cumprod(ratio[:0:-1])[::-1], 1.0)[: len(rows)] * later_split, np.float64)


def _scaled(rows: NDArray[Any], factor: NDArray[np.float64]) -> NDArray[Any]:
    found = rows.copy()
    if (factor == 1.0).all():
        return found
    for name in _PRICES:
        found[name] *= factor
    for name in _CASH:
        found[name] *= factor
    found["volume"] /= factor
    return found
