"""Money flowing in and out, over a window or smoothed."""

from __future__ import annotations

import math

from quantlytic.engine.indicators.ema import EMA
from quantlytic.engine.indicators.indicator import Indicator
from quantlytic.engine.indicators.sma import SMA
from quantlytic.engine.indicators.volume import money_flow_multiplier
from quantlytic.engine.indicators.window import Sum


class MFI(Indicator):
    """Money flow index: typical price x volume of the bars whose typical price rose, in percent of that of all that moved,
    over `period` bars; 0 where there was none. Source: Quong & Soudack, TASC (1989); TA-Lib MFI."""

    def __init__(self, period: int = 14) -> None:
        self.check_period(period)
        self.rising = Sum(period)
        self.falling = Sum(period)
        self.last = math.nan
        self.value = math.nan

    def update(self, high: float, low: float, close: float, volume: float) -> float:
        """Take the next bar; returns the index, NaN until there are `period` + 1 bars."""
        price = (high + low + close) / 3.0
        change, size = price - self.last, abs(price) + abs(self.last)
        if not math.isfinite(change + volume):
            rising = falling = math.nan
        else:
            # Sums of equal prices in another order may differ in their last digit: that is no move.
            rising = price * volume if change > 1e-14 * size else 0.0
            falling = price * volume if -change > 1e-14 * size else 0.0
        rising, falling = self.rising.update(rising), self.falling.update(falling)
        self.last = price
        whole = rising + falling
        self.value = 100.0 * rising / whole if whole != 0.0 else 0.0
        return self.value


class CMF(Indicator):
    """Chaikin money flow: volume times where each close lies in its bar (-1 to 1), by volume, over `period` bars.

    Source: Chaikin; TA-Lib CMF.
    """

    def __init__(self, period: int = 20) -> None:
        self.check_period(period)
        self.flow = Sum(period)
        self.volume = Sum(period)
        self.value = math.nan

    def update(self, high: float, low: float, close: float, volume: float) -> float:
        """Take the next bar; returns the flow, NaN until there are `period` bars."""
        known = math.isfinite(high + low + close + volume)
        flow = self.flow.update(money_flow_multiplier(high, low, close) * volume if known else math.nan)
        total = self.volume.update(volume if known else math.nan)
        self.value = flow / total if total != 0.0 else 0.0
        return self.value


class ForceIndex(Indicator):
    """EMA(`period`) of each bar's change of the close times its volume. Source: Elder (1993); TA-Lib EFI."""

    on_nan = "skip"

    def __init__(self, period: int = 13) -> None:
        self.check_period(period)
        self.ema = EMA(period)
        self.last = math.nan
        self.value = math.nan

    def update(self, close: float, volume: float) -> float:
        """Take the next bar; returns the index, NaN until there are `period` + 1 bars."""
        if math.isfinite(close + volume):
            self.value = self.ema.update((close - self.last) * volume)
            self.last = close
        return self.value


class EaseOfMovement(Indicator):
    """How far the middle of bars moves for its volume: SMA(`period`) of move x (high - low) / (volume / `scale`); a bar without
    volume counts as 0. Source: Arms, "Volume Cycles in the Stock Market" (1983)."""

    def __init__(self, period: int = 14, scale: float = 1e8) -> None:
        self.check_period(period)
        self.check_number(scale, "scale")
        self.mean = SMA(period)
        self.scale = float(scale)
        self.last = math.nan
        self.value = math.nan

    def update(self, high: float, low: float, volume: float) -> float:
        """Take the next bar; returns the mean, NaN until there are `period` + 1 bars."""
        middle = (high + low) / 2.0
        move = (middle - self.last) * (high - low) * (self.scale / volume if volume != 0.0 else 0.0)
        if not math.isfinite(volume):
            move = math.nan
        self.last = middle
        self.value = self.mean.update(move)
        return self.value


class RelativeVolume(Indicator):
    """The volume by the mean of the `period` bars before it; 0 where that is 0. Source: TA-Lib RVOL."""

    def __init__(self, period: int = 20) -> None:
        self.check_period(period)
        self.mean = SMA(period)
        self.value = math.nan

    def update(self, volume: float) -> float:
        """Take the next bar; returns the ratio, NaN until there are `period` + 1 bars."""
        usual = self.mean.value
        self.mean.update(volume)
        self.value = volume / usual if usual != 0.0 else 0.0
        return self.value
