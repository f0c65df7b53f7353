"""What trades brought and cost: by hand, cause by cause."""

from __future__ import annotations

import math

import numpy as np
import pytest

from quantlytic.model.cashflow import CASH_FLOW, CashFlowKind
from quantlytic.model.fill import FILL
from quantlytic.research.figures.roundtrips import ROUND_TRIP, round_trips
from quantlytic.research.figures.trades import cost_metrics, trade_metrics

NO_FLOWS = np.zeros(0, CASH_FLOW)


def some_fills(*prices: float) -> np.ndarray:
    fills = np.zeros(len(prices), FILL)
    fills["side"], fills["quantity"], fills["price"] = [1, -1] * (len(prices) // 2), 2, prices
    fills["fee"], fills["event_time"] = 1.0, 10 * np.arange(len(prices))
    return fills


def test_trade_metrics() -> None:
    fills = some_fills(100, 110, 100, 95)
    fills["event_time"] = [0, 10, 20, 40]
    figures = trade_metrics(fills, round_trips(fills))
    assert figures["round_trips"] == 2
    assert figures["win_rate"] == 0.5
    assert figures["profit_factor"] == pytest.approx(18 / 12)
    assert figures["payoff_ratio"] == pytest.approx(18 / 12)
    assert figures["avg_trade"] == pytest.approx(3)
    assert figures["expectancy"] == pytest.approx((18 / 200 - 12 / 200) / 2)
    assert figures["avg_holding_ns"] == 15
    assert (figures["median_holding_ns"], figures["longest_holding_ns"]) == (15, 20)
    assert figures["avg_mae"] is figures["avg_mfe"] is None  # no bars were given
    none = trade_metrics(fills[:0], np.empty(0, ROUND_TRIP))
    assert none["fills"] == none["round_trips"] == none["longest_win_streak"] == 0
    assert none["win_rate"] is none["profit_factor"] is none["avg_trade"] is none["expectancy"] is None


def test_streaks_are_unbroken_runs() -> None:
    fills = some_fills(100, 110, 100, 110, 100, 90, 100, 110, 100, 90, 100, 90, 100, 90)
    figures = trade_metrics(fills, round_trips(fills))
    assert (figures["longest_win_streak"], figures["longest_loss_streak"]) == (2, 3)


def test_costs_are_split_by_cause() -> None:
    fills = some_fills(100, 110)
    fills["slippage"] = [0.5, 0.25]
    flows = np.zeros(6, CASH_FLOW)
    flows["kind"] = [*CashFlowKind, CashFlowKind.FUNDING]
    flows["amount"] = [7.0, -2.0, -0.5, -4.0, 1.5, 0.75]
    figures = cost_metrics(fills, flows)
    assert (figures["fees_paid"], figures["slippage_paid"]) == (2.0, 0.75)
    assert (figures["funding_paid"], figures["borrow_paid"], figures["liquidation_fees"]) == (1.25, 0.5, 4.0)
    assert (figures["dividends_received"], figures["interest_received"]) == (7.0, 1.5)
    assert figures["costs"] == pytest.approx(2 + 0.75 + 1.25 + 0.5 + 4)
    assert figures["cost_bps"] == pytest.approx(8.5 / 420 * 1e4)
    none = cost_metrics(fills[:0], NO_FLOWS)
    assert none["costs"] == 0
    assert none["cost_bps"] is None
    assert math.copysign(1, none["funding_paid"] or 0.0) == 1  # no -0.0 on a page


def test_many_small_round_trips_do_not_outweigh_a_large_loss() -> None:
    trips = np.zeros(10, ROUND_TRIP)
    trips["quantity"], trips["entry_price"], trips["pnl"] = 0.01, 100.0, 0.1  # 10 % of a sliver, nine times
    trips["quantity"][0], trips["pnl"][0] = 100.0, -500.0
    assert trade_metrics(some_fills(100, 110), trips)["expectancy"] == pytest.approx(-499.1 / 10_009)


def test_sums_beyond_a_float_are_no_figure() -> None:
    fills = some_fills(100, 110)
    fills["price"], fills["quantity"] = 1e200, 1e200
    assert trade_metrics(fills, round_trips(fills[:0]))["traded_value"] is None
    assert cost_metrics(fills, NO_FLOWS)["cost_bps"] in (0.0, None)
