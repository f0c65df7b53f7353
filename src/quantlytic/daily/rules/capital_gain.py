"""A fund's capital gain that the adjusted closes count twice: once as itself, once within the dividend that it is part of.

Where the adjusted closes imply dividend plus gain, it is asked of the prices whether the dividend alone, or the sum, is nearer
to the falls, over all payouts of the fund together.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from quantlytic.daily.rules.finding import Doubt, Finding, Repair
from quantlytic.daily.rules.payouts import Payout, payouts_of, settled

RULE = "capital-gain"
_SURE = 2.0


def repair_gains(rows: NDArray[Any]) -> Finding:
    """The adjusted closes step by the dividend alone, where the gain is part of it."""
    double = [
        one for one in payouts_of(rows)
        if 0.0 < one.gain <= one.stated and one.same(one.implied, one.stated + one.gain)
    ]  # fmt: skip
    if not double:
        return Finding(rows)
    votes = sum(_vote(one) for one in double)
    if abs(votes) < _SURE:
        reason = f"a capital gain of {double[0].gain:g} may be part of the dividend of {double[0].stated:g}, or not"
        return Finding(rows, (), (Doubt(RULE, double[0].time, "dividend", reason),))
    if votes < 0.0:
        return Finding(rows)
    fixed = settled(rows, {one.at: one.stated for one in double})
    repairs = [
        Repair(
            RULE, one.time, one.time, 1, ("adj_close",), one.implied, one.stated,
            f"the capital gain of {one.gain:g} is part of the dividend of {one.stated:g}, and was counted again",
        )
        for one in double
    ]  # fmt: skip
    return Finding(fixed, tuple(repairs))


def _vote(one: Payout) -> float:
    """For the dividend alone: how much nearer the close's fall is to it, in units of noise. Funds have one price a day."""
    if not one.falls:
        return 0.0
    fall = one.falls[-1]
    return (abs(fall - one.implied / one.price) - abs(fall - one.share)) / one.noise
