"""Compiles the engine once, before several workers would each do it at the same time."""

from __future__ import annotations

import quantlytic as ql
from quantlytic.strategies.catalogue import find


def warm() -> None:
    """Run what nearly every test runs: bars, orders of all kinds, the halves, trades, a tape."""
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
