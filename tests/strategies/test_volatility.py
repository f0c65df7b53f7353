"""Shares that follow volatility: against the formula, over whole arrays."""

from __future__ import annotations

import numpy as np
import pytest

import quantlytic as ql
from quantlytic.strategies.time_series_momentum import TimeSeriesMomentum
from quantlytic.strategies.volatility_target import VolatilityTarget

YEAR_NS = 31_557_600e9


def volatility(bars: ql.Bars, row: int, period: int) -> float:
    """A year's, from the squares of the last `period` log returns and the time that they took."""
    closes, times = bars.array["close"], bars.array["close_time"]
    returns = np.diff(np.log(closes[row - period : row + 1]))
    return float(np.sqrt((returns**2).sum() * YEAR_NS / (times[row] - times[row - period])))


@pytest.mark.parametrize("holes", [False, True])
def test_momentum_is_scaled_by_volatility(holes: bool) -> None:
    bars = ql.demo_bars(700, seed=2)
    if holes:
        bars = ql.Bars(bars.array[np.random.default_rng(3).random(700) < 0.8], bars.instruments)
    strategy = TimeSeriesMomentum(lookback=100, volatility_period=40, rebalance=10, target=0.2, short=True)
    session = ql.Session(strategy, bars.instruments, 1e5, ql.Fees(0), compiled=False, allow_short=True)
    session.run(bars)
    signals, closes = session.signals, bars.array["close"]
    assert len(signals) > 20
    for signal in signals:
        row = int(signal["bar_offset"])
        side = np.sign(closes[row] - closes[row - 100])
        share = signal["target_quantity"] * closes[row] / session.equity[row]
        assert share == pytest.approx(side * min(0.95, 0.2 / volatility(bars, row, 40)), rel=1e-9)
    assert np.diff(signals["bar_offset"]).min() >= 10


def test_the_share_is_restored_when_it_is_off() -> None:
    bars = ql.demo_bars(700, seed=2, size="1d")
    session = ql.Session(VolatilityTarget(target=0.3, period=30, band=0.05), bars.instruments, 1e5, compiled=False)
    session.run(bars)
    fills, closes = session.fills, bars.array["close"]
    assert fills["bar_offset"][0] == 31
    traded = set()
    for signal in session.signals:
        row = int(signal["bar_offset"])
        traded.add(row)
        share = signal["target_quantity"] * closes[row] / session.equity[row]
        assert share == pytest.approx(min(0.95, 0.3 / volatility(bars, row, 30)), rel=1e-9)
    quantity = np.zeros(len(bars))
    np.add.at(quantity, fills["bar_offset"], fills["side"] * fills["quantity"])
    held = np.cumsum(quantity) * closes / session.equity
    for row in range(30, len(bars)):
        off = abs(min(0.95, 0.3 / volatility(bars, row, 30)) - held[row])
        assert (row in traded) == (off > 0.05)
