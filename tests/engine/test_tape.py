"""Several inputs as one stream: their order, their pieces, what they leave behind."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from tests.engine.market import MINUTE_NS, instruments_of, rows
from tests.engine.tapes import (
    ONE,
    SECOND_NS,
    Cross,
    Everywhere,
    action_rows,
    everything_of,
    quote_rows,
    random_tape,
    trade_rows,
    trades,
)

from quantlytic import Bars, Fees, Session, Strategy
from quantlytic.engine.data.tape import Tape, Ticks, time_field
from quantlytic.engine.run.desk import ACTIONS, BARS, BOOKS, QUOTES, TRADES
from quantlytic.model.action import ActionKind
from quantlytic.model.errors import InputError, StrategyError

KINDS = ("bars", "hours", "trades", "quotes", "book", "actions")
_PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
_SLOW = [HealthCheck.too_slow]


class Diary(Strategy):
    """Writes down what it is called with: the kind, the time, the instrument, a price."""

    def setup(self) -> None:
        self.every(40 * SECOND_NS)
        self.count = 0
        self.pages = np.zeros((4_000, 4))

    def note(self, kind: int, time: int, instrument: int, price: float) -> None:
        self.pages[self.count, 0] = kind
        self.pages[self.count, 1] = time
        self.pages[self.count, 2] = instrument
        self.pages[self.count, 3] = price
        self.count += 1

    def on_bar(self, bar: Any, broker: Any) -> None:
        self.note(5, bar.close_time, bar.instrument, bar.close)

    def on_trade(self, trade: Any, broker: Any) -> None:
        self.note(4, trade.event_time, trade.instrument, trade.price)

    def on_quote(self, quote: Any, broker: Any) -> None:
        self.note(3, quote.event_time, quote.instrument, quote.bid)

    def on_book(self, book: Any, broker: Any) -> None:
        self.note(2, book.event_time, book.instrument, 0.0)

    def on_slice(self, slice: Any, broker: Any) -> None:
        self.note(6, slice.time, slice.count, slice.close(0))

    def on_timer(self, time: int, broker: Any) -> None:
        self.note(7, time, 0, 0.0)


def diary_of(tape: Tape) -> list[tuple[float, ...]]:
    """What `Diary` must write: a merge in plain Python, made another way."""
    words = {BARS: 5, TRADES: 4, QUOTES: 3, BOOKS: 2}
    prices = {BARS: "close", TRADES: "price", QUOTES: "bid"}
    events = []
    for k, (kind, array) in enumerate(zip(tape.kinds, tape.arrays, strict=True)):
        events += [(int(row[time_field(kind)]), kind, k, n, row) for n, row in enumerate(array)]
    events.sort(key=lambda event: event[:4])
    found: list[tuple[float, ...]] = []
    closes: dict[int, float] = {}
    closed: list[int] = []
    timer: int | None = None
    period = 40 * SECOND_NS
    for n, (time, kind, k, _, row) in enumerate(events):
        if timer is None:
            timer = -(-time // period) * period
        who = int(row["instrument"])
        if kind != ACTIONS and not (kind == BOOKS and not row["last"]):
            price = float(row[prices[kind]]) if kind in prices else 0.0
            found.append((words[kind], time, who, price))
        if kind == BARS and k == tape.finest[who]:
            closes[who] = float(row["close"])
            closed.append(who)
        following = events[n + 1][0] if n + 1 < len(events) else time + 1
        if following > time:
            if closed:
                found.append((6, time, len(closed), closes.get(0, float("nan"))))
            closed = []
            while timer < following:
                found.append((7, timer, 0, 0.0))
                timer += period
    return found


@settings(max_examples=60, deadline=None, phases=_PHASES, suppress_health_check=_SLOW)
@given(
    seed=st.integers(1, 10**6),
    minutes=st.integers(0, 12),
    count=st.integers(1, 3),
    kinds=st.frozensets(st.sampled_from(KINDS), min_size=1),
    compiled=st.booleans(),
)
def test_events_come_as_a_merge_by_time_says(
    seed: int, minutes: int, count: int, kinds: frozenset[str], compiled: bool
) -> None:
    tape = random_tape(seed, minutes, count, kinds | {"trades"})
    session = Session(Diary, instruments_of(count), 1e4, compiled=compiled, book_depth=16)
    session.run(tape)
    state = session.state_of("test:S0")
    found = state["pages"][: state["count"]]
    np.testing.assert_array_equal(found, np.array(diary_of(tape)).reshape(-1, 4))


def pieces_of(tape: Tape, cuts: list[float]) -> Iterator[Tape]:
    """The tape cut at some times that need not lie between events; a cut may fall into the middle of one time."""
    order = np.concatenate([
        np.stack([array[time_field(kind)], np.full(len(array), k), np.arange(len(array))], axis=1)
        for k, (kind, array) in enumerate(zip(tape.kinds, tape.arrays, strict=True))
    ])  # fmt: skip
    order = order[np.lexsort((order[:, 2], order[:, 1], order[:, 0]))]
    bounds = [0, *sorted(int(cut * len(order)) for cut in cuts), len(order)]
    for first, last in itertools.pairwise(bounds):
        part = order[first:last]
        yield tape._with(array[part[part[:, 1] == k][:, 2]] for k, array in enumerate(tape.arrays))


@settings(max_examples=60, deadline=None, phases=_PHASES, suppress_health_check=_SLOW)
@given(
    seed=st.integers(1, 10**6),
    count=st.integers(1, 3),
    kinds=st.frozensets(st.sampled_from(KINDS), min_size=1),
    cross=st.booleans(),
    cuts=st.lists(st.floats(0, 1), max_size=4),
    saved=st.booleans(),
)
def test_all_ways_give_the_same_bytes(
    seed: int, count: int, kinds: frozenset[str], cross: bool, cuts: list[float], saved: bool
) -> None:
    tape = random_tape(seed, 15, count, kinds - {"hours"} if "bars" not in kinds else kinds)
    if not set(tape.kinds) - {ACTIONS}:
        return

    def make(compiled: bool = True) -> Session:
        strategy = (Cross if cross else Everywhere)(seed=seed, weight=0.5)
        return Session(
            strategy, instruments_of(count), 10_000.0, Fees(10, 2), compiled=compiled, book_depth=8, max_open_orders=6
        )

    whole, debug, pieces = make(), make(compiled=False), make()
    whole.run(tape)
    expected = everything_of(whole)
    debug.run(tape)
    assert everything_of(debug) == expected
    pieces.run_chunks(pieces_of(tape, cuts))
    assert everything_of(pieces) == expected
    if saved:
        ready, rest = tape.split()
        first, second = make(), make(compiled=False)
        first.run(ready)
        second.restore(first.save())
        second.run(rest)
        assert second.save() == whole.save()


@settings(max_examples=40, deadline=None, phases=_PHASES, suppress_health_check=_SLOW)
@example(seed=248280, kinds=frozenset({"actions"}), cross=False, cut=0.9592022050471807)  # one ends before the cut
@given(
    seed=st.integers(1, 10**6),
    kinds=st.frozensets(st.sampled_from(KINDS), min_size=1),
    cross=st.booleans(),
    cut=st.floats(0, 1),
)
def test_another_future_never_changes_an_earlier_decision(
    seed: int, kinds: frozenset[str], cross: bool, cut: float
) -> None:
    tape, other = (random_tape(seed + shift, 15, 2, kinds | {"trades"}) for shift in (0, 1))
    time = int(cut * 15 * MINUTE_NS)
    past = [array[time_field(kind)] <= time for kind, array in zip(tape.kinds, tape.arrays, strict=True)]
    future = [array[time_field(kind)] > time for kind, array in zip(other.kinds, other.arrays, strict=True)]
    mixed = tape._with(
        np.concatenate([ours[before], theirs[after]])
        for ours, theirs, before, after in zip(tape.arrays, other.arrays, past, future, strict=True)
    )

    # After its last event a tape has ended, and no timer rings: that is no news from the future.
    ends = [max(int(array[time_field(kind)].max(initial=0)) for kind, array in zip(one.kinds, one.arrays, strict=True))
            for one in (tape, mixed)]  # fmt: skip
    time = min(time, *ends)

    def decisions(tape: Tape) -> list[bytes]:
        session = Session((Cross if cross else Everywhere)(seed=seed), instruments_of(2), 1e4, Fees(10), book_depth=8)
        session.run(tape)
        logs = (session.orders, session.signals, session.cancels)
        return [log[name][log["event_time"] <= time].tobytes() for log in logs for name in log.dtype.names]

    assert decisions(tape) == decisions(mixed)


def test_a_run_over_bars_alone_is_the_same_on_a_tape() -> None:
    tape = random_tape(4, 60, 2, frozenset({"bars", "actions"}))
    bars = tape.arrays[1]
    first, second = (Session(Everywhere(seed=2), instruments_of(2), 1e4) for _ in range(2))
    first.run(bars)
    second.run(Tape(bars=Bars(bars, tuple(instruments_of(2))), actions=Ticks(action_rows(), tuple(instruments_of(2)))))
    assert first.digest == second.digest
    assert len(first.fills) > 3


def test_larger_bars_only_inform() -> None:
    class Sizes(Strategy):
        def setup(self) -> None:
            self.minutes = 0
            self.hours = 0

        def on_bar(self, bar: Any, broker: Any) -> None:
            if bar.close_time - bar.open_time == MINUTE_NS:
                self.minutes += 1
            else:
                self.hours += 1
                broker.buy(1.0)

    minutes = Bars(rows(*[(10.0, 11.0, 9.0, 10.0)] * 6, (20.0, 21.0, 19.0, 20.0)), (ONE,))
    coarse = rows((10.0, 555.0, 9.0, 555.0))
    coarse["close_time"] = 5 * MINUTE_NS
    session = Session(Sizes, [ONE], 1e3, compiled=False)
    session.run(Tape(bars=[minutes, Bars(coarse, (ONE,))]))
    assert len(session.equity) == len(session.equity_times) == 7
    (fill,) = session.fills
    assert (fill["price"], fill["event_time"]) == (10.0, 5 * MINUTE_NS)
    state = session.state_of(ONE.id)
    assert (state["minutes"], state["hours"]) == (7, 1)
    assert session.equity[-1] == 1_010.0


def test_an_order_sent_inside_a_bar_does_not_get_its_open() -> None:
    class Late(Strategy):
        def setup(self) -> None:
            self.every(90 * SECOND_NS)
            self.sent = False

        def on_bar(self, bar: Any, broker: Any) -> None:
            if bar.instrument == 0 and not self.sent:
                self.sent = True
                broker.on(1).buy(1.0)  # whose bar of the same time is still to come

        def on_timer(self, time: int, broker: Any) -> None:
            if broker.open_orders == 0 and broker.is_flat:
                broker.buy(1.0)

    members = tuple(instruments_of(2))
    first = rows(*[(10.0, 20.0, 10.0, 20.0)] * 4)
    both = np.concatenate([first, first])
    both["instrument"][4:] = 1
    session = Session(Late, members, 1e3, compiled=False)
    session.run(Bars(both[np.lexsort((both["instrument"], both["close_time"]))], members))
    sent = dict(zip(session.orders["order_id"].tolist(), session.orders["event_time"].tolist(), strict=True))
    assert len(session.fills) >= 2
    for fill in session.fills:
        assert fill["event_time"] >= sent[int(fill["order_id"])]
    by_timer = session.fills[session.fills["instrument"] == 0][0]
    assert (by_timer["event_time"], by_timer["price"]) == (90 * SECOND_NS, 15.0)  # half way from open to close


def test_equity_without_bars_is_told_at_the_end_of_each_interval() -> None:
    class Hold(Strategy):
        def on_trade(self, trade: Any, broker: Any) -> None:
            if broker.is_flat and broker.open_orders == 0:
                broker.buy(1.0)

    found = trades((10, 1), (11, 1), (12, 1), (13, 1), (14, 1), step_ns=4 * SECOND_NS)
    for data in (found, Tape(trades=Ticks(found, (ONE,)), actions=Ticks(action_rows(), (ONE,)))):
        session = Session(Hold, [ONE], 100.0, compiled=False, equity_every_ns=10 * SECOND_NS)
        session.run(data)
        assert session.equity.tolist() == [100.0, 102.0, 103.0]
        assert (session.equity_times // SECOND_NS).tolist() == [8, 16, 20]
        every = Session(Hold, [ONE], 100.0, compiled=False, equity_every_ns=1)
        every.run(data)
        assert every.equity.tolist() == [100.0, 100.0, 101.0, 102.0, 103.0]


def test_a_time_that_is_over_does_not_go_on() -> None:
    first = Tape(trades=Ticks(trades((10, 1)), (ONE,)), quotes=Ticks(quote_rows([SECOND_NS], [9], [11]), (ONE,)))
    session = Session(Everywhere, [ONE], 1e3, compiled=False)
    session.run(first)
    with pytest.raises(InputError, match=r"goes on at 1970-01-01T00:00:01.*use run_chunks"):
        session.run(first)


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"price": np.nan},
            r"trades: row 1 at 1970-01-01T00:00:02.000000Z has price nan: prices are finite and above 0",
        ),
        ({"price": -1.0}, r"row 1 .* has price -1"),
        ({"quantity": 0.0}, r"row 1 .* has quantity 0"),
        ({"quantity": np.inf}, r"row 1 .* has quantity inf"),
        ({"instrument": 3}, r"names instrument 3: there are 1"),
        ({"event_time": 5}, r"row 1 at 1970-01-01T00:00:00.000000Z is earlier than the event before it \(.*00:00:01"),
    ],
)
def test_a_trade_that_cannot_be_is_named(compiled: bool, change: dict[str, Any], message: str) -> None:
    found = trades((10, 1), (11, 1), (12, 1))
    for name, value in change.items():
        found[name][1] = value
    for data in (found, Tape(trades=Ticks(found, (ONE,)), quotes=Ticks(quote_rows([], [], []), (ONE,)))):
        session = Session(Everywhere, [ONE], 1e3, compiled=compiled)
        with pytest.raises(InputError, match=message):
            session.run(data)


def test_bars_and_quotes_that_cannot_be_are_named() -> None:
    for field, value, message in (
        ("high", 1.0, "row 1 .* has high 1 below low 9"),
        ("close", np.nan, "has close nan"),
        ("open", 30.0, "has open or close outside of low and high"),
        ("close_time", 3, "is earlier than the event before it"),
    ):
        bars = rows((10.0, 11.0, 9.0, 10.0), (10.0, 11.0, 9.0, 10.0))
        bars[field][1] = value
        with pytest.raises(InputError, match=message):
            Session(Everywhere, [ONE], 1e3, compiled=False).run(Tape(bars=Bars(bars, (ONE,))))
    quotes = quote_rows([1, 2], [9.0, 12.0], [10.0, 10.0])
    with pytest.raises(InputError, match=r"quotes: row 1 .* has bid 12 above ask 10"):
        Session(Everywhere, [ONE], 1e3, compiled=False).run(Ticks(quotes, (ONE,)))


def test_what_was_finished_stays_when_a_row_cannot_be() -> None:
    found = trades(*[(10.0 + k, 1.0) for k in range(30)])
    found["price"][20] = np.nan
    session = Session(Everywhere(seed=3), [ONE], 1e3, equity_every_ns=1)
    with pytest.raises(InputError, match="row 20"):
        session.run(found)
    assert len(session.equity) == 20
    assert session.state_of(ONE.id)["seen"] == 20


def test_inputs_must_fit() -> None:
    session = Session(Everywhere, [ONE], 1e3, compiled=False)
    with pytest.raises(InputError, match="the session is about test:S0; the data is about test:S0, test:S1"):
        session.run(random_tape(1, 2, 2, frozenset({"bars"})))
    with pytest.raises(InputError, match=r"trades: rows of another kind .*: wanted the fields instrument, event_time"):
        Tape(trades=Ticks(rows((1.0, 1.0, 1.0, 1.0)), (ONE,)))
    with pytest.raises(InputError, match="rows of another kind were given"):
        session.run(np.zeros(3))
    session.run(trades((10, 1)))
    with pytest.raises(InputError, match="began with other inputs"):
        session.run(rows((1.0, 1.0, 1.0, 1.0)))

    class OnlyQuotes(Strategy):
        def on_quote(self, quote: Any, broker: Any) -> None: ...

    with pytest.raises(StrategyError, match=r"OnlyQuotes looks at none of what it is given \(bars\): it has on_quote"):
        Session(OnlyQuotes, [ONE], 1e3, compiled=False).run(rows((1.0, 1.0, 1.0, 1.0)))


def test_instruments_are_numbered_anew() -> None:
    a, b = instruments_of(2)
    tape = Tape(
        bars=Bars(rows((1.0, 1.0, 1.0, 1.0)), (b,)), actions=Ticks(action_rows((0, 5, ActionKind.SPLIT, 2.0)), (a,))
    )
    assert [one.id for one in tape.instruments] == ["test:S0", "test:S1"]
    assert [array["instrument"].tolist() for array in tape.arrays] == [[0], [1]]
    assert tape.sources == (BARS, BARS)
    assert tape.finest == (-1, 1)


def test_a_long_stream_runs_in_bounded_memory() -> None:
    """Chunks are made as they are asked for; nothing of them is kept but rows of results."""
    session = Session(Everywhere(seed=5), [ONE], 1e9, equity_every_ns=3_600 * SECOND_NS)
    alive = 0

    def chunks() -> Iterator[Ticks]:
        nonlocal alive
        r = np.random.default_rng(5)
        for k in range(40):
            times = k * 3_600 * SECOND_NS + np.sort(r.integers(0, 3_600, 2_000)) * SECOND_NS
            yield Ticks(trade_rows(times, 100 + r.normal(0, 0.1, 2_000)), (ONE,))
            session.forget()
            alive = max(alive, len(session.fills), len(session.equity))

    session.run_chunks(chunks())
    assert session._account.bars == 80_000
    assert alive <= 1
    assert len(session.equity) <= 3
