"""All of a live account that must outlive a crash; what was heard after the last commit is asked for again."""

from __future__ import annotations

import msgspec

from quantlytic.model.instrument import Instrument
from quantlytic.trading.holdings import Holdings
from quantlytic.trading.orderbook import OrderBook


class RunState(msgspec.Struct):
    """A run as its executor knows it. `executed`: the bar whose decision is awaited, -1 for none; `last_bar`: the last one."""

    holdings: Holdings
    bars_position: int
    decisions_position: int = 0
    executed: int = -1
    last_bar: int = -1
    fills_since_bar: int = 0


class AccountState(msgspec.Struct):
    """`expected`: balances by our own sums; `cursors`: the last trade taken in, by instrument; `seen`: foreign things that
    have been told once; `suspects`: balances that did not agree the last time, and by how much; `to_adopt`: positions that
    wait for a price; `instruments`: of all runs there have been; `forgiven_ns`: the release of the latch from which on losses are
    counted."""

    book: OrderBook = msgspec.field(default_factory=OrderBook)
    runs: dict[str, RunState] = {}
    is_open: bool = False
    expected: dict[str, float] = {}
    cursors: dict[str, int] = {}
    seen: list[str] = []
    suspects: dict[str, float] = {}
    to_adopt: dict[str, float] = {}
    instruments: dict[str, Instrument] = {}
    forgiven_ns: int = 0
