"""Two prices that belong together: the hedge ratio, and whether the spread comes back."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from quantlytic.engine.indicators.correlation import CoMoments
from quantlytic.engine.indicators.indicator import Indicator
from quantlytic.engine.indicators.moments import Window
from quantlytic.model.errors import InputError


class KalmanRegression(Indicator):
    """A regression y = `slope` x + `intercept` whose coefficients wander: a hedge ratio that adapts.

    Both do a random walk of variance `delta` / (1 - `delta`) a bar, begun at 0 with variance `prior`; y is seen with variance
    `noise`. `error` is y less what was expected of it before, `deviation` the standard deviation it was expected to have: trade
    the ratio of both. NaN at the first pair, which leaves slope and intercept open. A pair with a NaN is skipped.
    Source: Kalman (1960); Chan, Algorithmic Trading (2013), chapter 3.
    """

    outputs: ClassVar[tuple[str, ...]] = ("slope", "intercept", "error", "deviation")
    on_nan: ClassVar[str] = "skip"

    def __init__(self, delta: float = 1e-4, noise: float = 1e-3, prior: float = 1.0) -> None:
        if not 0.0 <= delta < 1.0:
            raise InputError(f"KalmanRegression: delta is from 0 to below 1, not {delta!r}")
        if not (0.0 < noise < math.inf and 0.0 <= prior < math.inf):
            raise InputError(f"KalmanRegression: noise is above 0 and prior not below, not {noise!r} and {prior!r}")
        self.drift = delta / (1.0 - delta)
        self.noise = float(noise)
        self.count = 0
        self.state = np.zeros(2)
        self.covariance = np.array([prior, 0.0, prior])
        self.slope = math.nan
        self.intercept = math.nan
        self.error = math.nan
        self.deviation = math.nan

    @property
    def ready(self) -> bool:
        return self.count > 1

    def update(self, x: float, y: float) -> float:
        """Take the next pair; returns the slope."""
        if not (math.isfinite(x) and math.isfinite(y)):
            return self.slope
        drift = self.drift if self.count > 0 else 0.0
        p, q, r = self.covariance[0] + drift, self.covariance[1], self.covariance[2] + drift
        with_slope, with_intercept = p * x + q, q * x + r
        variance = with_slope * x + with_intercept + self.noise
        error = y - (self.state[0] * x + self.state[1])
        self.state[0] += with_slope / variance * error
        self.state[1] += with_intercept / variance * error
        self.covariance[0] = p - with_slope * with_slope / variance
        self.covariance[1] = q - with_slope * with_intercept / variance
        self.covariance[2] = r - with_intercept * with_intercept / variance
        self.count += 1
        if self.count > 1:
            self.slope, self.intercept = self.state[0], self.state[1]
            self.error, self.deviation = error, math.sqrt(variance)
        return self.slope


class Cointegration(Indicator):
    """Engle and Granger's test over the last `period` pairs: does y - (`slope` x + `intercept`) come back to 0?

    `statistic` is the Dickey-Fuller t of the residuals of y on x, without constant and without lags: below -3.34 the pair is
    cointegrated at 5 %, below -3.90 at 1 % (long windows; MacKinnon 2010). `spread` is the newest residual, `score` that over
    the residuals' standard deviation; both are 0, the statistic too, while x or the residuals are flat. O(period) a bar.
    Source: Engle & Granger, Econometrica 55 (1987).
    """

    outputs: ClassVar[tuple[str, ...]] = ("statistic", "slope", "intercept", "spread", "score")

    def __init__(self, period: int = 250) -> None:
        self.check_period(period, low=5)
        self.moments = CoMoments(period)
        self.x = Window(period)
        self.y = Window(period)
        self.statistic = math.nan
        self.slope = math.nan
        self.intercept = math.nan
        self.spread = math.nan
        self.score = math.nan

    @property
    def ready(self) -> bool:
        return self.moments.missing == 0

    def update(self, x: float, y: float) -> float:
        """Take the next pair; returns the statistic, NaN until there are `period` pairs."""
        self.x.push(x)
        self.y.push(y)
        self.statistic = self.slope = self.intercept = self.spread = self.score = math.nan
        m = self.moments
        if not m.update(x, y):
            return self.statistic
        self.slope = m.covariance / m.var_x if m.var_x > 0.0 else 0.0
        self.intercept = m.mean_y - self.slope * m.mean_x
        self.test(1e-12 * m.var_y * m.period)
        return self.statistic

    def test(self, flat: float) -> None:
        """Regress the residuals' changes on the residuals before; a sum of squares up to `flat` is rounding."""
        n = self.x.period
        self.spread = self.score = self.statistic = 0.0
        before, squares, product, changes = self.residual(0), 0.0, 0.0, 0.0
        for i in range(1, n):
            now = self.residual(i)
            squares += before * before
            product += before * (now - before)
            changes += (now - before) * (now - before)
            before = now
        if self.moments.var_x == 0.0 or squares <= flat:
            return
        rest = changes - product * product / squares
        if rest > 0.0:
            self.statistic = product / squares / math.sqrt(rest / (n - 2) / squares)
        self.spread = before
        self.score = before / math.sqrt((squares + before * before) / n)

    def residual(self, i: int) -> float:
        return self.y.get(i) - (self.slope * self.x.get(i) + self.intercept)
