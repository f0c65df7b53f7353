"""The capacity is where the square-root law eats half the profit."""

from __future__ import annotations

import numpy as np
import pytest

from quantlytic.engine.data.bars import Bars
from quantlytic.model.fill import FILL
from quantlytic.model.instrument import Instrument
from quantlytic.research.figures.capacity import capacity


def some_bars(volume: float = 1000.0, count: int = 500) -> Bars:
    closes = 100 * np.exp(np.cumsum(np.random.default_rng(2).normal(0, 0.01, count)))
    times = 60_000_000_000 * np.arange(count)
    return Bars.of(
        Instrument("file:X"), open_time=times, close_time=times + 60_000_000_000, open=closes, high=closes, low=closes,
        close=closes, volume=np.full(count, volume),
    )  # fmt: skip


def some_fills(quantity: float) -> np.ndarray:
    fills = np.zeros(4, FILL)
    fills["quantity"], fills["price"] = quantity, [100, 101, 99, 103]
    return fills


def test_at_capacity_impact_costs_half_the_profit() -> None:
    bars, cash, profit = some_bars(), 1e4, 30.0
    found = capacity(bars, some_fills(2.0), cash, profit)
    assert found is not None
    times = found / cash
    volatility = np.diff(np.log(bars.array["close"])).std(ddof=1)
    cost = sum(2.0 * times * price * volatility * np.sqrt(2.0 * times / 1000) for price in (100, 101, 99, 103))
    assert cost == pytest.approx(profit * times / 2)


def test_it_goes_with_the_volume_and_not_with_the_cash_of_the_run() -> None:
    once = capacity(some_bars(), some_fills(2.0), 1e4, 30.0)
    assert capacity(some_bars(3000.0), some_fills(2.0), 1e4, 30.0) == pytest.approx(3 * once)  # type: ignore[operator]
    assert capacity(some_bars(), some_fills(20.0), 1e5, 300.0) == pytest.approx(
        once
    )  # the same rule with ten times the cash


def test_none_where_there_is_nothing_to_tell() -> None:
    assert capacity(some_bars(), some_fills(2.0), 1e4, -5.0) is None
    assert capacity(some_bars(), some_fills(2.0)[:0], 1e4, 5.0) is None
    assert capacity(some_bars(0.0), some_fills(2.0), 1e4, 5.0) is None
    assert capacity(some_bars(count=2), some_fills(2.0), 1e4, 5.0) is None
