"""Volatility measured from prices. A bar's unless `bars_per_year` says how many make a year: then a year's."""

from __future__ import annotations

import math

from quantlytic.engine.indicators.indicator import Indicator
from quantlytic.engine.indicators.sma import SMA
from quantlytic.engine.indicators.stddev import Var


def log_ratio(a: float, b: float) -> float:
    """ln(a / b), NaN unless both are finite and above 0."""
    return math.log(a / b) if a > 0.0 and b > 0.0 and math.isfinite(a + b) else math.nan


def root(x: float) -> float:
    """The square root; 0 for what rounding has made negative."""
    return 0.0 if x <= 0.0 else math.sqrt(x)


class RealisedVolatility(Indicator):
    """Standard deviation (n - 1) of the last `period` log returns. Source: definition."""

    def __init__(self, period: int = 20, bars_per_year: float = 1.0) -> None:
        self.check_period(period)
        self.check_number(bars_per_year, "number of bars per year")
        self.variance = Var(period, ddof=1)
        self.scale = float(bars_per_year)
        self.last = math.nan
        self.value = math.nan

    def update(self, close: float) -> float:
        """Take the next close; returns the volatility, NaN until there are `period` + 1 closes."""
        variance = self.variance.update(log_ratio(close, self.last))
        self.last = close
        self.value = math.sqrt(variance * self.scale)
        return self.value


class Parkinson(Indicator):
    """From the range: root of the mean of ln(high / low)^2 / (4 ln 2) over `period` bars. Source: Parkinson (1980)."""

    def __init__(self, period: int = 20, bars_per_year: float = 1.0) -> None:
        self.check_period(period)
        self.check_number(bars_per_year, "number of bars per year")
        self.mean = SMA(period)
        self.scale = float(bars_per_year)
        self.value = math.nan

    def update(self, high: float, low: float) -> float:
        """Take the next bar; returns the volatility, NaN until there are `period` bars."""
        spread = log_ratio(high, low)
        self.value = root(self.mean.update(spread * spread) / (4.0 * math.log(2.0)) * self.scale)
        return self.value


class GarmanKlass(Indicator):
    """From all four prices: root of the mean of ln(high / low)^2 / 2 - (2 ln 2 - 1) ln(close / open)^2 over `period` bars.

    Source: Garman & Klass (1980).
    """

    def __init__(self, period: int = 20, bars_per_year: float = 1.0) -> None:
        self.check_period(period)
        self.check_number(bars_per_year, "number of bars per year")
        self.mean = SMA(period)
        self.scale = float(bars_per_year)
        self.value = math.nan

    def update(self, open: float, high: float, low: float, close: float) -> float:
        """Take the next bar; returns the volatility, NaN until there are `period` bars."""
        spread, body = log_ratio(high, low), log_ratio(close, open)
        term = 0.5 * spread * spread - (2.0 * math.log(2.0) - 1.0) * body * body
        self.value = root(self.mean.update(term) * self.scale)
        return self.value


class RogersSatchell(Indicator):
    """As Garman & Klass but true under any drift: mean of ln(h/c) ln(h/o) + ln(l/c) ln(l/o), its root.

    Source: Rogers & Satchell (1991).
    """

    def __init__(self, period: int = 20, bars_per_year: float = 1.0) -> None:
        self.check_period(period)
        self.check_number(bars_per_year, "number of bars per year")
        self.mean = SMA(period)
        self.scale = float(bars_per_year)
        self.value = math.nan

    def update(self, open: float, high: float, low: float, close: float) -> float:
        """Take the next bar; returns the volatility, NaN until there are `period` bars."""
        up = log_ratio(high, close) * log_ratio(high, open)
        down = log_ratio(low, close) * log_ratio(low, open)
        self.value = root(self.mean.update(up + down) * self.scale)
        return self.value


class YangZhang(Indicator):
    """Gaps counted too: variance of ln(open / last close) + k x variance of ln(close / open) + (1 - k) x Rogers-Satchell, its
    root; k = 0.34 / (1.34 + (n + 1) / (n - 1)), variances by n - 1. Source: Yang & Zhang (2000)."""

    def __init__(self, period: int = 20, bars_per_year: float = 1.0) -> None:
        self.check_period(period, low=2)
        self.gap = Var(period, ddof=1)
        self.body = Var(period, ddof=1)
        self.inside = RogersSatchell(period)
        self.share = 0.34 / (1.34 + (period + 1.0) / (period - 1.0))
        self.check_number(bars_per_year, "number of bars per year")
        self.scale = float(bars_per_year)
        self.last = math.nan
        self.value = math.nan

    def update(self, open: float, high: float, low: float, close: float) -> float:
        """Take the next bar; returns the volatility, NaN until there are `period` + 1 bars."""
        gap = self.gap.update(log_ratio(open, self.last))
        body = self.body.update(log_ratio(close, open))
        inside = self.inside.update(open, high, low, close)
        self.last = close
        self.value = root((gap + self.share * body + (1.0 - self.share) * inside * inside) * self.scale)
        return self.value
