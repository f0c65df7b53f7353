"""Buying on margin, and what happens when it is used up.

- Cross: one pool. A fill may not leave equity below (sum of |value|) / leverage, unless it makes the position smaller. When
  equity falls to `maintenance` times the sum of |value|, the position of the instrument that moved is closed whole at that very
  price; the others too, at their last prices, if that was not enough. All open orders are cancelled.
- Isolated: each position locks |quantity| x entry price / leverage. It is closed when that margin and its profit or loss have
  fallen to `maintenance` times its value; its instrument's orders are cancelled. What a gap takes beyond the margin is lost, too.
Liquidation pays the taker's fee, and `liquidation_fee_bps` of the notional. Where the bar opens beyond the price, it
fills at the open. Solved for the price p of one instrument (q held, C cash and what the others are worth, N their |value|s):
C + q p = m (|q| p + N), hence p = (m N - C) / (q - m |q|); isolated: M + q (p - a) = m |q| p, hence p = (q a - M) / (q - m |q|).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from quantlytic.engine.account.codes import CASH_ACCOUNT, CROSS, ISOLATED
from quantlytic.model.errors import InputError

_MODES = {"none": CASH_ACCOUNT, "cross": CROSS, "isolated": ISOLATED}


@dataclass(frozen=True)
class Margin:
    """`mode`: "none" (a cash account; shorts fully backed), "cross" or "isolated". `maintenance`: share of the value."""

    mode: str = "none"
    leverage: float = 1.0
    maintenance: float = 0.005
    liquidation_fee_bps: float = 0.0

    def __post_init__(self) -> None:
        if self.mode not in _MODES:
            raise InputError(f"margin mode is none, cross or isolated, not {self.mode!r}")
        for name, low, high in (
            ("leverage", 1.0, 1000.0),
            ("maintenance", 0.0, 1.0),
            ("liquidation_fee_bps", 0.0, 5000.0),
        ):
            value = getattr(self, name)
            if not (isinstance(value, int | float) and math.isfinite(value) and low <= value <= high):
                raise InputError(f"{name} of margin is a number from {low:g} to {high:g}, not {value!r}")
        if self.mode == "none" and self.leverage != 1.0:
            raise InputError("leverage needs margin: choose mode 'cross' or 'isolated'")
        if self.mode != "none" and not self.maintenance < 1.0 / self.leverage:
            raise InputError(
                f"maintenance is below 1/leverage ({1 / self.leverage:g}), or a position is liquidated as it opens"
            )

    @property
    def number(self) -> int:
        return _MODES[self.mode]

    def sentence(self) -> str:
        if self.mode == "none":
            return "Margin: none (a cash account; shorts are backed by their proceeds and as much again)."
        return (
            f"Margin: {self.mode}, leverage {self.leverage:g}, maintenance {self.maintenance:.4g} of the value, "
            f"liquidation fee {self.liquidation_fee_bps:g} bps."
        )


def liquidation_price(quantity: float, maintenance: float, debt: float) -> float:
    """The price at which what is left equals the maintenance margin; NaN where a long has none above 0 (it cannot be used up),
    0 where a short has none (it is used up at any).

    `debt`: cross, maintenance of the others less cash and their value; isolated, entry value less margin.
    """
    if quantity == 0.0:
        return math.nan
    price = debt / (quantity - maintenance * abs(quantity))
    if price > 0.0:
        return price
    return 0.0 if quantity < 0.0 else math.nan
