"""Book imbalance: on quotes and on a real book, the same in all ways of running it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.engine.tapes import quote_rows
from tests.strategies.ticks import booked

import quantlytic as ql
from quantlytic import Fees, Instrument, Session, Ticks
from quantlytic.strategies.book_imbalance import BookImbalance

SECOND_NS = 1_000_000_000


def run(strategy: BookImbalance, data: Any, compiled: bool = False) -> Session:
    session = Session(strategy, data.instruments, 1e5, Fees(0), compiled=compiled, allow_short=strategy.short)
    session.run(data)
    return session


def test_follows_the_heavier_side() -> None:
    quotes = quote_rows(np.arange(1, 61) * SECOND_NS, 99.99, 100.01)
    quotes["bid_quantity"][10:30] = 9.0  # an imbalance of 0.8
    quotes["ask_quantity"][30:] = 9.0
    data = Ticks(quotes, (Instrument("test:S0"),))
    session = run(BookImbalance(), data)
    times = (session.orders["event_time"] // SECOND_NS).tolist()
    # With a memory of 2 s the average is 0.8 (1 - e^(-t/2)): over 0.4 after 2 s. It falls below 0 a little later than it rose.
    assert session.orders["side"].tolist() == [1, -1]
    assert times == [12, 32]
    both = run(BookImbalance(short=True), data)
    assert both.orders["side"].tolist() == [1, -1, -1]


def test_on_quotes_and_trading_is_not_too_often() -> None:
    session = run(BookImbalance(hold=5.0, short=True), ql.demo_quotes(1500))
    assert len(session.fills) > 10
    assert np.diff(session.orders["event_time"]).min() >= 5 * SECOND_NS


@pytest.mark.timeout(400)  # the engine may have to be compiled
def test_on_a_real_book_compiled_and_debug_agree(market_data: Path) -> None:
    tape = booked(market_data, 150)
    strategy = BookImbalance(levels=3, memory=0.2, hold=0.1, entry=0.2, short=True)
    debug, compiled = run(strategy, tape), run(strategy, tape, compiled=True)
    assert len(debug.fills) > 2
    assert debug.digest == compiled.digest
    assert debug.save() == compiled.save()
