"""How much of a Sharpe ratio is left after the search that found it.

Sharpe ratios here are per period, not annualised: mean over standard deviation (n - 1) of simple returns.

Sources: Bailey and Lopez de Prado, "The Sharpe ratio efficient frontier" (J. of Risk 15(2), 2012): probabilistic Sharpe
ratio and minimum track record; the same, "The deflated Sharpe ratio" (J. of Portfolio Management 40(5), 2014); Bailey,
Borwein, Lopez de Prado and Zhu, "The probability of backtest overfitting" (J. of Computational Finance 20(4), 2016).
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from quantlytic.model.errors import InputError

Values = NDArray[np.float64]

_NORMAL = NormalDist()
_EULER = 0.5772156649015329
_ROUNDING = 1e-15  # a standard deviation of returns below this is rounding, not risk
_CHUNK = 512  # splits worked on at once: keeps the tables of a thousand cells small


def normal_cdf(z: float) -> float:
    """Probability that a standard normal variable is at most `z`."""
    return 0.5 * math.erfc(-z / math.sqrt(2.0))


def normal_ppf(p: float) -> float:
    """The `z` with that probability below it (Wichura's AS 241); -inf at 0, inf at 1. InputError outside of [0, 1]."""
    if not 0.0 <= p <= 1.0:
        raise InputError(f"a probability is from 0 to 1, not {p!r}")
    if p in (0.0, 1.0):
        return math.copysign(math.inf, p - 0.5)
    return _NORMAL.inv_cdf(p)


@dataclass(frozen=True)
class Moments:
    """What the tests need to know of `periods` returns. `kurtosis` is not in excess: 3 for a normal distribution."""

    periods: int
    sharpe: float
    skew: float
    kurtosis: float

    @property
    def variance(self) -> float:
        """Variance of the estimated Sharpe ratio, for returns of any distribution (Mertens 2002)."""
        spread = 1.0 - self.skew * self.sharpe + (self.kurtosis - 1.0) / 4.0 * self.sharpe**2
        return spread / (self.periods - 1)


def moments(returns: Values) -> Moments | None:
    """None for fewer than three returns, or returns that do not vary."""
    returns = finite(returns)
    if len(returns) < 3:
        return None
    mean = float(returns.mean())
    centred = returns - mean
    second = float(centred @ centred) / len(returns)
    deviation = math.sqrt(second * len(returns) / (len(returns) - 1))
    if deviation <= _ROUNDING:
        return None
    scaled = centred / math.sqrt(second)
    return Moments(len(returns), mean / deviation, float((scaled**3).mean()), float((scaled**4).mean()))


def finite(returns: Values) -> Values:
    """The returns as f8[periods]. InputError when one is NaN or infinite, or they are no list of numbers."""
    array = np.ascontiguousarray(returns, np.float64)
    if array.ndim != 1:
        raise InputError(f"returns are one number a period, not an array of shape {array.shape}")
    if not np.isfinite(array).all():
        raise InputError(f"return {int(np.argmin(np.isfinite(array)))} is NaN or infinite")
    return array


def probabilistic_sharpe(of: Moments, benchmark: float = 0.0) -> float:
    """Probability that the true Sharpe ratio is above `benchmark` (per period), given sample size, skew and kurtosis."""
    return (
        normal_cdf((of.sharpe - benchmark) / math.sqrt(of.variance))
        if of.variance > 0
        else float(of.sharpe > benchmark)
    )


def minimum_track_record(of: Moments, benchmark: float = 0.0, confidence: float = 0.95) -> float:
    """How many periods it takes to be that sure that the true Sharpe ratio is above `benchmark`; inf if it is not above."""
    if of.sharpe <= benchmark:
        return math.inf
    return 1.0 + of.variance * (of.periods - 1) * (normal_ppf(confidence) / (of.sharpe - benchmark)) ** 2


def expected_maximum(trials: float, variance: float) -> float:
    """The best Sharpe ratio that so many independent trials without any skill are expected to show.

    `variance`: of the trials' Sharpe ratios, per period. Bailey and Lopez de Prado (2014), equation 1. 0 for one trial.
    """
    if trials <= 1.0 or variance <= 0.0:
        return 0.0
    quantiles: float = (1.0 - _EULER) * normal_ppf(1.0 - 1.0 / trials) + _EULER * normal_ppf(
        1.0 - 1.0 / (trials * math.e)
    )
    return math.sqrt(variance) * max(quantiles, 0.0)


def deflated_sharpe(of: Moments, trials: float, variance: float) -> float:
    """Probability that the true Sharpe ratio is above 0 once the number of trials that it was picked from, and the variance
    of their Sharpe ratios (per period), are taken off."""
    return probabilistic_sharpe(of, expected_maximum(trials, variance))


def sharpes(returns: Values) -> Values:
    """The Sharpe ratio of each column of f8[periods, cells]; 0 for one that does not vary."""
    deviations = returns.std(axis=0, ddof=1)
    safe = np.where(deviations > _ROUNDING, deviations, 1.0)
    return np.where(deviations > _ROUNDING, returns.mean(axis=0) / safe, 0.0)


def effective_trials(returns: Values) -> float:
    """How many independent trials the columns of f8[periods, cells] amount to: `r + (1 - r) cells`, r being the mean
    correlation between them (Bailey and Lopez de Prado 2014, appendix 3). Columns that do not vary are not counted."""
    table = matrix(returns)
    moving = table[:, table.std(axis=0) > _ROUNDING]
    cells = int(moving.shape[1])
    if cells < 2:
        return float(max(cells, 1))
    scaled = (moving - moving.mean(axis=0)) / moving.std(axis=0)
    total = scaled.sum(axis=1)  # the sum of all correlations is the variance of the sum
    mean = (float(total @ total) / len(table) - cells) / (cells * (cells - 1))
    mean = float(min(max(mean, 0.0), 1.0))
    return mean + (1.0 - mean) * cells


def matrix(returns: Values) -> Values:
    """f8[periods, cells], checked. InputError for another shape, NaN or infinity."""
    table = np.ascontiguousarray(returns, np.float64)
    if table.ndim != 2 or not table.shape[1]:
        raise InputError(f"a table of returns has a row a period and a column a cell, not the shape {table.shape}")
    if not np.isfinite(table).all():
        row, column = np.argwhere(~np.isfinite(table))[0]
        raise InputError(f"the table of returns holds NaN or infinity in row {row}, column {column}")
    return table


@dataclass(frozen=True)
class Overfitting:
    """What combinatorially symmetric cross-validation says of a search.

    `probability` (PBO): how often the cell that was best in one half was below the median in the other; a tie counts half.
    `loss`: how often it lost money there. `slope`: of out-of-sample on in-sample Sharpe ratio of the cells picked.
    `logits`: f8[splits], the log odds of its rank in the other half.
    """

    probability: float
    loss: float
    slope: float
    logits: Values


def backtest_overfitting(returns: Values, blocks: int = 16) -> Overfitting:
    """CSCV of f8[periods, cells]: each way to put half of the `blocks` stretches of time in sample and the rest out of it.

    Cells are compared by their Sharpe ratio. Periods that do not fill a block are left out at the start. 16 blocks are
    12,870 splits. InputError for fewer than two cells, an odd number of blocks, or less than two periods in one.
    """
    table = matrix(returns)
    if blocks % 2 or not 2 <= blocks <= 20:
        raise InputError(f"blocks are an even number from 2 to 20, not {blocks}")
    size, cells = len(table) // blocks, table.shape[1]
    if size < 2 or cells < 2:
        raise InputError(
            f"{len(table)} periods of {cells} cells are too few for {blocks} blocks: take more, or fewer blocks"
        )
    parts = table[len(table) - size * blocks :].reshape(blocks, size, cells)
    parts = parts - parts.mean(axis=(0, 1))  # sums of squares stay exact
    shift = table[len(table) - size * blocks :].mean(axis=0)
    first, second = parts.sum(axis=1), (parts**2).sum(axis=1)
    splits = np.array(list(itertools.combinations(range(blocks), blocks // 2)))
    logits, inside, outside = (np.empty(len(splits)) for _ in range(3))
    for start in range(0, len(splits), _CHUNK):
        chunk = splits[start : start + _CHUNK]
        chosen = np.zeros((len(chunk), blocks))
        np.put_along_axis(chosen, chunk, 1.0, axis=1)
        into, out = (_sharpe_of_sums(one, first, second, shift, size * blocks // 2) for one in (chosen, 1.0 - chosen))
        rows, best = np.arange(len(chunk)), into.argmax(axis=1)
        reached = out[rows, best]
        below = (out < reached[:, None]).sum(axis=1) + 0.5 * ((out == reached[:, None]).sum(axis=1) - 1)
        share = (below + 1.0) / (cells + 1.0)
        at = slice(start, start + len(chunk))
        logits[at], inside[at], outside[at] = np.log(share / (1.0 - share)), into[rows, best], reached
    spread = inside - inside.mean()
    slope = float(spread @ outside / (spread @ spread)) if float(spread @ spread) > 0 else 0.0
    probability = float((logits < 0).mean() + 0.5 * (logits == 0).mean())
    return Overfitting(probability, float((outside < 0).mean()), slope, logits)


def _sharpe_of_sums(chosen: Values, first: Values, second: Values, shift: Values, count: int) -> Values:
    """Sharpe ratios f8[splits, cells] from each block's sums of (shifted) returns and of their squares."""
    mean = chosen @ first / count
    variance = (chosen @ second - count * mean**2) / (count - 1)
    moving = variance > _ROUNDING**2
    found: Values = np.where(moving, (mean + shift) / np.sqrt(np.where(moving, variance, 1.0)), 0.0)
    return found
