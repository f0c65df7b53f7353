"""Is the best of many rules better than nothing, once all of them are counted?

Sources: White, "A reality check for data snooping" (Econometrica 68, 2000); Hansen, "A test for superior predictive
ability" (J. of Business and Economic Statistics 23, 2005). Both resample all rules at once by the stationary bootstrap, so
that how they depend on one another, and on their own past, is kept.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantlytic.model.errors import InputError
from quantlytic.research.honesty.bootstrap import optimal_block, stationary_indices
from quantlytic.research.honesty.overfitting import matrix

Values = NDArray[np.float64]
_CELLS_AT_ONCE = 2_000_000
_ROUNDING = 1e-15


@dataclass(frozen=True)
class RealityCheck:
    """`p_value`: how often luck alone makes a best rule as good as the one seen. `best`: that rule's column.

    For SPA `lower` and `upper` are p-values of its liberal and conservative variants (Hansen's l and u; `p_value` is c).
    `block`: the mean block length of the bootstrap, in periods.
    """

    p_value: float
    best: int
    block: float
    lower: float
    upper: float


def reality_check(
    returns: Values, benchmark: Values | None = None, *, samples: int = 1_000, block: float | None = None, seed: int = 0
) -> RealityCheck:
    """White's reality check of f8[periods, rules] against a benchmark's returns (nothing: 0): not studentised."""
    excess, moving = _excess(returns, benchmark)
    length = _block(excess, moving) if block is None else block
    if not moving.any():
        return RealityCheck(1.0, 0, length, 1.0, 1.0)
    means, root = excess.mean(axis=0), math.sqrt(len(excess))
    statistic = root * float(means.max())
    highest = np.concatenate([root * (one - means).max(axis=1) for one in _means(excess, samples, length, seed)])
    p_value = float((highest >= statistic).mean())
    return RealityCheck(p_value, int(means.argmax()), length, p_value, p_value)


def superior_predictive_ability(
    returns: Values, benchmark: Values | None = None, *, samples: int = 1_000, block: float | None = None, seed: int = 0
) -> RealityCheck:
    """Hansen's SPA test of f8[periods, rules] against a benchmark's returns (nothing: 0).

    Studentised, and rules that are clearly worse than the benchmark do not hide the good ones. Rules that never differ from
    the benchmark are left out; with none left the p-value is 1. Variances are by the stationary bootstrap's own kernel.
    """
    excess, moving = _excess(returns, benchmark)
    length = _block(excess, moving) if block is None else block
    if not moving.any():
        return RealityCheck(1.0, 0, length, 1.0, 1.0)
    kept = excess[:, moving]
    periods, root = len(kept), math.sqrt(len(kept))
    means = kept.mean(axis=0)
    deviations = np.sqrt(np.maximum(_kernel_variance(kept - means, 1.0 / length), _ROUNDING**2))
    scores = root * means / deviations
    statistic = max(float(scores.max()), 0.0)
    bar = -math.sqrt(2.0 * math.log(math.log(periods))) if periods > 15 else 0.0
    recentred = (np.maximum(means, 0.0), np.where(scores >= bar, means, 0.0), means)
    counts = np.zeros(3)
    for one in _means(kept, samples, length, seed):
        for which, centre in enumerate(recentred):
            highest = np.maximum((root * (one - centre) / deviations).max(axis=1), 0.0)
            counts[which] += float((highest >= statistic).sum())
    lower, consistent, upper = (counts / samples).tolist() if statistic > 0.0 else (1.0, 1.0, 1.0)
    return RealityCheck(consistent, int(np.flatnonzero(moving)[scores.argmax()]), length, lower, upper)


def _excess(returns: Values, benchmark: Values | None) -> tuple[Values, NDArray[np.bool_]]:
    table = matrix(returns)
    if len(table) < 8:
        raise InputError(f"{len(table)} periods are too few for a reality check: at least 8")
    if benchmark is not None:
        against = np.asarray(benchmark, np.float64)
        if against.shape != (len(table),):
            raise InputError(f"the benchmark has the shape {against.shape}, the rules have {len(table)} periods")
        table = table - against[:, None]
    return table, table.std(axis=0) > _ROUNDING


def _block(excess: Values, moving: NDArray[np.bool_]) -> float:
    """One block length for all rules: the median of what each would choose alone (of at most 64, evenly picked)."""
    columns = np.flatnonzero(moving)
    picked = columns[np.linspace(0, len(columns) - 1, min(64, len(columns))).astype(int)] if len(columns) else columns
    return float(np.median([optimal_block(excess[:, column])[0] for column in picked])) if len(picked) else 1.0


def _means(excess: Values, samples: int, block: float, seed: int) -> list[Values]:
    """The rules' mean returns in each resampled history, f8[some samples, rules] at a time."""
    rng = np.random.default_rng(seed)
    periods = len(excess)
    batch = max(1, _CELLS_AT_ONCE // periods)
    found = []
    for start in range(0, samples, batch):
        rows = stationary_indices(rng, periods, min(batch, samples - start), block)
        places = rows + np.arange(len(rows))[:, None] * periods
        counts = np.bincount(places.ravel(), minlength=len(rows) * periods).reshape(len(rows), periods)
        found.append(counts.astype(np.float64) @ excess / periods)  # how often each period was drawn, times it
    return found


def _kernel_variance(centred: Values, restart: float) -> Values:
    """Variance of the root-n mean under the stationary bootstrap that starts a new block with probability `restart`
    (Politis and Romano 1994, lemma 1; Hansen 2005, section 3.1)."""
    periods = len(centred)
    variance: Values = (centred**2).sum(axis=0) / periods
    for lag in range(1, periods):
        weight = (periods - lag) / periods * (1.0 - restart) ** lag + lag / periods * (1.0 - restart) ** (periods - lag)
        if weight < 1e-12:
            continue
        variance = variance + 2.0 * weight * (centred[lag:] * centred[:-lag]).sum(axis=0) / periods
    return variance
