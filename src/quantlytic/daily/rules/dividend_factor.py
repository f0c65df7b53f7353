"""Adjusted closes that do not step by the stated dividend: they were not adjusted for it, or are no numbers a price can be.

A dividend of a usual size without a step gets one. Adjusted closes that cannot be (negative, infinite, above the close by an
unheard-of factor) are made anew from the dividends. A dividend that is in both, is larger than a tenth of the price and left no
trace in it is doubted: of another share class, before a merger, or never paid. So is a step of any other size.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlytic.daily.rules.finding import Doubt, Finding, Repair, priced
from quantlytic.daily.rules.payouts import PLAUSIBLE, Payout, factors, payouts_of, settled

RULE = "dividend-factor"
_MISSING = 0.02  # of the stated one
_LARGE = 0.1  # share of the price
_SIGMAS = 5.0


def repair_factors(rows: NDArray[Any]) -> Finding:
    """Adjusted closes that step by the dividends."""
    payouts = [one for one in payouts_of(rows) if one.stated > 0.0]
    if not payouts or not np.isfinite(rows["adj_close"]).any():
        return Finding(rows)
    doubts = tuple(Doubt(RULE, one.time, "dividend", why) for one in payouts if (why := _doubt(one)))
    if _impossible(rows).any():
        return _anew(rows, payouts, doubts)
    missing = {
        one.at: one.stated for one in payouts
        if abs(one.implied) < _MISSING * one.stated and _is_believable(one)
    }  # fmt: skip
    if not missing:
        return Finding(rows, (), doubts)
    repairs = [
        Repair(
            RULE, one.time, one.time, 1, ("adj_close",), one.implied, one.stated,
            f"the adjusted closes were not adjusted for the dividend of {one.stated:g} ({one.share:.2%} of the price)",
        )
        for one in payouts if one.at in missing
    ]  # fmt: skip
    return Finding(settled(rows, missing), tuple(repairs), doubts)


def _impossible(rows: NDArray[Any]) -> NDArray[np.bool_]:
    """Where the adjusted close is no number, not above 0, or far above the close."""
    there = priced(rows)
    adjusted = rows["adj_close"]
    with np.errstate(invalid="ignore"):
        return np.asarray(there & ~((adjusted > 0.0) & (adjusted < 10.0 * rows["close"])))


def _anew(rows: NDArray[Any], payouts: list[Payout], doubts: tuple[Doubt, ...]) -> Finding:
    wild = [one for one in payouts if not one.share < PLAUSIBLE[1]]
    at = int(np.argmax(_impossible(rows)))
    time, last = int(rows["time"][at]), int(rows["time"][-1])
    if wild:
        reason = f"adjusted closes cannot be, nor the dividend of {wild[0].stated:g}: they cannot be made anew"
        return Finding(rows, (), (Doubt(RULE, wild[0].time, "dividend", reason),))
    fixed = rows.copy()
    fixed["adj_close"] = rows["close"] * factors(rows)
    reason = f"adjusted closes that cannot be were made anew from the {len(payouts)} dividends"
    repair = Repair(
        RULE, time, last, len(rows), ("adj_close",), float(rows["adj_close"][at]), float(fixed["adj_close"][at]), reason
    )
    return Finding(fixed, (repair,), tuple(one for one in doubts if one.about != "dividend"))


def _doubt(one: Payout) -> str:
    """Why the dividend is doubted; "" for not at all."""
    if abs(one.implied) < _MISSING * one.stated:
        return (
            ""
            if _is_believable(one)
            else f"the dividend of {one.stated:g} is neither in the prices nor in their adjustment"
        )
    if one.same(one.implied, one.stated) or one.same(one.implied, one.stated + one.gain):
        if one.share > _LARGE and _left_no_trace(one):
            return f"the price did not fall by the dividend of {one.stated:g}, {one.share:.0%} of it"
        return ""
    return f"the dividend is stated as {one.stated:g}, and in the adjusted closes as {one.implied:g}"


def _is_believable(one: Payout) -> bool:
    return one.share <= PLAUSIBLE[1] and not (one.share > _LARGE and _left_no_trace(one))


def _left_no_trace(one: Payout) -> bool:
    """The price fell by less than half of it, and by far less than the noise would explain."""
    if not one.falls:
        return False
    fall = max(one.falls)
    return fall < 0.5 * one.share and (one.share - fall) / one.noise > _SIGMAS
