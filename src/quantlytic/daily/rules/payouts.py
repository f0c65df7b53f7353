"""Payouts as the rows tell of them, three times over: the stated dividend, the step of the adjusted close, and the price's fall.

On an ex-date the factor `adj_close / close` steps by 1 - D / P, with P the last close before. So the adjusted closes imply a
dividend of their own, which must be the stated one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlytic.daily.rules.finding import noise, priced

PLAUSIBLE = (0.001, 0.15)
"""What one payment usually is, as a share of the price."""

_NEARBY = 30  # rows each way for the noise
_ROUNDING = 4e-6  # of the price: adjusted closes come as float32


@dataclass(frozen=True)
class Payout:
    """A dividend or capital gain on the row `at`. `price`: the close before it, of the row `before`; `stated`, `gain` and
    `implied` (NaN: the adjusted closes cannot be) are cash a unit.

    `falls`: how far open, low and close fell from that close, as shares of it; empty where the price stood still.
    `noise`: the usual size of a day's return around it.
    """

    at: int
    time: int
    before: int
    price: float
    stated: float
    gain: float
    implied: float
    falls: tuple[float, ...]
    noise: float

    @property
    def share(self) -> float:
        """The stated dividend as a share of the price."""
        return self.stated / self.price

    def same(self, one: float, other: float) -> bool:
        """Equal, as far as the rounding of the adjusted closes lets one tell."""
        return abs(one - other) <= 0.01 * max(abs(one), abs(other)) + _ROUNDING * self.price

    def misfit(self, cash: float) -> float | None:
        """How many times the noise the best of the falls is away from that dividend; None: the price stood still."""
        if not self.falls:
            return None
        return min(abs(fall - cash / self.price) for fall in self.falls) / self.noise


def is_plausible(share: float) -> bool:
    return PLAUSIBLE[0] <= share <= PLAUSIBLE[1]


def payouts_of(rows: NDArray[Any]) -> list[Payout]:
    """All but those before the first close."""
    there = np.flatnonzero(priced(rows))
    found = []
    for at in np.flatnonzero((rows["dividend"] > 0.0) | (rows["capital_gain"] > 0.0)):
        place = int(np.searchsorted(there, at))
        if not 0 < place < len(there):
            continue
        before, on = int(there[place - 1]), int(there[place])
        found.append(_payout(rows, int(at), before, on))
    return found


def _payout(rows: NDArray[Any], at: int, before: int, on: int) -> Payout:
    price = float(rows["close"][before])
    with np.errstate(all="ignore"):
        old, new = (float(rows["adj_close"][row] / rows["close"][row]) for row in (before, on))
        step = old / new if new else np.nan
    implied = price * (1.0 - step) if np.isfinite(step) else np.nan
    today = rows[on]
    is_still = today["high"] == today["low"] and today["close"] == price
    falls = () if is_still else tuple(
        float(1.0 - today[name] / price) for name in ("open", "low", "close")
    )  # fmt: skip
    around = np.concatenate((rows[max(0, before - _NEARBY) : before + 1], rows[on + 1 : on + _NEARBY]))
    return Payout(
        at, int(rows["time"][at]), before, price, float(rows["dividend"][at]), float(rows["capital_gain"][at]),
        implied, falls, noise(around),
    )  # fmt: skip


def settled(rows: NDArray[Any], cash: dict[int, float]) -> NDArray[Any]:
    """A copy in which the adjusted closes step by these payouts (row of the payout -> cash a unit) and no longer by what they
    did; other steps stay."""
    fixed = rows.copy()
    for payout in payouts_of(rows):
        if payout.at in cash:
            old = 1.0 - payout.implied / payout.price
            new = 1.0 - cash[payout.at] / payout.price
            fixed["adj_close"][: payout.before + 1] *= new / old
    return fixed


def factors(rows: NDArray[Any]) -> NDArray[np.float64]:
    """`adj_close / close`, made anew from the stated dividends; the last row's stays."""
    there = np.flatnonzero(priced(rows))
    steps = np.ones(len(rows))
    for payout in payouts_of(rows):
        steps[payout.before] *= 1.0 - payout.stated / payout.price
    last = float(rows["adj_close"][there[-1]] / rows["close"][there[-1]])
    return np.asarray(np.cumprod(steps[::-1])[::-1] * last, np.float64)
