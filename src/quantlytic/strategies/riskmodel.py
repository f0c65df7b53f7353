"""What strategies that weigh instruments by risk share: a covariance matrix that a few hundred bars can bear."""

from __future__ import annotations

import math

import numpy as np

from quantlytic import param
from quantlytic.strategies.portfolio import Portfolio


class RiskModel(Portfolio):
    """`estimate` writes the covariance of the last `lookback` returns of those instruments that trade, have so many, and
    have moved at all (`members`, `count` of them), into `covariance`, and says whether there is any.

    The sample's covariance is drawn to one in which all pairs have the mean correlation, as far as Ledoit and Wolf estimate
    to be best (`shrinkage`, 0 to 1); variances stay. Returns are simple, divided by their number. O(lookback count^2).
    Source: Ledoit & Wolf, Honey, I shrunk the sample covariance matrix (2004).
    """

    lookback: int = param(120, low=10, high=500)

    def setup(self) -> None:
        super().setup()
        self.count = 0
        self.members = np.zeros(self.instruments, np.int64)
        self.returns = np.zeros((self.LONGEST, self.instruments))
        self.sample = np.zeros((self.instruments, self.instruments))
        self.covariance = np.zeros((self.instruments, self.instruments))
        self.deviations = np.zeros(self.instruments)
        self.shrinkage = 0.0

    def estimate(self) -> bool:
        self.count = 0
        for i in range(self.instruments):
            if self.is_trading(i) and not math.isnan(self.past(i, self.lookback)):
                self.enter(i)
        self.measure()
        self.shrink()
        return self.count > 0

    def enter(self, instrument: int) -> None:
        """Make the instrument a member: its returns, less their mean."""
        total, moved = 0.0, False
        for t in range(self.lookback):
            change = self.past(instrument, t) / self.past(instrument, t + 1) - 1.0
            self.returns[t, self.count] = change
            total += change
            moved = moved or change != 0.0
        for t in range(self.lookback):
            self.returns[t, self.count] -= total / self.lookback
        if moved:
            self.members[self.count] = instrument
            self.count += 1

    def measure(self) -> None:
        for a in range(self.count):
            for b in range(a + 1):
                total = 0.0
                for t in range(self.lookback):
                    total += self.returns[t, a] * self.returns[t, b]
                self.sample[a, b] = self.sample[b, a] = total / self.lookback
            self.deviations[a] = math.sqrt(self.sample[a, a])

    def shrink(self) -> None:
        """`pi`: the variances of the sample's entries, summed; `rho`: their covariances with the target's; `gamma`: how far
        the target is from the sample."""
        pairs, correlation = self.count * (self.count - 1), 0.0
        for a in range(self.count):
            for b in range(self.count):
                if a != b:
                    correlation += self.sample[a, b] / (self.deviations[a] * self.deviations[b]) / pairs
        pi, rho, gamma = 0.0, 0.0, 0.0
        for a in range(self.count):
            for b in range(self.count):
                variance, with_a = 0.0, 0.0
                for t in range(self.lookback):
                    x, product = self.returns[t, a], self.returns[t, a] * self.returns[t, b]
                    distance = product - self.sample[a, b]
                    variance += distance * distance / self.lookback
                    with_a += (x * x - self.sample[a, a]) * distance / self.lookback
                target = self.deviations[a] * self.deviations[b] * (1.0 if a == b else correlation)
                pi += variance
                rho += variance if a == b else correlation * self.deviations[b] / self.deviations[a] * with_a
                gamma += (target - self.sample[a, b]) * (target - self.sample[a, b])
        self.shrinkage = min(max((pi - rho) / gamma / self.lookback, 0.0), 1.0) if gamma > 0.0 else 0.0
        for a in range(self.count):
            for b in range(self.count):
                target = self.deviations[a] * self.deviations[b] * (1.0 if a == b else correlation)
                self.covariance[a, b] = self.shrinkage * target + (1.0 - self.shrinkage) * self.sample[a, b]
