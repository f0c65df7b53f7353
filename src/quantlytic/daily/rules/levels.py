"""Prices that jump by one known factor and back: which rows are on which level."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlytic.daily.rules.finding import priced


def levels(
    rows: NDArray[Any], factor: float, slack: float, with_payouts: bool = False
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """(level of each row against the last one, rows that begin with a jump nobody can place).

    Level 1 is `factor` times as high as it should be, -1 as low. A step between two rows counts as a jump when its logarithm
    is within `slack` of that of the factor (as a share of it), as none when it is below half of it. Rows without a price
    have the level of the row before them. `with_payouts`: what was paid on a day belongs to its price.
    """
    there = np.flatnonzero(priced(rows))
    found = np.zeros(len(rows), np.int64)
    unclear = np.zeros(len(rows), np.bool_)
    if len(there) < 2:
        return found, unclear
    height = np.mean([np.log(np.maximum(rows[name][there], 1e-300)) for name in ("open", "close")], axis=0)
    jump = abs(np.log(factor))
    paid = np.maximum(rows["dividend"][there], 0.0) if with_payouts else np.zeros(len(there))
    steps = (np.diff(height) + np.log1p(paid / rows["close"][there])[1:]) * np.sign(np.log(factor))
    kind = np.where(np.abs(np.abs(steps) - jump) <= slack * jump, np.sign(steps), 0.0).astype(np.int64)
    odd = (np.abs(steps) > 0.5 * jump) & (kind == 0)
    own = np.concatenate((-np.cumsum(kind[::-1])[::-1], [0]))
    found[there] = own
    unclear[there[1:]] = odd
    last = there[np.searchsorted(there, np.arange(len(rows)), "right").clip(1) - 1]
    return found[last], unclear


def runs(chosen: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Stretches of chosen rows as (first, last)."""
    edges = np.diff(np.concatenate(([0], chosen.astype(np.int8), [0])))
    return list(zip(np.flatnonzero(edges == 1).tolist(), (np.flatnonzero(edges == -1) - 1).tolist(), strict=True))
