"""Dollar-cost averaging: how often, for how much, and until when."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import quantlytic as ql
from quantlytic import Bars, Fees, Session
from quantlytic.strategies.dca import DCA


def run(bars: Bars, cash: float = 1e5, **params: Any) -> Session:
    session = Session(DCA(**params), bars.instruments, cash, Fees(10), compiled=False)
    session.run(bars)
    return session


def test_spends_the_same_each_time() -> None:
    bars = ql.demo_bars(100)
    session = run(bars, amount=500.0, interval=10)
    closes = bars.array["close"][np.arange(0, 100, 10)]
    assert session.fills["quantity"] == pytest.approx(500.0 / closes)
    assert (session.fills["event_time"] == bars.array["close_time"][np.arange(0, 100, 10)]).all()


def test_counts_days_whatever_the_bars() -> None:
    bars = ql.demo_bars(96, size="1h")
    kept = Bars(bars.array[np.random.default_rng(1).random(96) < 0.8], bars.instruments)
    session = run(kept, interval=2, days=True)
    days = (kept.array["close_time"] - 1) // 86_400_000_000_000
    firsts = [kept.array["close_time"][np.argmax(days == day)] for day in np.unique(days)[::2]]
    assert session.orders["event_time"].tolist() == firsts


def test_stops_when_the_cash_is_used_up() -> None:
    session = run(ql.demo_bars(50), cash=3_500.0, amount=1_000.0, interval=1)
    assert len(session.fills) == 3
    assert not (session.updates["reason"] > 0).any()
    assert session.cash > 0.0
