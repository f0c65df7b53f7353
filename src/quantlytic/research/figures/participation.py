"""How large fills were beside what the market traded: a fill larger than its bar's volume is one that nobody could have had."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlytic.engine.data.bars import Bars
from quantlytic.research.figures.metrics import Figures

NOTABLE = 0.1
"""A share of the bar's volume from which on it is worth saying: that much moves prices, which no fill here does."""


def participation(bars: Bars, fills: NDArray[Any]) -> Figures:
    """Figures of each fill's quantity over the volume of the bar it filled in (`bar_offset`), 1 being all of it.

    `participation_median` and `participation_95` (its 95 % quantile) over fills; `beyond_volume`: the share, by value, of
    the fills that are larger than their bar's volume; `beyond_volume_median`: the median of those alone. Fills in bars
    whose volume is 0 or unknown are left out; all are None without others.
    """
    names = ("participation_median", "participation_95", "beyond_volume", "beyond_volume_median")
    known = fills[(fills["bar_offset"] >= 0) & (fills["bar_offset"] < len(bars))]
    volume = bars.array["volume"][known["bar_offset"]]
    there = volume > 0
    if not there.any():
        return dict.fromkeys(names)
    known, share = known[there], known["quantity"][there] / volume[there]
    value, beyond = np.abs(known["quantity"] * known["price"]), share > 1.0
    total = float(value.sum())
    return {
        "participation_median": float(np.median(share)),
        "participation_95": float(np.percentile(share, 95)),
        "beyond_volume": float(value[beyond].sum()) / total if total > 0 else None,
        "beyond_volume_median": float(np.median(share[beyond])) if beyond.any() else None,
    }
