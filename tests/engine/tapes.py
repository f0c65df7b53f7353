"""Tapes and strategies that the tests of events share."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from tests.engine.market import MINUTE_NS, Chaos, instruments_of, random_bars, rows

from quantlytic import Bars, Instrument, Session, param
from quantlytic.engine.data.tape import Tape, Ticks
from quantlytic.engine.matching.orderbook import LEVEL
from quantlytic.model.action import ACTION, ActionKind
from quantlytic.model.bar import blank_bars
from quantlytic.model.quote import QUOTE
from quantlytic.model.trade import TRADE

SECOND_NS = 1_000_000_000


def trades(*found: tuple[float, float], instrument: int = 0, step_ns: int = SECOND_NS, side: int = 1) -> NDArray[Any]:
    """Trades from (price, quantity), a step apart, the first at one step."""
    array = np.zeros(len(found), TRADE)
    for k, (price, quantity) in enumerate(found):
        array[k] = (instrument, (k + 1) * step_ns, (k + 1) * step_ns, k + 1, price, quantity, side)
    return array


def trade_rows(times: Any, prices: Any, quantities: Any = 1.0, sides: Any = 1, instrument: Any = 0) -> NDArray[Any]:
    array = np.zeros(len(np.atleast_1d(times)), TRADE)
    for name, values in (
        ("event_time", times), ("price", prices), ("quantity", quantities), ("side", sides), ("instrument", instrument)
    ):  # fmt: skip
        array[name] = values
    array["trade_id"] = np.arange(1, len(array) + 1)
    return array


def quote_rows(times: Any, bids: Any, asks: Any, instrument: Any = 0, quantity: float = 1.0) -> NDArray[Any]:
    array = np.zeros(len(np.atleast_1d(times)), QUOTE)
    for name, values in (("event_time", times), ("bid", bids), ("ask", asks), ("instrument", instrument)):
        array[name] = values
    array["bid_quantity"] = array["ask_quantity"] = quantity
    return array


def level_rows(*found: tuple[int, int, float, float, bool], instrument: int = 0) -> NDArray[Any]:
    """Level changes from (time, side, price, quantity, last)."""
    array = np.zeros(len(found), LEVEL)
    for k, (time, side, price, quantity, last) in enumerate(found):
        array[k] = (instrument, time, k, side, price, quantity, False, last)
    return array


def action_rows(*found: tuple[int, int, ActionKind, float]) -> NDArray[Any]:
    """Actions from (instrument, time, kind, value)."""
    array = np.zeros(len(found), ACTION)
    for k, row in enumerate(found):
        array[k] = row
    return array


def larger(bars: NDArray[Any], instruments: int, factor: int) -> NDArray[Any]:
    """Bars `factor` minutes long, of minute bars."""
    found = []
    size = factor * MINUTE_NS
    for k in range(instruments):
        mine = bars[bars["instrument"] == k]
        for start in np.unique((mine["close_time"] - 1) // size):
            part = mine[(mine["close_time"] - 1) // size == start]
            row = rows((part["open"][0], part["high"].max(), part["low"].min(), part["close"][-1]), instrument=k)
            row["open_time"], row["close_time"] = start * size, (start + 1) * size
            found.append(row)
    joined = np.concatenate(found) if found else blank_bars(0)
    return joined[np.lexsort((joined["instrument"], joined["close_time"]))]


def random_tape(seed: int, minutes: int, count: int, kinds: frozenset[str]) -> Tape:
    """Inputs of `kinds` about `count` instruments, on a coarse grid of times so that many fall together."""
    r = np.random.default_rng(seed)
    members = tuple(instruments_of(count))
    bars = random_bars(seed, minutes, count)
    span = max(minutes, 1) * 4
    base = r.uniform(50, 150, count)

    def times(n: int) -> NDArray[np.int64]:
        return np.sort(r.integers(0, span, n)) * (MINUTE_NS // 4)

    def walk(n: int, who: NDArray[Any]) -> NDArray[np.float64]:
        return base[who] * np.exp(np.cumsum(r.normal(0, 0.01, n)))

    found: dict[str, Any] = {}
    if "bars" in kinds:
        found["bars"] = [Bars(bars, members)]
        if "hours" in kinds:
            found["bars"].append(Bars(larger(bars, count, 5), members))
    if "trades" in kinds:
        n = int(r.integers(0, 6 * minutes + 1))
        who = r.integers(0, count, n)
        sides = np.where(r.random(n) < 0.5, 1, -1)
        found["trades"] = Ticks(trade_rows(times(n), walk(n, who), r.uniform(0.1, 5, n), sides, who), members)
    if "quotes" in kinds:
        n = int(r.integers(0, 6 * minutes + 1))
        who = r.integers(0, count, n)
        mid = walk(n, who)
        found["quotes"] = Ticks(quote_rows(times(n), mid * 0.999, mid * 1.001, who), members)
    if "book" in kinds:
        found["book"] = Ticks(random_levels(r, times(4 * minutes), count, base), members)
    if "actions" in kinds:
        n = int(r.integers(0, minutes // 4 + 2))
        kind = r.choice([int(ActionKind.DIVIDEND), int(ActionKind.SPLIT), int(ActionKind.FUNDING)], n)
        value = np.where(kind == int(ActionKind.SPLIT), r.choice([0.5, 2.0], n), r.uniform(0, 0.01, n))
        when, who = times(n), r.integers(0, count, n)
        found["actions"] = Ticks(action_rows(*zip(who, when, kind, value, strict=True)), members)
    return Tape(**found)


def random_levels(r: Any, times: NDArray[np.int64], count: int, base: NDArray[np.float64]) -> NDArray[Any]:
    """A book on ticks of 0.5 that is never crossed: bids below, asks above a slowly moving middle."""
    array = np.zeros(len(times), LEVEL)
    middle = np.round(base)
    for k, time in enumerate(times):
        who = int(r.integers(0, count))
        side = 1 if r.random() < 0.5 else -1
        price = middle[who] - side * 0.5 * int(r.integers(1, 12))
        quantity = 0.0 if r.random() < 0.3 else float(r.integers(1, 9))
        array[k] = (who, time, k, side, price, quantity, r.random() < 0.02, r.random() < 0.7)
    return array


class Everywhere(Chaos):
    """`Chaos` at every kind of event."""

    PERIOD_NS = 7 * SECOND_NS
    hold: float = param(0.0, low=0.0, high=1.0)

    def setup(self) -> None:
        super().setup()
        self.every(self.PERIOD_NS)
        self.seen = 0
        self.sum = 0.0

    def some(self, price: float, broker: Any) -> None:
        self.seen += 1
        self.sum = self.sum * 0.5 + price
        kind = self.draw(9)
        side = 1 if self.draw(2) == 0 else -1
        size = (1 + self.draw(20)) * 0.25
        if kind == 0:
            broker.target_weight(self.weight)
        elif kind == 1:
            broker.limit(side, size, price * (1.0 - side * 0.002 * self.draw(5)))
        elif kind == 2:
            broker.cancel_all()
        elif kind == 3:
            broker.limit(side, size, price * (1.0 + side * 0.01))
        elif kind == 4 and broker.open_orders < 4:
            broker.buy(size)
        elif kind == 5:
            broker.close()

    def on_trade(self, trade: Any, broker: Any) -> None:
        self.some(trade.price, broker)

    def on_quote(self, quote: Any, broker: Any) -> None:
        self.some(0.5 * (quote.bid + quote.ask), broker)

    def on_book(self, book: Any, broker: Any) -> None:
        if book.bids > 0 and book.asks > 0:
            self.some(book.mid + book.imbalance(3), broker)

    def on_timer(self, time: int, broker: Any) -> None:
        self.sum = self.sum + (time // 1_000_000_000) % 97
        if self.draw(5) == 0:
            broker.cancel_all()


class Cross(Everywhere):
    """The same with one state for all instruments, and the cross-section."""

    def on_slice(self, slice: Any, broker: Any) -> None:
        for i in range(slice.instruments):
            if slice.has(i):
                self.sum = self.sum * 0.25 + slice.close(i) * (i + 1) + slice.count
                if self.draw(6) == 0:
                    broker.on(i).target_weight(self.weight / slice.instruments)


def everything_of(session: Session) -> dict[str, bytes]:
    """All that a run brought forth, as bytes, and the state it ended in."""
    names = ("fills", "orders", "signals", "updates", "cancels", "amends", "flows")
    logs = {name: getattr(session, name) for name in names}
    packed = {name: b"".join(log[field].tobytes() for field in log.dtype.names) for name, log in logs.items()}
    return {
        "equity": session.equity.tobytes(), "times": session.equity_times.tobytes(), "state": session.save(), **packed
    }  # fmt: skip


ONE = Instrument("test:S0")
