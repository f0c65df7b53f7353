"""A dividend a hundred times too large or too small: pounds among pence.

Where the stated dividend and the one that the adjusted closes imply are a hundredfold apart, one of them is right. Three things
tell: how far the price fell on the day; whether the payment would be of a usual size; and the other dividends of the same
instrument, for such errors come in series. Where the two agree, they are changed only for an instrument that is quoted in
hundredths: when the dividend is larger than a third of the price and the price did not fall by it, or when a series of tiny ones
goes with falls that fit a hundred times as much.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlytic.daily.rules.finding import Doubt, Finding, Repair
from quantlytic.daily.rules.payouts import Payout, is_plausible, payouts_of, settled
from quantlytic.daily.rules.unit import HUNDREDTHS

RULE = "dividend-unit"
_SLACK = 0.05  # of the hundredfold
_SURE = 3.0  # votes
_MOST_BY_FALL = 6.0
_HUGE, _TINY = 0.3, 0.0005  # shares of the price
_ABSENT = 0.002  # of the stated one: less than a hundredth
_SERIES = 10.0  # votes for a hundredfold of tiny dividends, together


def repair_units(rows: NDArray[Any], currency: str) -> Finding:
    """Dividends, and the adjusted closes by them, in the right unit."""
    payouts = [one for one in payouts_of(rows) if one.stated > 0.0]
    right, doubts = _conflicts([one for one in payouts if _is_conflict(one)])
    if currency in HUNDREDTHS:
        agreed = [one for one in payouts if one.same(one.stated, one.implied)]
        absent = [one for one in payouts if abs(one.implied) < _ABSENT * one.stated]
        right |= {one.at: one.stated / 100.0 for one in (*agreed, *absent) if _is_too_large(one)}
        tiny = [one for one in agreed if one.share <= _TINY]
        if sum(_vote(one, one.stated * 100.0, one.stated, 4.0) for one in tiny) >= _SERIES:
            right |= {one.at: one.stated * 100.0 for one in tiny}
    if not right:
        return Finding(rows, (), tuple(doubts))
    changed = {one.at: one for one in payouts if one.at in right}
    fixed = settled(rows, {at: cash for at, cash in right.items() if not changed[at].same(cash, changed[at].implied)})
    repairs = []
    for at, cash in sorted(right.items()):
        one = changed[at]
        fixed["dividend"][at] = cash
        is_stated = one.stated == cash
        fields = (
            ("adj_close",) if is_stated else ("dividend",) if one.same(cash, one.implied) else ("dividend", "adj_close")
        )
        before = one.implied if is_stated else one.stated
        what = "the adjusted closes took a hundredth of it" if is_stated else f"stated as {one.stated:g}"
        reason = f"a dividend of {cash:g} ({cash / one.price:.2%} of the price): {what}"
        repairs.append(Repair(RULE, one.time, one.time, 1, fields, before, cash, reason))
    return Finding(fixed, tuple(repairs), tuple(doubts))


def _is_conflict(one: Payout) -> bool:
    if not one.implied > 0.0:
        return False
    ratio = max(one.stated, one.implied) / min(one.stated, one.implied)
    return abs(ratio / 100.0 - 1.0) <= _SLACK


def _conflicts(found: list[Payout]) -> tuple[dict[int, float], list[Doubt]]:
    """(row -> the right dividend, those that cannot be told). A vote above 0 is for the stated one."""
    votes = {one.at: _vote(one, one.stated, one.implied, _MOST_BY_FALL) + _usual(one) for one in found}
    right: dict[int, float] = {}
    doubts = []
    for one in found:
        others = float(np.sign(sum(vote for at, vote in votes.items() if at != one.at)))
        vote = votes[one.at] + _SURE * others
        if abs(vote) < _SURE:
            reason = (
                f"stated as {one.stated:g}, in the adjusted closes {one.implied:g}, and nothing says which is right"
            )
            doubts.append(Doubt(RULE, one.time, "dividend", reason))
        else:
            right[one.at] = one.stated if vote > 0.0 else _hundredfold(one)
    return right, doubts


def _hundredfold(one: Payout) -> float:
    return one.stated / 100.0 if one.stated > one.implied else one.stated * 100.0


def _vote(one: Payout, cash: float, other: float, most: float) -> float:
    """For `cash` against `other` by how far the price fell: log-odds under normal noise, bounded."""
    fits: Callable[[float], float | None] = one.misfit
    own, others = fits(cash), fits(other)
    return 0.0 if own is None or others is None else float(np.clip(0.5 * (others**2 - own**2), -most, most))


def _usual(one: Payout) -> float:
    """Whether the stated one is of a usual size and the implied one is not, or the other way about."""
    if one.stated >= one.price:
        return -2.0 * _SURE
    return _SURE * (is_plausible(one.share) - is_plausible(one.implied / one.price))


def _is_too_large(one: Payout) -> bool:
    """Larger than a third of the price, which did not fall by it; a hundredth of it is usual."""
    if one.share <= _HUGE or not is_plausible(one.share / 100.0):
        return False
    misfit = one.misfit(one.stated)
    return one.share >= 1.0 or (misfit is not None and misfit > _MOST_BY_FALL)
