"""A strategy sees the past before it may trade."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.research.leaky_rules import Trend, make_bars

import quantlytic as ql
from quantlytic.engine.data.bars import Bars
from quantlytic.engine.run.warmup import warm_up
from quantlytic.engine.session import Session
from quantlytic.model.errors import InputError


class Always(ql.Strategy):
    """Orders at every bar, in every way."""

    def setup(self) -> None:
        self.seen = 0

    def on_bar(self, bar: Any, broker: Any) -> None:
        self.seen += 1
        broker.buy(1.0)
        broker.limit(1, 1.0, bar.close)
        broker.target_weight(0.5)


def session_of(strategy: Any, bars: Bars) -> Session:
    return Session(strategy, bars.instruments, 1e6, compiled=False)


def test_nothing_is_traded_and_everything_is_seen() -> None:
    bars = make_bars(30)
    session = session_of(Always, bars)
    warm_up(session, bars)
    assert len(session.fills) == 0
    assert session.cash == 1e6
    assert session.state_of("test:A")["seen"] == 30
    assert (session.equity == 1e6).all()


def test_indicators_are_ready_and_trading_begins() -> None:
    bars = make_bars(60)
    past, future = Bars(bars.array[:30], bars.instruments), Bars(bars.array[30:], bars.instruments)
    warm, cold = session_of(Trend, bars), session_of(Trend, bars)
    warm_up(warm, past)
    assert repr(warm.state_of("test:A")["average"]) == repr(cold_after(cold, past))
    warm.run(future)
    assert len(warm.fills)
    assert warm.fills["event_time"].min() >= future.array["close_time"][0]


def cold_after(session: Session, bars: Bars) -> Any:
    session.run(bars)
    return session.state_of("test:A")["average"]


def test_only_a_fresh_session() -> None:
    bars = make_bars(60)
    session = session_of(Always, bars)
    session.run(bars)
    with pytest.raises(InputError, match="without positions"):
        warm_up(session, bars)


def test_the_venue_s_own_smallest_order_comes_back() -> None:
    bars = make_bars(10)
    session = session_of(Always, bars)
    warm_up(session, bars)
    assert np.isfinite(session._positions["min_notional"]).all()
