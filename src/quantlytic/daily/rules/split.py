"""A split that was applied to too few rows, or to too many.

Vendors give prices in today's units, so no step is to be seen at a split. Where rows near one lie its ratio too high or too
low, against the newest rows, they were left in old units or adjusted twice: they are brought to the level of the others, and
their volumes with them. Newest rows are right by definition: nothing has split since.

A move of the same size may be real. So the ratio must be far outside of the usual noise (six sigmas), the jump within a third
of it (in logarithms), and the wrong rows end or begin within fifteen rows of the split.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlytic.daily.rules.finding import Doubt, Finding, Repair, noise, scaled
from quantlytic.daily.rules.levels import levels, runs

RULE = "split"
_NEAR = 15
_SIGMAS = 6.0
_SLACK = 1.0 / 3.0


def repair_splits(rows: NDArray[Any]) -> Finding:
    """Rows that miss a split's adjustment, or have it twice, adjusted."""
    found = Finding(rows)
    for at in np.flatnonzero((rows["split"] > 0.0) & (rows["split"] != 1.0)):
        one = _repair(found.rows, int(at))
        found = Finding(one.rows, found.repairs + one.repairs, found.doubts + one.doubts)
    return found


def _repair(rows: NDArray[Any], at: int) -> Finding:
    ratio, time = float(rows["split"][at]), int(rows["time"][at])
    level, unclear = levels(rows, ratio, _SLACK, with_payouts=True)
    near = np.zeros(len(rows), np.bool_)
    near[max(0, at - _NEAR) : at + _NEAR + 1] = True
    wrong = np.zeros(len(rows), np.bool_)
    for first, last in runs(level != 0):
        wrong[first : last + 1] = near[first] or near[last]
    if not wrong.any() and not (unclear & near).any():
        return Finding(rows)
    reason = ""
    if abs(np.log(ratio)) < _SIGMAS * noise(rows):
        reason = f"prices step near a split of {ratio:g}, which is no larger than their usual moves"
        return Finding(rows) if not wrong.any() else Finding(rows, (), (Doubt(RULE, time, "prices", reason),))
    if (unclear & near).any():
        reason = f"prices step near a split of {ratio:g}, but not by its ratio"
    elif np.unique(level[wrong]).size > 1:
        reason = f"rows on both sides of a split of {ratio:g} are off in both directions"
    if reason:
        return Finding(rows, (), (Doubt(RULE, time, "prices", reason),))
    off = int(level[wrong][0])
    factor = float(ratio**-off)
    fixed = scaled(rows, wrong, factor, 1.0 / factor)
    how = "was not applied" if off == 1 else "was applied twice"
    reason = f"prices times {factor:.6g}, volumes divided by it: the split of {ratio:g} {how} to these rows"
    repairs = [
        Repair(
            RULE, int(rows["time"][first]), int(rows["time"][last]), last - first + 1,
            ("close", "open", "high", "low", "adj_close", "volume"),
            float(rows["close"][first]), float(fixed["close"][first]), reason,
        )
        for first, last in runs(wrong)
    ]  # fmt: skip
    return Finding(fixed, tuple(repairs))
