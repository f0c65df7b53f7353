"""The quietest portfolio there is."""

from __future__ import annotations

import numpy as np

from quantlytic import param
from quantlytic.strategies.riskmodel import RiskModel


class MinimumVariance(RiskModel):
    """Holds, without shorts, the shares whose variance would have been least. It needs no forecast of returns, only of risk,
    which can be forecast: by a shrunk covariance matrix.

    Source: Markowitz, Portfolio selection (1952); Clarke, de Silva & Thorley, Minimum-variance portfolios (2006); shrinkage:
    Ledoit & Wolf (2004). Solved by moving weight between the two instruments that gain most by it, until none gain: Platt,
    Sequential minimal optimization (1998).

    `lookback`: returns the covariances are taken from; `cap`: the largest share of one instrument (raised to 1 over their
    number where that is more); `rebalance`: bar times between two rebalancings.

    >>> import quantlytic as ql
    >>> result = ql.backtest(MinimumVariance(lookback=60), ql.demo_bars(300, instruments=4), cash=1e5)
    >>> result.metrics["fills"] > 10
    True
    """

    EXACT = 1e-10
    """How much variance per unit of weight may still be gained, as a share of the mean variance."""
    STEPS = 20_000

    cap: float = param(1.0, low=0.05, high=1.0)

    def setup(self) -> None:
        super().setup()
        self.shares = np.zeros(self.instruments)
        self.slopes = np.zeros(self.instruments)  # half of variance's change with each share

    def weigh(self) -> bool:
        if not self.estimate():
            return False
        self.solve(max(self.cap, 1.0 / self.count))
        for a in range(self.count):
            self.weights[self.members[a]] = self.shares[a]
        return True

    def solve(self, cap: float) -> None:
        scale = 0.0
        for a in range(self.count):
            self.shares[a] = 1.0 / self.count
            self.slopes[a] = 0.0
            scale += self.covariance[a, a] / self.count
            for b in range(self.count):
                self.slopes[a] += self.covariance[a, b] / self.count
        for _ in range(self.STEPS):
            giver, taker = -1, -1
            for a in range(self.count):
                if self.shares[a] > 0.0 and (giver < 0 or self.slopes[a] > self.slopes[giver]):
                    giver = a
                if self.shares[a] < cap and (taker < 0 or self.slopes[a] < self.slopes[taker]):
                    taker = a
            if giver < 0 or taker < 0 or self.slopes[giver] - self.slopes[taker] <= self.EXACT * scale:
                return
            self.move(giver, taker, min(self.shares[giver], cap - self.shares[taker]))

    def move(self, giver: int, taker: int, most: float) -> None:
        """As much weight as makes variance least, up to `most`."""
        curve = self.covariance[giver, giver] + self.covariance[taker, taker] - 2.0 * self.covariance[giver, taker]
        amount = most
        if curve > 0.0:
            amount = min((self.slopes[giver] - self.slopes[taker]) / curve, most)
        self.shares[giver] = self.shares[giver] - amount if amount < self.shares[giver] else 0.0
        self.shares[taker] += amount
        for b in range(self.count):
            self.slopes[b] += amount * (self.covariance[taker, b] - self.covariance[giver, b])
