"""What a fill costs.

One fill costs: its notional times the taker's or maker's rate, plus `per_unit` for each unit, plus, once an order, `per_order`;
an order's fills together at least `minimum`. With `tiers`, the rates are those of the tier that the notional traded in the
last 30 UTC days (today included) has reached.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from quantlytic.model.errors import InputError

_MOST_TIERS = 16


@dataclass(frozen=True)
class Fees:
    """`taker_bps`, `maker_bps`: a share of the notional, in basis points. Taker: market orders, stops, and limits that the
    first price they meet already satisfies. Maker: limits that rested; the taker's where not given. Negative: a rebate.

    `per_order`, `minimum`: quote currency an order. `per_unit`: quote currency a unit (share) traded.
    `tiers`: ((traded, taker_bps, maker_bps), ...), `traded` rising, in place of the two rates from that notional on.
    """

    taker_bps: float = 0.0
    maker_bps: float | None = None
    per_order: float = 0.0
    per_unit: float = 0.0
    minimum: float = 0.0
    tiers: tuple[tuple[float, float, float], ...] = ()

    def __post_init__(self) -> None:
        for name in ("taker_bps", "maker_bps"):
            _check_bps(name, getattr(self, name))
        for name in ("per_order", "per_unit", "minimum"):
            value = getattr(self, name)
            if not (isinstance(value, int | float) and math.isfinite(value) and value >= 0):
                raise InputError(f"{name} is a number of quote currency, 0 or more, not {value!r}")
        object.__setattr__(self, "tiers", tuple(tuple(float(x) for x in tier) for tier in self.tiers))
        if len(self.tiers) > _MOST_TIERS:
            raise InputError(f"there are at most {_MOST_TIERS} tiers of fees, not {len(self.tiers)}")
        last = 0.0
        for tier in self.tiers:
            if len(tier) != 3 or not last < tier[0] < math.inf:
                raise InputError(
                    f"a tier of fees is (traded, taker_bps, maker_bps), traded rising from above 0, not {tier!r}"
                )
            last = tier[0]
            _check_bps("taker_bps", tier[1])
            _check_bps("maker_bps", tier[2])

    @property
    def taker_rate(self) -> float:
        return self.taker_bps / 1e4

    @property
    def maker_rate(self) -> float:
        """The taker's rate where no maker fee was given."""
        return (self.taker_bps if self.maker_bps is None else self.maker_bps) / 1e4

    def sentence(self) -> str:
        """In plain words, for reports."""
        parts = []
        if self.taker_bps or self.maker_bps:
            parts.append(f"{self.taker_bps:g} bps taker, {self.maker_rate * 1e4:g} bps maker")
        if self.per_order:
            parts.append(f"{self.per_order:g} an order")
        if self.per_unit:
            parts.append(f"{self.per_unit:g} a unit")
        if self.minimum:
            parts.append(f"at least {self.minimum:g} an order")
        if self.tiers:
            parts.append(f"lower from {self.tiers[0][0]:g} traded in 30 days on ({len(self.tiers)} tiers)")
        return f"Fees: {', '.join(parts)}." if parts else "Fees: none."


def _check_bps(name: str, value: float | None) -> None:
    if value is not None and not (isinstance(value, int | float) and math.isfinite(value) and -1000 <= value <= 1000):
        raise InputError(f"{name} is a number from -1000 to 1000 basis points, not {value!r}")
