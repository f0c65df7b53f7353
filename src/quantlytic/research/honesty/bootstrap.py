"""What else could have happened: resampled periods, blocks of them, and trades.

Sources: Politis and Romano, "The stationary bootstrap" (JASA 89, 1994); Politis and White, "Automatic block-length
selection for the dependent bootstrap" (Econometric Reviews 23, 2004) with the correction of Patton, Politis and White
(2009). Everything is drawn from `numpy.random.default_rng(seed)`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantlytic.model.errors import InputError
from quantlytic.research.honesty.overfitting import finite

Values = NDArray[np.float64]
Indices = NDArray[np.int64]

_CELLS_AT_ONCE = 4_000_000  # numbers held at once: paths are worked on in batches of this size


def stationary_indices(rng: np.random.Generator, periods: int, samples: int, block: float) -> Indices:
    """i8[samples, periods]: rows that follow one another, in blocks of geometric length with mean `block`, wrapping around."""
    _check(periods, samples, block)
    fresh = rng.random((samples, periods)) < 1.0 / block
    fresh[:, 0] = True
    starts = rng.integers(0, periods, (samples, periods))
    steps = np.arange(periods)
    begun = np.maximum.accumulate(np.where(fresh, steps, 0), axis=1)  # where each place's block began
    found: Indices = (np.take_along_axis(starts, begun, axis=1) + steps - begun) % periods
    return found


def block_indices(rng: np.random.Generator, periods: int, samples: int, block: int) -> Indices:
    """i8[samples, periods]: blocks of one length, wrapping around (circular block bootstrap, Politis and Romano 1992)."""
    _check(periods, samples, block)
    count = -(-periods // block)
    starts = rng.integers(0, periods, (samples, count, 1))
    found: Indices = ((starts + np.arange(block)) % periods).reshape(samples, -1)[:, :periods]
    return found


def _check(periods: int, samples: int, block: float) -> None:
    if periods < 1 or samples < 1 or not block >= 1.0:
        raise InputError(
            f"a bootstrap needs periods ({periods}), samples ({samples}) and a block ({block:g}) of 1 or more"
        )


def optimal_block(series: Values) -> tuple[float, float]:
    """(stationary, circular): the mean block length that keeps the dependence of the series; at least 1.

    Independent returns give about 1, trending ones more. A series that does not vary gives 1.
    """
    series = finite(series)
    periods = len(series)
    centred = series - series.mean() if periods else series
    variance = float(centred @ centred)
    if periods < 8 or variance <= 0.0:
        return 1.0, 1.0
    quiet = max(5, int(math.sqrt(math.log10(periods))))
    most = min(math.ceil(math.sqrt(periods)) + quiet, periods - 1)
    lags = np.arange(most + 1)
    covariances = np.array([centred[lag:] @ centred[: periods - lag] for lag in lags]) / periods
    scales = np.array(
        [(centred[lag:] @ centred[lag:]) * (centred[: periods - lag] @ centred[: periods - lag]) for lag in lags]
    )
    correlations = np.abs(covariances * periods) / np.sqrt(np.maximum(scales, 1e-300))
    small = correlations[1:] < 2.0 * math.sqrt(math.log10(periods) / periods)
    bandwidth = most
    for start in range(len(small) - quiet + 1):
        if small[start : start + quiet].all():
            bandwidth = max(2 * start, 1)
            break
    else:
        large = np.flatnonzero(~small)
        bandwidth = 2 * (int(large[-1]) + 1) if len(large) else 1
    lags = np.arange(1, min(bandwidth, most) + 1)
    ratio = lags / min(bandwidth, most)
    weights = np.where(ratio <= 0.5, 1.0, 2.0 * (1.0 - ratio))
    curved = 2.0 * float((weights * lags) @ covariances[lags])
    spectrum = float(covariances[0] + 2.0 * (weights @ covariances[lags]))
    longest = math.ceil(min(3.0 * math.sqrt(periods), periods / 3.0))
    if spectrum <= 0.0:
        return 1.0, 1.0
    lengths = ((curved**2 / (divisor * spectrum**2) * periods) ** (1.0 / 3.0) for divisor in (1.0, 2.0 / 3.0))
    stationary, circular = (min(max(length, 1.0), float(longest)) for length in lengths)
    return stationary, circular


@dataclass(frozen=True)
class Outcomes:
    """Of `samples` histories that could have been: final equity over cash (`growth`), deepest drawdown (negative share of
    the peak), and Sharpe ratio per period or trade; f8[samples] each."""

    growth: Values
    drawdown: Values
    sharpe: Values

    @property
    def loss(self) -> float:
        """Share of them that lost money."""
        return float((self.growth < 1.0).mean())

    def quantiles(
        self, of: str = "growth", at: tuple[float, ...] = (0.05, 0.25, 0.5, 0.75, 0.95)
    ) -> dict[float, float]:
        """Quantiles of `growth`, `drawdown` or `sharpe`."""
        if of not in ("growth", "drawdown", "sharpe"):
            raise InputError(f"quantiles are of growth, drawdown or sharpe, not {of!r}")
        return dict(zip(at, np.quantile(getattr(self, of), at).tolist(), strict=True))

    def drawdown_beyond(self, depth: float) -> float:
        """Share of them that fell at least `depth` (0.3: 30 %) below a peak."""
        return float((self.drawdown <= -abs(depth)).mean())


def bootstrap_paths(returns: Values, samples: int = 1_000, *, block: float | None = None, seed: int = 0) -> Outcomes:
    """Equity paths made of blocks of the run's returns per period (stationary bootstrap; automatic block length)."""
    returns = finite(returns)
    if len(returns) < 2:
        raise InputError(f"{len(returns)} returns are too few to resample")
    length = optimal_block(returns)[0] if block is None else block
    rng = np.random.default_rng(seed)
    batch = max(1, _CELLS_AT_ONCE // len(returns))
    parts = []
    for start in range(0, samples, batch):
        rows = stationary_indices(rng, len(returns), min(batch, samples - start), length)
        parts.append(_outcomes(returns[rows]))
    return _join(parts)


def bootstrap_trades(
    pnl: Values, cash: float, samples: int = 1_000, *, replace: bool = True, seed: int = 0
) -> Outcomes:
    """The round trips' profits in another order (`replace=False`), or drawn anew with replacement.

    `pnl`: profit of each in the account's currency, taken as a share of the equity before it, so that they compound.
    Another order keeps the final equity and changes the drawdowns; trades drawn anew change both.
    """
    pnl = finite(pnl)
    if not len(pnl):
        raise InputError("there are no round trips to resample")
    if not (math.isfinite(cash) and cash > 0):
        raise InputError(f"cash is a positive number, not {cash!r}")
    before = cash + np.concatenate(([0.0], np.cumsum(pnl)[:-1]))
    if not (before > 0).all():
        raise InputError("the round trips lost more than the cash: there is nothing to compound")
    shares = pnl / before
    rng = np.random.default_rng(seed)
    batch = max(1, _CELLS_AT_ONCE // len(shares))
    parts = []
    for start in range(0, samples, batch):
        shape = (min(batch, samples - start), len(shares))
        drawn = (
            shares[rng.integers(0, len(shares), shape)]
            if replace
            else rng.permuted(np.tile(shares, (shape[0], 1)), axis=1)
        )
        parts.append(_outcomes(drawn))
    return _join(parts)


def _outcomes(returns: Values) -> Outcomes:
    """Of f8[samples, periods]."""
    steps: Values = np.maximum(1.0 + returns, 0.0)
    growth = np.cumprod(steps, axis=1, dtype=np.float64)
    peak = np.maximum(np.maximum.accumulate(growth, axis=1), 1.0)
    deviation = returns.std(axis=1, ddof=1) if returns.shape[1] > 1 else np.zeros(len(returns))
    moving = deviation > 1e-15
    ratio = np.where(moving, returns.mean(axis=1) / np.where(moving, deviation, 1.0), 0.0)
    return Outcomes(growth[:, -1].copy(), (growth / peak - 1.0).min(axis=1), ratio)


def _join(parts: list[Outcomes]) -> Outcomes:
    return Outcomes(
        np.concatenate([part.growth for part in parts]),
        np.concatenate([part.drawdown for part in parts]),
        np.concatenate([part.sharpe for part in parts]),
    )
