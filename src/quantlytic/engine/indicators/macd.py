"""Differences of two averages."""

from __future__ import annotations

import math

from quantlytic.engine.indicators.ema import EMA
from quantlytic.engine.indicators.indicator import Indicator


class APO(Indicator):
    """Absolute price oscillator: EMA(`fast`) - EMA(`slow`). Source: TA-Lib APO (of exponential averages)."""

    on_nan = "skip"

    def __init__(self, fast: int = 12, slow: int = 26) -> None:
        self.fast = EMA(fast)
        self.slow = EMA(slow)
        self.value = math.nan

    def update(self, x: float) -> float:
        """Take the next value; returns the difference, NaN until there are as many values as the longer period."""
        if math.isfinite(x):
            self.value = self.fast.update(x) - self.slow.update(x)
        return self.value


class PPO(Indicator):
    """Percentage price oscillator: APO in percent of EMA(`slow`); 0 where that is 0. Of volumes it is known as PVO.

    Source: TA-Lib PPO (of exponential averages), PVO.
    """

    on_nan = "skip"

    def __init__(self, fast: int = 12, slow: int = 26) -> None:
        self.difference = APO(fast, slow)
        self.value = math.nan

    def update(self, x: float) -> float:
        """Take the next value; returns the percentage, NaN until there are as many values as the longer period."""
        if math.isfinite(x):
            difference = self.difference.update(x)
            slow = self.difference.slow.value
            self.value = difference / slow * 100.0 if slow != 0.0 else 0.0
        return self.value


class MACD(Indicator):
    """Moving average convergence divergence: EMA(`fast`) - EMA(`slow`); `signal` is its EMA, `histogram` their difference.

    The shorter average begins later, so that both give their first value at the same bar; all results begin with the signal.
    Source: Appel, "The Moving Average Convergence-Divergence Method" (1979); TA-Lib MACD.
    """

    outputs = ("value", "signal", "histogram")
    on_nan = "skip"

    def __init__(self, fast: int = 12, slow: int = 26, signal: int = 9) -> None:
        self.fast = EMA(fast)
        self.slow = EMA(slow)
        self.smooth = EMA(signal)
        self.fast_wait = max(int(slow) - int(fast), 0)
        """How many more values pass before it begins."""
        self.slow_wait = max(int(fast) - int(slow), 0)
        self.value = math.nan
        self.signal = math.nan
        self.histogram = math.nan

    def update(self, x: float) -> float:
        """Take the next value; returns the difference, NaN until the signal has its first value."""
        if not math.isfinite(x):
            return self.value
        if self.fast_wait > 0:
            self.fast_wait -= 1
        else:
            self.fast.update(x)
        if self.slow_wait > 0:
            self.slow_wait -= 1
        else:
            self.slow.update(x)
        difference = self.fast.value - self.slow.value
        signal = self.smooth.update(difference)
        if not math.isnan(signal):
            self.value = difference
            self.signal = signal
            self.histogram = difference - signal
        return self.value


class MACDFix(MACD):
    """MACD of 12 and 26 with the rounded weights 0.15 and 0.075 of Appel's book. Source: Appel (1979); TA-Lib MACDFIX."""

    def __init__(self, signal: int = 9) -> None:
        super().__init__(12, 26, signal)
        self.fast.alpha = 0.15
        self.slow.alpha = 0.075


class MACDExt(Indicator):
    """MACD of any three indicators of one value: `MACDExt(WMA(10), SMA(30), SMA(9))`.

    Each begins with the first value it is given. Source: TA-Lib MACDEXT (equal where the averages have a window).
    """

    outputs = ("value", "signal", "histogram")
    on_nan = "skip"

    def __init__(self, fast: Indicator, slow: Indicator, smooth: Indicator) -> None:
        self.fast = fast
        self.slow = slow
        self.smooth = smooth
        self.value = math.nan
        self.signal = math.nan
        self.histogram = math.nan

    def update(self, x: float) -> float:
        """Take the next value; returns the difference, NaN until the signal has its first value."""
        if not math.isfinite(x):
            return self.value
        difference = self.fast.update(x) - self.slow.update(x)  # type: ignore[attr-defined]
        signal = self.smooth.update(difference)  # type: ignore[attr-defined]
        if not math.isnan(signal):
            self.value = difference
            self.signal = signal
            self.histogram = difference - signal
        return self.value
