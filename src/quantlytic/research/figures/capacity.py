"""How much money a strategy can take: an estimate, from the volumes of the bars it traded in.

By the square-root law (Tóth et al. 2011, "Anomalous price impact and the critical nature of liquidity in financial
markets") a trade of quantity Q moves the price by about s * sqrt(Q / V), where V is the volume and s the volatility of the
same stretch of time; any stretch gives the same, so a bar's are taken, as the instrument's means over the run. With m times
the cash, trades are m times as large: profit grows as m, impact's cost as m^1.5. The capacity is the cash at which that
cost has eaten half of what the run earned.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlytic.engine.data.bars import Bars


def capacity(bars: Bars, fills: NDArray[Any], cash: float, profit: float) -> float | None:
    """The cash at which square-root impact eats half of `profit`; None without profit, fills, or volumes."""
    if not len(fills) or not profit > 0:
        return None
    impact = 0.0  # of the fills as they were, in currency
    for index in np.unique(fills["instrument"]):
        own = bars.array if len(bars.instruments) == 1 else bars.array[bars.array["instrument"] == index]
        mine = fills[fills["instrument"] == index]
        volume = float(own["volume"].mean()) if len(own) else 0.0
        if len(own) < 3 or not volume > 0:
            return None
        volatility = float(np.diff(np.log(own["close"])).std(ddof=1))
        impact += volatility * float(np.sum(mine["quantity"] * mine["price"] * np.sqrt(mine["quantity"] / volume)))
    return cash * (profit / (2.0 * impact)) ** 2 if impact > 0 else None
