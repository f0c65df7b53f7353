"""Every instrument bears the same risk."""

from __future__ import annotations

import math

import numpy as np

from quantlytic import param
from quantlytic.strategies.riskmodel import RiskModel


class RiskParity(RiskModel):
    """Holds shares such that each instrument adds the same to the portfolio's volatility: less of what is wild, and less of
    what moves with the others. Without `correlated` it takes shares in proportion to 1 / volatility, which is the same where
    all pairs are equally correlated.

    Source: Maillard, Roncalli & Teiletche, The properties of equally weighted risk contribution portfolios (2010); solved by
    cyclical coordinate descent: Griveau-Billion, Richard & Roncalli, A fast algorithm for computing high-dimensional risk
    parity portfolios (2013), on the objective of Spinu (2013).

    `lookback`: returns the risks are taken from; `rebalance`: bar times between two rebalancings.

    >>> import quantlytic as ql
    >>> result = ql.backtest(RiskParity(lookback=60), ql.demo_bars(300, instruments=4), cash=1e5)
    >>> sorted({int(fill["instrument"]) for fill in result.fills})
    [0, 1, 2, 3]
    """

    EXACT = 1e-12
    ROUNDS = 1_000

    correlated: bool = param(True)

    def setup(self) -> None:
        super().setup()
        self.shares = np.zeros(self.instruments)

    def weigh(self) -> bool:
        if not self.estimate():
            return False
        for a in range(self.count):
            self.shares[a] = 1.0 / self.deviations[a]
        if self.correlated:
            self.solve()
        total = 0.0
        for a in range(self.count):
            total += self.shares[a]
        for a in range(self.count):
            self.weights[self.members[a]] = self.shares[a] / total
        return True

    def solve(self) -> None:
        """Each share in turn is set so that share x (covariance with all shares) = 1 / count, until none moves."""
        for _ in range(self.ROUNDS):
            moved = 0.0
            for a in range(self.count):
                others = 0.0
                for b in range(self.count):
                    if b != a:
                        others += self.covariance[a, b] * self.shares[b]
                variance = self.covariance[a, a]
                root = math.sqrt(others * others + 4.0 * variance / self.count)
                # Of the two forms of the root of a quadratic, the one in which nothing cancels.
                share = 2.0 / self.count / (root + others) if others > 0.0 else (root - others) / (2.0 * variance)
                moved = max(moved, abs(share - self.shares[a]) / share)
                self.shares[a] = share
            if moved <= self.EXACT:
                return
