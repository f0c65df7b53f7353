"""What taking liquidity does to the price. Resting limits are filled at their own price; no limit order is filled worse.

The price moves against the order by, as a share of it:
- `FixedSlippage`: bps / 10,000, whatever the size.
- `SpreadSlippage`: `bps` / 2 / 10,000 of what bars and trades say; nothing on quotes and books, whose far side is the price.
- `VolumeShareSlippage`: impact * share^2, share = quantity / the bar's volume, at most `limit`. Source: zipline,
  `VolumeShareSlippage` (its default 0.1, and 0.025 as the limit; a cap on what fills is `Market.participation`).
- `SquareRootImpact`: coefficient * sigma * sqrt(quantity / volume), sigma the deviation of a bar's log return and volume a
  bar's usual volume, exponential averages over `span` bars before this one. The law does not depend on the length of the
  bar, as variance and volume grow alike. Sources: Toth et al. (2011), "Anomalous price impact and the critical nature of
  liquidity in financial markets", Phys. Rev. X 1; Almgren et al. (2005), "Direct estimation of equity market impact"
  (exponent 3/5 for the temporary part; the square root is the later consensus).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from quantlytic.engine.account.codes import FIXED, NO_SLIPPAGE, SPREAD, SQUARE_ROOT, VOLUME_SHARE
from quantlytic.model.errors import InputError


@dataclass(frozen=True)
class NoSlippage:
    """The price as it is."""

    @property
    def numbers(self) -> tuple[int, float, float]:
        return NO_SLIPPAGE, 0.0, 0.0

    def sentence(self) -> str:
        return "Slippage: none."


@dataclass(frozen=True)
class FixedSlippage:
    """`bps` basis points on every fill that takes liquidity."""

    bps: float

    def __post_init__(self) -> None:
        _check("bps", self.bps, 0.0, 5_000.0)

    @property
    def numbers(self) -> tuple[int, float, float]:
        return FIXED, self.bps / 1e4, 0.0

    def sentence(self) -> str:
        return f"Slippage: {self.bps:g} bps on every fill that takes liquidity."


@dataclass(frozen=True)
class SpreadSlippage:
    """Half of a spread of `bps`, where bars and trades do not tell it. Quotes and books do: there orders fill at the far side."""

    bps: float = 0.0

    def __post_init__(self) -> None:
        _check("bps", self.bps, 0.0, 5_000.0)

    @property
    def numbers(self) -> tuple[int, float, float]:
        return SPREAD, self.bps / 2e4, 0.0

    def sentence(self) -> str:
        return f"Slippage: half of a spread of {self.bps:g} bps; on quotes and books the far side, without more."


@dataclass(frozen=True)
class VolumeShareSlippage:
    """`impact` times the squared share of the bar's volume, the share counted up to `limit`."""

    impact: float = 0.1
    limit: float = 0.025

    def __post_init__(self) -> None:
        _check("impact", self.impact, 0.0, 100.0)
        _check("limit", self.limit, 0.0, 1.0)

    @property
    def numbers(self) -> tuple[int, float, float]:
        return VOLUME_SHARE, self.impact, self.limit

    def sentence(self) -> str:
        return f"Slippage: {self.impact:g} times the squared share of the bar's volume (at most {self.limit:g})."


@dataclass(frozen=True)
class SquareRootImpact:
    """`coefficient` deviations of the return at a quantity as large as the volume, with the square root of its share."""

    coefficient: float = 1.0
    span: int = 100

    def __post_init__(self) -> None:
        _check("coefficient", self.coefficient, 0.0, 100.0)
        _check("span", self.span, 2, 1_000_000)

    @property
    def numbers(self) -> tuple[int, float, float]:
        return SQUARE_ROOT, self.coefficient, 2.0 / (self.span + 1.0)

    def sentence(self) -> str:
        return (
            f"Slippage: square-root impact, {self.coefficient:g} x volatility x sqrt(quantity / volume), "
            f"both averaged over {self.span} bars before."
        )


Slippage = NoSlippage | FixedSlippage | SpreadSlippage | VolumeShareSlippage | SquareRootImpact


def impact(
    kind: int, first: float, second: float, quantity: float, volume: float,
    quoted: bool, variance: float, usual_volume: float,
) -> float:  # fmt: skip
    """How much a quantity moves the price, as a share of it (0 or more). `first`, `second`: the model's numbers."""
    if kind == FIXED:
        return first
    if kind == SPREAD:
        return 0.0 if quoted else first
    if kind == VOLUME_SHARE:
        if not volume > 0.0:
            return first * second * second
        share = min(quantity / volume, second)
        return first * share * share
    if kind == SQUARE_ROOT and usual_volume > 0.0:
        return first * math.sqrt(variance * quantity / usual_volume)
    return 0.0


def _check(name: str, value: float, low: float, high: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not low <= value <= high:
        raise InputError(f"{name} of slippage is a number from {low:g} to {high:g}, not {value!r}")
