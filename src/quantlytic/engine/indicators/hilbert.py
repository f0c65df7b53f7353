"""The Hilbert transform that J. F. Ehlers' cycle indicators share."""

from __future__ import annotations

import math

import numpy as np

from quantlytic.engine.compiler.record import Record

PRICE, DETRENDED, QUADRATURE, IN_PHASE = 0, 1, 2, 3


class Hilbert(Record):
    """Splits prices into an in-phase and a quadrature part, and from their turning measures the dominant cycle.

    Ehlers, Rocket Science for Traders (2001), chapters 6 and 7; as TA-Lib, from bar `first` on (the bars before only fill the
    smoother). `history` holds seven values, newest first, of the smoothed price and of what is filtered from it.
    """

    def __init__(self, first: int) -> None:
        self.first = int(first)
        self.count = 0
        self.prices = np.zeros(4)
        self.history = np.zeros((4, 7))
        self.smooth = 0.0
        self.in_phase = 0.0
        self.quadrature = 0.0
        self.last_in_phase = 0.0
        self.last_quadrature = 0.0
        self.real = 0.0
        self.imaginary = 0.0
        self.period = 0.0
        self.smooth_period = 0.0

    def update(self, x: float) -> bool:
        """Take the next price; whether it is one that was transformed."""
        for k in range(3, 0, -1):
            self.prices[k] = self.prices[k - 1]
        self.prices[0] = x
        self.count += 1
        if self.count <= self.first:
            return False
        p = self.prices
        self.smooth = (4.0 * p[0] + 3.0 * p[1] + 2.0 * p[2] + p[3]) * 0.1
        for row in range(4):
            for k in range(6, 0, -1):
                self.history[row, k] = self.history[row, k - 1]
        self.history[PRICE, 0] = self.smooth
        self.history[DETRENDED, 0] = self.filtered(PRICE)
        self.history[QUADRATURE, 0] = self.filtered(DETRENDED)
        self.history[IN_PHASE, 0] = self.history[DETRENDED, 3]
        self.in_phase = self.history[IN_PHASE, 0]
        self.quadrature = self.history[QUADRATURE, 0]
        return True

    def filtered(self, row: int) -> float:
        """Shifted by a quarter of the cycle."""
        h = self.history
        shifted = 0.0962 * h[row, 0] - 0.0962 * h[row, 6] - 0.5769 * h[row, 4] + 0.5769 * h[row, 2]
        return float(shifted * (0.075 * self.period + 0.54))

    def measure(self) -> None:
        """The period of the dominant cycle, from the phasor's turn since the last bar."""
        in_phase = 0.2 * (self.in_phase - self.filtered(QUADRATURE)) + 0.8 * self.last_in_phase
        quadrature = 0.2 * (self.quadrature + self.filtered(IN_PHASE)) + 0.8 * self.last_quadrature
        self.real = 0.2 * (in_phase * self.last_in_phase + quadrature * self.last_quadrature) + 0.8 * self.real
        self.imaginary = (
            0.2 * (in_phase * self.last_quadrature - quadrature * self.last_in_phase) + 0.8 * self.imaginary
        )
        self.last_in_phase = in_phase
        self.last_quadrature = quadrature
        period = self.period
        if self.imaginary != 0.0 and self.real != 0.0:
            period = 360.0 / math.degrees(math.atan(self.imaginary / self.real))
        period = max(min(period, 1.5 * self.period), 0.67 * self.period)
        self.period = 0.2 * max(min(period, 50.0), 6.0) + 0.8 * self.period
        self.smooth_period = 0.33 * self.period + 0.67 * self.smooth_period


class DominantCycle(Record):
    """The phase of the dominant cycle: that of the last cycle of smoothed prices, by a discrete Fourier transform.

    A bar costs one pass over a cycle, 50 bars at most.
    """

    def __init__(self) -> None:
        self.hilbert = Hilbert(37)
        self.smooths = np.zeros(50)
        self.prices = np.zeros(50)
        self.bars = 0
        self.phase = 0.0
        self.length = 0

    @property
    def ready(self) -> bool:
        return self.hilbert.count > 63

    def update(self, x: float) -> bool:
        """Take the next price; whether `phase` (degrees, -45 to 315) and `length` (bars) are new."""
        slot = self.bars % 50
        self.bars += 1
        self.prices[slot] = x
        if not self.hilbert.update(x):
            return False
        self.hilbert.measure()
        self.smooths[slot] = self.hilbert.smooth
        self.length = int(self.hilbert.smooth_period + 0.5)
        real, imaginary = 0.0, 0.0
        for i in range(self.length):
            angle = i * 2.0 * math.pi / self.length
            real += math.sin(angle) * self.smooths[(slot + 50 - i) % 50]
            imaginary += math.cos(angle) * self.smooths[(slot + 50 - i) % 50]
        if imaginary != 0.0:
            self.phase = math.degrees(math.atan(real / imaginary))
        elif real != 0.0:
            self.phase += 90.0 if real > 0.0 else -90.0
        self.phase += 90.0 + 360.0 / self.hilbert.smooth_period
        if imaginary < 0.0:
            self.phase += 180.0
        if self.phase > 315.0:
            self.phase -= 360.0
        return True

    def mean(self) -> float:
        """The mean price over the last cycle; the last price where that is shorter than a bar."""
        total = 0.0
        for i in range(self.length):
            total += self.prices[(self.bars - 1 - i) % 50]
        return total / self.length if self.length > 0 else total
