"""Says what is wrong with a row that the loops would not take."""

from __future__ import annotations

import math
from typing import Any

from quantlytic.engine.run.desk import BARS, BOOKS, QUOTES

_POSITIVE = ("open", "high", "low", "close", "price", "bid", "ask")


def what_is_wrong(kind: int, row: Any) -> str:
    """The field and its value, in words that follow "row 12 ..."."""
    names = row.dtype.names
    for name in _POSITIVE:
        if name in names and not 0 < row[name] < math.inf:
            return f"has {name} {row[name]:g}: prices are finite and above 0"
    for name in ("quantity", "bid_quantity", "ask_quantity"):
        if name in names and not 0 <= row[name] < math.inf:
            return f"has {name} {row[name]:g}: quantities are finite and not negative"
    if kind == BARS:
        if row["high"] < row["low"]:
            return f"has high {row['high']:g} below low {row['low']:g}"
        return "has open or close outside of low and high"
    if kind == QUOTES:
        return f"has bid {row['bid']:g} above ask {row['ask']:g}"
    return f"has side {row['side']}: it is 1 (bid) or -1 (ask)" if kind == BOOKS else "has quantity 0"
