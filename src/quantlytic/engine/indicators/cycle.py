"""Ehlers' cycle indicators. All equal TA-Lib's; a NaN or infinite price is skipped and leaves everything as it was."""

from __future__ import annotations

import math
from typing import ClassVar

from quantlytic.engine.indicators.hilbert import DominantCycle, Hilbert
from quantlytic.engine.indicators.indicator import Indicator
from quantlytic.model.errors import InputError


class DominantCyclePeriod(Indicator):
    """The length of the dominant cycle in bars, 6 to 50, smoothed. NaN for 32 bars.

    Source: Ehlers, Rocket Science for Traders (2001), chapter 7; TA-Lib HT_DCPERIOD.
    """

    on_nan: ClassVar[str] = "skip"

    def __init__(self) -> None:
        self.hilbert = Hilbert(12)
        self.value = math.nan

    def update(self, x: float) -> float:
        """Take the next price; returns the period."""
        if math.isfinite(x) and self.hilbert.update(x):
            self.hilbert.measure()
            if self.hilbert.count > 32:
                self.value = self.hilbert.smooth_period
        return self.value


class Phasor(Indicator):
    """The in-phase and quadrature parts of the price. NaN for 32 bars.

    Source: Ehlers, Rocket Science for Traders (2001), chapter 6; TA-Lib HT_PHASOR.
    """

    outputs: ClassVar[tuple[str, ...]] = ("in_phase", "quadrature")
    on_nan: ClassVar[str] = "skip"

    def __init__(self) -> None:
        self.hilbert = Hilbert(12)
        self.in_phase = math.nan
        self.quadrature = math.nan

    @property
    def ready(self) -> bool:
        return self.hilbert.count > 32

    def update(self, x: float) -> float:
        """Take the next price; returns the in-phase part."""
        if math.isfinite(x) and self.hilbert.update(x):
            self.hilbert.measure()
            if self.hilbert.count > 32:
                self.in_phase = self.hilbert.in_phase
                self.quadrature = self.hilbert.quadrature
        return self.in_phase


class DominantCyclePhase(Indicator):
    """Where in the dominant cycle the price is, in degrees from -45 to 315. NaN for 63 bars.

    Source: Ehlers, Rocket Science for Traders (2001), chapter 9; TA-Lib HT_DCPHASE.
    """

    on_nan: ClassVar[str] = "skip"

    def __init__(self) -> None:
        self.cycle = DominantCycle()
        self.value = math.nan

    def update(self, x: float) -> float:
        """Take the next price; returns the phase."""
        if math.isfinite(x) and self.cycle.update(x) and self.cycle.ready:
            self.value = self.cycle.phase
        return self.value


class SineWave(Indicator):
    """The sine of the dominant cycle's phase, and of 45 degrees ahead: they cross before the turns.

    NaN for 63 bars. Source: Ehlers, Rocket Science for Traders (2001), chapter 9; TA-Lib HT_SINE.
    """

    outputs: ClassVar[tuple[str, ...]] = ("sine", "lead_sine")
    on_nan: ClassVar[str] = "skip"

    def __init__(self) -> None:
        self.cycle = DominantCycle()
        self.sine = math.nan
        self.lead_sine = math.nan

    @property
    def ready(self) -> bool:
        return self.cycle.ready

    def update(self, x: float) -> float:
        """Take the next price; returns the sine."""
        if math.isfinite(x) and self.cycle.update(x) and self.cycle.ready:
            self.sine = math.sin(math.radians(self.cycle.phase))
            self.lead_sine = math.sin(math.radians(self.cycle.phase + 45.0))
        return self.sine


class InstantaneousTrendline(Indicator):
    """The price with the dominant cycle taken out: means over one cycle, smoothed over 4 bars.

    NaN for 63 bars. Source: Ehlers, Rocket Science for Traders (2001), chapter 10; TA-Lib HT_TRENDLINE.
    """

    on_nan: ClassVar[str] = "skip"

    def __init__(self) -> None:
        self.cycle = DominantCycle()
        self.mean_1 = 0.0
        self.mean_2 = 0.0
        self.mean_3 = 0.0
        self.value = math.nan

    def update(self, x: float) -> float:
        """Take the next price; returns the trendline."""
        if math.isfinite(x) and self.cycle.update(x):
            mean = self.cycle.mean()
            if self.cycle.ready:
                self.value = (4.0 * mean + 3.0 * self.mean_1 + 2.0 * self.mean_2 + self.mean_3) / 10.0
            self.mean_3, self.mean_2, self.mean_1 = self.mean_2, self.mean_1, mean
        return self.value


