"""One dividend that is there twice, a few days apart: by its right ex-date and a wrong one, or from two of the vendor's sources.

Two payments of one size (a hundredth of it counts as the same: the unit may be wrong, too) within seven days are one, unless
the instrument pays that often. The one after which the price fell less is taken away. That it is one too many is near certain,
which of them is less so, and makes a difference for the days between them alone. Where the price clearly fell by both, nothing is
changed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlytic.daily.rules.finding import Doubt, Finding, Repair
from quantlytic.daily.rules.payouts import Payout, payouts_of, settled

RULE = "dividend-double"
_NEAR_NS = 7 * 86_400_000_000_000
_RARE = 4  # times as long as that between the others
_ALIKE = 0.1
_SIGMAS, _MOST = 3.0, 0.6


def repair_doubles(rows: NDArray[Any]) -> Finding:
    """The phantoms among the dividends taken away, and their steps in the adjusted closes with them."""
    found = [one for one in payouts_of(rows) if one.stated > 0.0]
    times = np.array([one.time for one in found], np.int64)
    steps = np.diff(times)
    fixed, repairs, doubts = rows, list[Repair](), list[Doubt]()
    for place, step in enumerate(steps):
        others = np.delete(steps, place)
        usual = float(np.median(others)) if len(others) else np.inf
        first, second = found[place], found[place + 1]
        if step > _NEAR_NS or step * _RARE > usual or not _alike(first.stated, second.stated):
            continue
        phantom, kept = sorted((first, second), key=_fallen)
        if _is_real(phantom):
            reason = f"two dividends of about {kept.stated:g} within a week, and the price fell by both"
            doubts.append(Doubt(RULE, phantom.time, "dividend", reason))
            continue
        fixed = _without(fixed, phantom, kept)
        reason = f"the dividend of {kept.stated:g} a few days apart is the same one, and the price fell more then"
        repairs.append(
            Repair(RULE, phantom.time, phantom.time, 1, ("dividend", "adj_close"), phantom.stated, 0.0, reason)
        )
    return Finding(fixed, tuple(repairs), tuple(doubts))


def _alike(one: float, other: float) -> bool:
    ratio = max(one, other) / min(one, other)
    return ratio <= 1.0 + _ALIKE or abs(ratio / 100.0 - 1.0) <= _ALIKE


def _fallen(payout: Payout) -> float:
    """The mean fall against the smaller reading of the dividend."""
    cash = min(one for one in (payout.stated, payout.implied) if one > 0.0)
    return float(np.mean(payout.falls)) * payout.price / cash if payout.falls else 0.0


def _is_real(payout: Payout) -> bool:
    """The price fell by most of it, which stands out of the noise."""
    if not payout.falls or payout.share <= _SIGMAS * payout.noise:
        return False
    return float(np.median(payout.falls)) > _MOST * payout.share


def _without(rows: NDArray[Any], phantom: Payout, kept: Payout) -> NDArray[Any]:
    cash = {phantom.at: 0.0}
    if kept.same(kept.implied, phantom.stated + kept.stated):  # both were put into one step
        cash[kept.at] = kept.stated
    fixed = settled(rows, cash)
    fixed["dividend"][phantom.at] = 0.0
    return fixed
