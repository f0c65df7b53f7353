"""The same run in harder markets."""

from __future__ import annotations

import dataclasses
import json

import pytest
from tests.research.leaky_rules import HOUR_NS, Trend, make_bars

from quantlytic.engine.data.bars import Bars
from quantlytic.engine.market.fees import Fees
from quantlytic.engine.market.latency import Latency
from quantlytic.engine.market.market import Market
from quantlytic.engine.market.slippage import FixedSlippage, VolumeShareSlippage
from quantlytic.model.errors import InputError
from quantlytic.research.honesty.stress import scenarios, stress
from quantlytic.research.runs.run import backtest

BARS = make_bars(400, seed=9)


def test_the_base_is_the_backtest_and_the_rest_is_worse() -> None:
    found = stress(Trend, BARS, fees=Fees(taker_bps=10), compiled=False)
    base = backtest(Trend(), BARS, fees=Fees(taker_bps=10), compiled=False)
    rows = {one.name: one for one in found.rows}
    assert list(rows) == ["as it is", "fees x2", "fees x3", "slippage +5 bps", "orders one bar late", "all at once"]
    assert rows["as it is"].total_return == base.metrics["total_return"]
    assert rows["as it is"].fills == len(base.fills)
    twice = backtest(Trend(), BARS, fees=Fees(taker_bps=20), compiled=False)
    assert rows["fees x2"].total_return == twice.metrics["total_return"]
    returns = [rows[name].total_return for name in ("as it is", "fees x2", "fees x3")]
    assert returns == sorted(returns, reverse=True)
    assert rows["slippage +5 bps"].total_return < rows["as it is"].total_return
    assert rows["all at once"].total_return < rows["slippage +5 bps"].total_return
    assert rows["orders one bar late"].total_return != rows["as it is"].total_return
    json.dumps([one.to_dict() for one in found.rows])


def test_break_even_is_where_the_profit_ends() -> None:
    trending = BARS.array.copy()
    for index, factor in enumerate([1.0 + 0.002 * k for k in range(len(trending))]):
        for name in ("open", "high", "low", "close"):
            trending[name][index] *= factor
    trending["open"][1:] = trending["close"][:-1]
    trending["high"] = [max(row["open"], row["high"], row["close"]) for row in trending]
    trending["low"] = [min(row["open"], row["low"], row["close"]) for row in trending]
    bars = Bars(trending, BARS.instruments)
    found = stress(Trend, bars, compiled=False)
    assert found.break_even_bps is not None
    assert found.break_even_bps > 0
    near = stress(Trend, bars, fees=Fees(taker_bps=found.break_even_bps), compiled=False).rows[0]
    assert abs(near.total_return) < 0.25 * found.rows[0].total_return
    assert found.survives == all(one.total_return > 0 for one in found.rows)
    assert "costs may rise by" in found.sentence


def test_what_loses_already_is_told() -> None:
    assert stress(Trend, make_bars(200, seed=2), fees=Fees(taker_bps=200), compiled=False).sentence.startswith(
        "It loses"
    )


def test_markets_get_harder_from_what_they_are() -> None:
    base = Market(
        fees=Fees(taker_bps=4, maker_bps=-1, per_order=1.0, tiers=((1e6, 3, -2),)),
        slippage=FixedSlippage(2),
        latency=Latency(7),
    )
    found = dict(scenarios(base, BARS, 5.0))
    assert found["fees x3"].fees == Fees(taker_bps=12, maker_bps=-1, per_order=3.0, tiers=((1e6, 9, -2),))
    assert found["slippage +5 bps"].slippage == FixedSlippage(7)
    assert found["orders one bar late"].latency == Latency(HOUR_NS + 7)
    volume = dict(scenarios(dataclasses.replace(base, slippage=VolumeShareSlippage()), BARS, 5.0))
    assert volume["slippage +5 bps"].fees.taker_bps == 9
    assert volume["slippage +5 bps"].slippage == VolumeShareSlippage()
    drawn = dict(scenarios(Market(latency=Latency(lags_ns=(1, 2), seed=3)), BARS))
    assert drawn["orders one bar late"].latency == Latency(lags_ns=(HOUR_NS + 1, HOUR_NS + 2), seed=3)
    assert "fees x2" not in drawn


def test_no_bars() -> None:
    with pytest.raises(InputError, match="there must be some"):
        stress(Trend, Bars(BARS.array[:0], BARS.instruments))
