"""A split that the prices have made, and that nobody states.

From one close to the next open the price falls to a half, a third, a tenth (or rises to twice, ten times), stays there, and no
split is stated near it: stored as it is, it would be a crash, and every strategy would act on it. It may be one. So nothing is
repaired: the prices are in doubt until a split is stated, or a person says that they are right.

What tells it from a crash, as far as anything does: the step is that of a usual ratio to within the usual noise, it is made
between two sessions and not within one, and it is far outside of the usual moves (six sigmas).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlytic.daily.rules.finding import Doubt, Finding, noise, priced

RULE = "unstated-split"
_RATIOS = (2, 3, 4, 5, 6, 7, 8, 10)  # what is larger is in doubt by the rule of units
_LEAST_SLACK, _MOST_SLACK = 0.02, 0.06  # of a step, in logarithms
_SIGMAS = 6.0
_NEAR = 3  # rows; a split stated so near is meant by the step
_LONGEST_NS = 10 * 86_400_000_000_000  # what happened in a longer hole, nobody can tell
_AFTER = 5  # rows; so long the price has to stay (fewer where the rows end)


def doubt_unstated_splits(rows: NDArray[Any]) -> Finding:
    """A doubt for each step that looks like a split and is stated by none."""
    there = np.flatnonzero(priced(rows))
    if len(there) < 2:
        return Finding(rows)
    close = np.log(rows["close"][there])
    opened = np.log(np.where(rows["open"][there] > 0.0, rows["open"][there], rows["close"][there]))
    gaps, usual = opened[1:] - close[:-1], noise(rows)
    slack = min(max(_LEAST_SLACK, 1.5 * usual), _MOST_SLACK)
    sizes = np.log(np.array(_RATIOS, np.float64))
    nearest = np.argmin(np.abs(np.abs(gaps)[:, None] - sizes), axis=1)
    off = np.abs(np.abs(gaps) - sizes[nearest])
    doubts = []
    is_next = np.diff(rows["time"][there]) <= _LONGEST_NS
    for k in np.flatnonzero((off <= slack) & (np.abs(gaps) > _SIGMAS * usual) & is_next).tolist():
        at, ratio = int(there[k + 1]), _RATIOS[int(nearest[k])]
        stated = rows["split"][max(0, at - _NEAR) : at + _NEAR + 1]
        stays = np.median(close[k + 1 : k + 1 + _AFTER]) - close[k]
        if ((stated > 0.0) & (stated != 1.0)).any() or abs(stays - gaps[k]) > np.log(ratio) / 4.0:
            continue
        how = f"fall to 1/{ratio}" if gaps[k] < 0.0 else f"rise to {ratio} times"
        reason = f"prices {how} between two sessions, as by a split, and none is stated"
        doubts.append(Doubt(RULE, int(rows["time"][at]), "prices", reason))
    return Finding(rows, (), tuple(doubts))
