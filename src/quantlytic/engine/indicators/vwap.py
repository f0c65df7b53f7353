"""Volume-weighted average prices."""

from __future__ import annotations

import math

from quantlytic.engine.indicators.indicator import Indicator
from quantlytic.engine.indicators.window import Sum


class VWAP(Indicator):
    """The typical price (high + low + close) / 3 weighted by volume, since the first bar or the last `reset()`: call that
    before the `update` of the bar it shall be anchored at. NaN until volume is above 0. Source: definition; TA-Lib VWAP."""

    on_nan = "skip"

    def __init__(self) -> None:
        self.turnover = 0.0
        self.volume = 0.0
        self.value = math.nan

    def reset(self) -> None:
        """Begin anew with the next bar."""
        self.turnover = 0.0
        self.volume = 0.0
        self.value = math.nan

    def update(self, high: float, low: float, close: float, volume: float) -> float:
        """Take the next bar; returns the average price."""
        if math.isfinite(high + low + close + volume):
            self.turnover += (high + low + close) / 3.0 * volume
            self.volume += volume
            if self.volume > 0.0:
                self.value = self.turnover / self.volume
        return self.value


class SessionVWAP(Indicator):
    """VWAP that begins anew with each session: `session_ns` long (a day), starting at multiples of it plus `offset_ns`.

    `time` is the bar's `open_time`, in ns. Source: definition.
    """

    on_nan = "skip"

    def __init__(self, session_ns: int = 86_400_000_000_000, offset_ns: int = 0) -> None:
        self.check_period(session_ns, name="session")
        self.session_ns = int(session_ns)
        self.offset_ns = int(offset_ns)
        self.session = -1
        self.vwap = VWAP()
        self.value = math.nan

    def update(self, time: float, high: float, low: float, close: float, volume: float) -> float:
        """Take the next bar; returns the average price of its session so far."""
        if not math.isfinite(time + high + low + close + volume):
            return self.value
        session = int((time - self.offset_ns) // self.session_ns)
        if session != self.session:
            self.session = session
            self.vwap.reset()
        self.value = self.vwap.update(high, low, close, volume)
        return self.value


class RollingVWAP(Indicator):
    """The typical price weighted by volume over the last `period` bars; NaN where none was traded. Source: definition."""

    def __init__(self, period: int = 20) -> None:
        self.check_period(period)
        self.turnover = Sum(period)
        self.volume = Sum(period)
        self.value = math.nan

    def update(self, high: float, low: float, close: float, volume: float) -> float:
        """Take the next bar; returns the average price, NaN until there are `period` bars."""
        turnover = self.turnover.update((high + low + close) / 3.0 * volume)
        total = self.volume.update(volume if math.isfinite(high + low + close) else math.nan)
        self.value = turnover / total if total > 0.0 else math.nan
        return self.value


class VWMA(Indicator):
    """The mean of the last `period` values weighted by volume; NaN where none was traded. Source: TA-Lib VWMA."""

    def __init__(self, period: int = 20) -> None:
        self.check_period(period)
        self.turnover = Sum(period)
        self.volume = Sum(period)
        self.value = math.nan

    def update(self, x: float, volume: float) -> float:
        """Take the next value and its volume; returns the average, NaN until there are `period` values."""
        turnover = self.turnover.update(x * volume)
        total = self.volume.update(volume if math.isfinite(x) else math.nan)
        self.value = turnover / total if total > 0.0 else math.nan
        return self.value
