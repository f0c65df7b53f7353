"""Compiles the engine once, before several workers would each do it at the same time."""

from __future__ import annotations

import quantlytic as ql
from quantlytic.strategies.catalogue import find


def warm() -> None:
    """Run what nearly every test runs: bars, orders of all kinds, the halves, trades, a tape, its halves."""
    bars = ql.demo_bars(300)
    for name in ("sma-cross", "turtle", "bracket-breakout"):
        ql.Session(find(name), bars.instruments, 1e5).run(bars)
    session = ql.Session(find("sma-cross"), bars.instruments, 1e5)
    for bar in bars.array[:3]:
        updates, fills, _ = session.execute(bar)
        session.apply(updates, fills, bar)
        session.accept(*session.decide(bar)[1:])
    quotes = ql.demo_quotes(300)
    ql.Session(find("market-maker"), quotes.instruments, 1e5).run(quotes)
    bars = ql.demo_bars(3, instruments=2)
    session = ql.Session(find("equal-weight"), bars.instruments, 1e5)
    for bar in bars.array[:2]:
        session.execute(bar)
        session.decide(bar)
    moment = session.due(int(bars.array["close_time"][0]) + 1)
    session.execute(moment)
    session.accept(*session.decide(moment)[1:])
    session.apply(session.updates, session.fills, bars.array[2])
