"""Which of three barriers a price meets first: profit, stop, or the end of the time allowed."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]


def first_touch(
    open: Numbers,
    high: Numbers,
    low: Numbers,
    close: Numbers,
    width: Numbers,
    side: Numbers,
    profit: float,
    stop: float,
    horizon: int,
    end: NDArray[np.int64],
    touch: NDArray[np.int8],
    result: Numbers,
) -> None:
    """Write, for each row from which `horizon` more follow, the row at which the position taken at its close ends, the barrier
    it met (+1 profit, -1 stop, 0 none) and its return.

    Barriers lie at close x (1 +- multiple x `width`); a multiple of 0 is no barrier. `side`: +1 long, -1 short, 0 none. A bar
    that opens beyond a barrier meets it there: a stop is left at the open, a profit too. Otherwise, where high and low meet
    both, the stop came first: the worse of what cannot be known.
    """
    rows = len(close)
    for i in range(rows - horizon):
        if side[i] == 0.0 or not width[i] > 0.0:
            continue
        entry, way = close[i], side[i]
        gain, loss = profit * width[i], -stop * width[i]
        found, left = 0, 0.0
        last = i + horizon
        for j in range(i + 1, i + horizon + 1):
            at_open = way * (open[j] / entry - 1.0)
            best, worst = _extremes(way, high[j] / entry - 1.0, low[j] / entry - 1.0)
            if stop > 0.0 and at_open <= loss:
                found, left = -1, at_open
            elif profit > 0.0 and at_open >= gain:
                found, left = 1, at_open
            elif stop > 0.0 and worst <= loss:
                found, left = -1, loss
            elif profit > 0.0 and best >= gain:
                found, left = 1, gain
            if found != 0:
                last = j
                break
        end[i] = last
        touch[i] = found
        result[i] = left if found != 0 else way * (close[last] / entry - 1.0)


def _extremes(way: float, up: float, down: float) -> Any:
    """The best and the worst return in a bar."""
    if way > 0.0:
        return up, down
    return -down, -up
