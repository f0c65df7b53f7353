"""What a fill costs."""

from __future__ import annotations

import math
from dataclasses import dataclass

from quantlytic.model.errors import InputError


@dataclass(frozen=True)
class Fees:
    """A share of the notional, in basis points of quote currency. Taker: market orders, and limits that the first open
    already satisfies. Maker: limits that rested. A negative maker fee is a rebate."""

    taker_bps: float = 0.0
    maker_bps: float | None = None

    def __post_init__(self) -> None:
        for name in ("taker_bps", "maker_bps"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and -1000 <= value <= 1000):
                raise InputError(f"{name} is a number from -1000 to 1000 basis points, not {value!r}")

    @property
    def taker_rate(self) -> float:
        return self.taker_bps / 1e4

    @property
    def maker_rate(self) -> float:
        """The taker's rate where no maker fee was given."""
        return (self.taker_bps if self.maker_bps is None else self.maker_bps) / 1e4
