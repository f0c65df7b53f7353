"""The hardest portfolio to beat."""

from __future__ import annotations

from quantlytic.strategies.portfolio import Portfolio


class EqualWeight(Portfolio):
    """Holds every instrument at the same share of equity, and restores the shares now and then: what has risen is trimmed,
    what has fallen is topped up. It estimates nothing, and so has no estimate to be wrong about.

    Source: DeMiguel, Garlappi & Uppal, Optimal versus naive diversification (2009): "1/N".

    `rebalance`: bar times between two rebalancings; `weight`: share of equity invested; `band`: smallest change worth making, as
    a share of equity.

    >>> import quantlytic as ql
    >>> result = ql.backtest(EqualWeight(rebalance=50), ql.demo_bars(500, instruments=4), cash=1e5)
    >>> sorted({int(fill["instrument"]) for fill in result.fills})
    [0, 1, 2, 3]
    """

    def weigh(self) -> bool:
        count = 0
        for i in range(self.instruments):
            count += self.is_trading(i)
        for i in range(self.instruments):
            if self.is_trading(i):
                self.weights[i] = 1.0 / count
        return count > 0