class TrendMode(Indicator):
    """1 while the market trends, 0 while it cycles. NaN for 63 bars, where TA-Lib has 0.

    It cycles for half a period after the sine waves cross and while the phase moves as the period says; a price 1.5 % off the
    trendline is a trend. Source: Ehlers, Rocket Science for Traders (2001), chapter 11; TA-Lib HT_TRENDMODE.
    """

    on_nan: ClassVar[str] = "skip"

    def __init__(self) -> None:
        self.cycle = DominantCycle()
        self.mean_1 = 0.0
        self.mean_2 = 0.0
        self.mean_3 = 0.0
        self.sine = 0.0
        self.lead_sine = 0.0
        self.bars_in_trend = 0
        self.value = math.nan

    def update(self, x: float) -> float:
        """Take the next price; returns the mode."""
        last_phase = self.cycle.phase
        if not (math.isfinite(x) and self.cycle.update(x)):
            return self.value
        mean = self.cycle.mean()
        trendline = (4.0 * mean + 3.0 * self.mean_1 + 2.0 * self.mean_2 + self.mean_3) / 10.0
        self.mean_3, self.mean_2, self.mean_1 = self.mean_2, self.mean_1, mean
        sine = math.sin(math.radians(self.cycle.phase))
        lead = math.sin(math.radians(self.cycle.phase + 45.0))
        crossed = (sine > lead and self.sine <= self.lead_sine) or (sine < lead and self.sine >= self.lead_sine)
        self.sine, self.lead_sine = sine, lead
        self.bars_in_trend = 1 if crossed else self.bars_in_trend + 1
        period = self.cycle.hilbert.smooth_period
        turn = self.cycle.phase - last_phase
        cycling = crossed or self.bars_in_trend < 0.5 * period or 0.67 * 360.0 / period < turn < 1.5 * 360.0 / period
        off = abs(self.cycle.hilbert.smooth - trendline) >= 0.015 * abs(trendline) and trendline != 0.0
        if self.cycle.ready:
            self.value = 1.0 if off or not cycling else 0.0
        return self.value


class MAMA(Indicator):
    """MESA adaptive moving average, and the following one (`fama`): they adapt to how fast the phase turns. NaN for 32 bars.

    Both limits are between 0.01 and 0.99. Source: Ehlers, MESA Adaptive Moving Averages, TASC (2001); TA-Lib MAMA.
    """

    outputs: ClassVar[tuple[str, ...]] = ("mama", "fama")
    on_nan: ClassVar[str] = "skip"

    def __init__(self, fast_limit: float = 0.5, slow_limit: float = 0.05) -> None:
        for limit in (fast_limit, slow_limit):
            if not 0.01 <= limit <= 0.99:
                raise InputError(f"MAMA: both limits are between 0.01 and 0.99, not {limit!r}")
        self.fast_limit = float(fast_limit)
        self.slow_limit = float(slow_limit)
        self.hilbert = Hilbert(12)
        self.phase = 0.0
        self.average = 0.0
        self.following = 0.0
        self.mama = math.nan
        self.fama = math.nan

    @property
    def ready(self) -> bool:
        return self.hilbert.count > 32

    def update(self, x: float) -> float:
        """Take the next price; returns the adaptive average."""
        if not (math.isfinite(x) and self.hilbert.update(x)):
            return self.mama
        phase = 0.0
        if self.hilbert.in_phase != 0.0:
            phase = math.degrees(math.atan(self.hilbert.quadrature / self.hilbert.in_phase))
        turn = max(self.phase - phase, 1.0)
        self.phase = phase
        alpha = max(self.fast_limit / turn, self.slow_limit) if turn > 1.0 else self.fast_limit
        self.average = alpha * x + (1.0 - alpha) * self.average
        self.following = 0.5 * alpha * self.average + (1.0 - 0.5 * alpha) * self.following
        self.hilbert.measure()
        if self.hilbert.count > 32:
            self.mama = self.average
            self.fama = self.following
        return self.mama
