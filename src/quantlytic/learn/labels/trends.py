"""How far a trend that begins now will go: the length at which it is seen most clearly."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray


def strongest_trend(
    x: NDArray[np.float64], shortest: int, longest: int, end: NDArray[np.int64], t_value: NDArray[np.float64]
) -> None:
    """Write, for each row from which `longest` more follow, the end of the stretch x[row .. end] (`shortest` to `longest` bars
    ahead) whose regression on time has the largest |t| of the slope, and that t. Exact lines have t of +-1e6 at most.

    Source: Lopez de Prado, "Machine Learning for Asset Managers" (2020), section 5.4.
    """
    for i in range(len(x) - longest):
        best = 0.0
        total, squares, product = 0.0, 0.0, 0.0  # of y = x - x[i], against time 0, 1, ...
        for ahead in range(1, longest + 1):
            y = x[i + ahead] - x[i]
            total += y
            squares += y * y
            product += ahead * y
            if ahead < shortest:
                continue
            n = ahead + 1.0
            time_mean = ahead / 2.0
            time_spread = n * (n * n - 1.0) / 12.0
            cross = product - time_mean * total
            slope = cross / time_spread
            rest = squares - total * total / n - slope * cross
            scale = math.sqrt(max(rest, 0.0) / (n - 2.0) / time_spread)
            t = slope / scale if scale > abs(slope) * 1e-6 else math.copysign(1e6, slope) if slope != 0.0 else 0.0
            if abs(t) > abs(best):
                best = t
                end[i] = i + ahead
        t_value[i] = best
        if best == 0.0:
            end[i] = i + longest
