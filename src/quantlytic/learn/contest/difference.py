"""Is one series of losses smaller than another, when each loss overlaps the next?

Sources: Diebold and Mariano, "Comparing predictive accuracy" (J. of Business and Economic Statistics 13, 1995); the long-run
variance by equal-weighted cosines and its t distribution: Lazarus, Lewis, Stock and Watson, "HAR inference: recommendations for
practice" (J. of Business and Economic Statistics 36, 2018), which keeps its size where Newey-West's does not.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from quantlytic.learn.samples.inputs import Values

_ROUNDING = 1e-30


class Difference(NamedTuple):
    """`mean` of the differences, its `t` value and the probability that luck alone makes it as large (`p_value`, one-sided);
    `freedom`: degrees of it."""

    mean: float
    t: float
    p_value: float
    freedom: int


def mean_above_zero(differences: Values, overlap: int = 1) -> Difference:
    """Whether the mean of f8[n], in order of time, is above 0. `overlap`: how many neighbours share what they are made of (the
    label's horizon, in steps of the series).

    The cosines used are fewer than n / overlap: those see the overlap as part of the noise. Fewer than 8 differences, or
    ones that do not vary, prove nothing: p is 1.
    """
    count = len(differences)
    mean = float(differences.mean()) if count else 0.0
    freedom = max(2, min(int(0.4 * count ** (2.0 / 3.0)), count // max(2 * overlap, 1)))
    if count < 8:
        return Difference(mean, 0.0, 1.0, freedom)
    at = (np.arange(count) + 0.5) * math.pi / count
    waves = np.cos(np.arange(1, freedom + 1)[:, None] * at)
    variance = float(np.mean((waves @ differences) ** 2)) * 2.0 / count
    if variance <= _ROUNDING or float(np.ptp(differences)) == 0.0:
        return Difference(mean, 0.0, 1.0, freedom)
    t = math.sqrt(count) * mean / math.sqrt(variance)
    return Difference(mean, t, student_above(t, freedom), freedom)


def student_above(t: float, freedom: int) -> float:
    """The probability that Student's t with so many (whole) degrees of freedom is above `t`.

    Source: Abramowitz and Stegun (1964), 26.7.3 and 26.7.4.
    """
    angle = math.atan(t / math.sqrt(freedom))
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = freedom % 2 == 1
    term = cosine if odd else 1.0
    total = 0.0
    for k in range(freedom // 2):
        total += term
        term *= cosine * cosine * ((2 * k + 2) / (2 * k + 3) if odd else (2 * k + 1) / (2 * k + 2))
    inside = 2.0 / math.pi * (angle + sine * total) if odd else sine * total
    return min(max(0.5 * (1.0 - inside), 0.0), 1.0)
