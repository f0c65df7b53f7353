"""Look-ahead: what it tells must be what a run over that very bar does, and the session must not notice."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.engine.market import MINUTE_NS, random_bars, rows

import quantlytic as ql
from quantlytic.engine.fork import Intent
from quantlytic.indicators import RSI, SMA
from quantlytic.model.errors import InputError, StrategyError
from quantlytic.model.order import OrderType

STOCK = ql.Instrument("test:S0")


class Cross(ql.Strategy):
    """Long above its average."""

    span: int = ql.param(3, low=2, high=50)

    def setup(self) -> None:
        self.average = SMA(self.span)

    def on_bar(self, bar: Any, broker: Any) -> None:
        level = self.average.update(bar.close)
        if not self.average.ready:
            return
        if bar.close > level and broker.is_flat:
            broker.target_weight(0.9)
        elif bar.close < level and broker.is_long:
            broker.close()


class Reversal(ql.Strategy):
    """Buys what has fallen: two bands, one above the other."""

    span: int = ql.param(5, low=2, high=50)

    def setup(self) -> None:
        self.strength = RSI(self.span)

    def on_bar(self, bar: Any, broker: Any) -> None:
        level = self.strength.update(bar.close)
        if level < 30.0 and broker.is_flat:
            broker.limit(1, 2.0, bar.close * 0.99)
        elif level > 70.0 and broker.open_orders > 0:
            broker.cancel_all()
        elif level > 70.0 and broker.is_long:
            broker.close()


class Follows(ql.Strategy):
    """Has a limit resting; sells again, higher, once it is filled."""

    def setup(self) -> None:
        self.sent = False

    def on_fill(self, fill: Any, broker: Any) -> None:
        if fill.side > 0:
            broker.limit(-1, fill.quantity, fill.price + 5.0)

    def on_bar(self, bar: Any, broker: Any) -> None:
        if not self.sent:
            self.sent = True
            broker.limit(1, 3.0, 98.0)


def bar_to(last: np.void, close: float, bars: int = 1, size_ns: int = MINUTE_NS) -> np.ndarray[Any, Any]:
    """`bars` - 1 bars that do not move after the last one, then one that goes to `close`."""
    found = []
    for k in range(bars):
        price = close if k == bars - 1 else float(last["close"])
        row = rows((float(last["close"]), max(price, float(last["close"])), min(price, float(last["close"])), price))
        row["open_time"] = last["close_time"] + k * size_ns
        row["close_time"] = row["open_time"] + size_ns
        row["volume"] = 0.0
        found.append(row)
    return np.concatenate(found)


def told(intents: list[Intent], close: float, horizon: int = 1) -> list[tuple[Any, ...]]:
    return sorted(
        (one.action, int((one.action == "order" and one.side) or 0), int(one.order_type or 0))
        for one in intents
        if one.horizon == horizon and one.price_low <= close <= one.price_high
    )


def done(session: ql.Session, close: float, last: np.void, horizon: int = 1) -> list[tuple[Any, ...]]:
    """What a session like this one does when the bar really closes there."""
    twin = ql.Session(session.strategy, session.instruments, 1e5, compiled=session.compiled)
    twin.restore(session.save())
    bars = bar_to(last, close, horizon)
    if horizon > 1:
        twin.run(bars[:-1])
    orders, cancels = len(twin.orders), len(twin.cancels)
    twin.run(bars[-1:])
    found = [("order", int(row["side"]), int(row["type"])) for row in twin.orders[orders:]]
    return sorted(found + [("cancel", 0, 0) for _ in twin.cancels[cancels:]])


def session_after(strategy: ql.Strategy, bars: np.ndarray[Any, Any], compiled: bool = False) -> ql.Session:
    session = ql.Session(strategy, [STOCK], 1e5, compiled=compiled)
    session.run(bars)
    return session


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    count=st.integers(8, 60),
    span=st.integers(2, 8),
    kind=st.sampled_from([Cross, Reversal]),
    horizon=st.integers(1, 3),
    where=st.floats(0.0, 1.0),
)
def test_what_is_told_is_what_is_done(seed: int, count: int, span: int, kind: Any, horizon: int, where: float) -> None:
    """At any close in a band, at its edges and just beyond them."""
    bars = random_bars(seed, count, 1)
    session = session_after(kind(span=span), bars)
    before = session.save()
    intents = ql.fork(session, "1m", horizons=horizon, steps=21)
    assert session.save() == before
    assert len(session.equity) == len(bars)
    last = bars[-1]
    closes = [last["close"] * (0.95 + 0.1 * where), last["close"]]
    for one in intents:
        if one.horizon == horizon:
            closes += [one.price_low, one.price_high, one.close, (one.price_low + one.price_high) / 2]
    for close in closes:
        expected = done(session, close, last, horizon)
        if told(intents, close, horizon) != expected:  # a band narrower than a step may be missed, an edge never
            assert close not in [edge for one in intents for edge in (one.price_low, one.price_high)]
            assert close != last["close"]
    for one in intents:
        if one.horizon == horizon:
            for edge, step in ((one.price_low, -1), (one.price_high, 1)):
                beyond = edge * (1 + step * 3e-9)
                if abs(beyond / last["close"] - 1) < 0.05 * (1 - 1e-9):
                    mine = [
                        other
                        for other in intents
                        if other.horizon == horizon and other.price_low <= beyond <= other.price_high
                    ]
                    assert not mine or {m.price_low for m in mine} != {one.price_low}
                    assert done(session, beyond, last, horizon) != done(session, edge, last, horizon)


def test_compiled_and_debug_tell_the_same() -> None:
    for seed in range(3):
        bars = random_bars(seed, 40, 1)
        found = [
            ql.fork(session_after(kind(), bars, compiled), "1m", horizons=3)
            for compiled in (False, True)
            for kind in (Cross, Reversal)
        ]
        assert repr(found[:2]) == repr(found[2:])


def test_a_threshold_known_beforehand() -> None:
    """Average of 3 after 100, 100 and now c: c is above it when c > 100."""
    session = session_after(Cross(span=3), rows(*[(100.0, 100.0, 100.0, 100.0)] * 5))
    (one,) = ql.fork(session, MINUTE_NS)
    assert one.side is ql.Side.BUY
    assert one.order_type is OrderType.MARKET
    assert one.price_low == pytest.approx(100.0, rel=3e-9)
    assert one.price_low > 100.0
    assert one.price_high == pytest.approx(105.0)
    assert one.quantity == pytest.approx(900.0)
    assert one.target_quantity == one.quantity
    assert math.isnan(one.order_price)
    assert one.time == 6 * MINUTE_NS
    (coarse,) = ql.fork(session, MINUTE_NS, tick=0.05)
    assert coarse.price_low == 100.05


def test_edges_lie_on_ticks() -> None:
    instrument = ql.Instrument("test:T", tick_size=0.25)
    session = ql.Session(Cross(span=3), [instrument], 1e5, compiled=False)
    session.run(rows(*[(100.0, 100.0, 100.0, 100.0)] * 5))
    (one,) = ql.fork(session, "1m")
    assert one.price_low == 100.25
    assert one.price_high == 105.0


def test_open_orders_meet_the_bar_first() -> None:
    """The limit at 98 fills when the bar reaches it; on_fill then sends the sale."""
    session = session_after(Follows(), rows(*[(100.0, 100.0, 100.0, 100.0)] * 2))
    (one,) = ql.fork(session, "1m")
    assert one.price_high == pytest.approx(98.0, rel=3e-9)
    assert one.price_low == pytest.approx(95.0)
    assert (one.side, one.order_type, one.quantity, one.order_price) == (ql.Side.SELL, OrderType.LIMIT, 3.0, 103.0)


def test_horizons_go_on_from_what_was_done_before() -> None:
    """Six bars at 100 after a higher one: with each bar that does not move the average comes down."""
    session = session_after(
        Cross(span=4), rows(*[(100.0, 100.0, close, close) for close in (100.0, 100.0, 100.0, 96.0)])
    )
    found = ql.fork(session, "1m", horizons=3)
    lows = {one.horizon: one.price_low for one in found}
    # (100 + 100 + 96 + c) / 4 < c, then (100 + 96 + 96 + c) / 4 < c, then 96 itself
    assert lows[1] == pytest.approx(296 / 3, rel=1e-8)
    assert lows[2] == pytest.approx(292 / 3, rel=1e-8)
    assert lows[3] == pytest.approx(96.0, rel=1e-8)
    assert [one.time for one in found] == [5 * MINUTE_NS, 6 * MINUTE_NS, 7 * MINUTE_NS]


class Raises(ql.Strategy):
    def on_bar(self, bar: Any, broker: Any) -> None:
        if bar.close > 101.0:
            raise ValueError("too high")


def test_errors() -> None:
    session = ql.Session(Cross(), [STOCK], 1e5, compiled=False)
    with pytest.raises(InputError, match="has had no bar yet"):
        ql.fork(session, "1m")
    two = ql.Session(Cross(), [STOCK, ql.Instrument("test:S1")], 1e5, compiled=False)
    with pytest.raises(
        InputError, match="say which instrument to look ahead for, not None: there are test:S0, test:S1"
    ):
        ql.fork(two, "1m")
    with pytest.raises(InputError, match="bar_size"):
        ql.fork(session, 0)
    raising = session_after(Raises(), rows((100.0, 100.0, 100.0, 100.0)))
    with pytest.raises(StrategyError, match=r"test_fork\.py:\d+: ValueError at bar 1 .*too high"):
        ql.fork(raising, "1m")
    raising.run(bar_to(rows((100.0, 100.0, 100.0, 100.0))[0], 99.0))
    assert len(raising.equity) == 2


def test_one_instrument_of_several() -> None:
    array = random_bars(3, 30, 2)
    instruments = [STOCK, ql.Instrument("test:S1")]
    session = ql.Session(Cross(span=3), instruments, 1e5, compiled=False)
    session.run(array)
    for k, one in enumerate(instruments):
        found = ql.fork(session, "1m", instrument=one.id, steps=41)
        last = array[array["instrument"] == k][-1]["close"]
        assert all(intent.instrument == one.id and abs(intent.close / last - 1) <= 0.05 for intent in found)


def test_a_strategists_session_between_two_bars() -> None:
    """What it has sent and not heard of counts as accepted."""
    bars = rows(*[(100.0, 100.0, 100.0, 100.0)] * 2)
    session = ql.Session(Follows(), [STOCK], 1e5, compiled=False)
    for bar in bars[:1]:
        session.apply(np.zeros(0, session.updates.dtype), np.zeros(0, session.fills.dtype), bar)
        session.decide(bar)
    (one,) = ql.fork(session, "1m")
    assert one.price_high == pytest.approx(98.0, rel=3e-9)
