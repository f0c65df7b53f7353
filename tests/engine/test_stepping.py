"""Stepped event by event by two replicas, any tape gives what a run over it gives, to the byte."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tests.engine.market import MINUTE_NS, instruments_of, random_bars, rows
from tests.engine.stepping import Live, results_of
from tests.engine.tapes import ONE, SECOND_NS, Cross, Everywhere, quote_rows, random_tape, trade_rows

from quantlytic import Bars, Fees, Session, Strategy
from quantlytic.engine.data.tape import Tape
from quantlytic.engine.run.desk import ACTIONS
from quantlytic.engine.run.loop import ON_SLICE, ON_TIMER
from quantlytic.model.errors import InputError, StrategyError

KINDS = ("bars", "hours", "trades", "quotes", "book", "actions")
_PHASES = (Phase.explicit, Phase.reuse, Phase.generate)


@settings(max_examples=60, deadline=None, phases=_PHASES, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(1, 10**6),
    minutes=st.integers(0, 15),
    count=st.integers(1, 3),
    kinds=st.frozensets(st.sampled_from(KINDS), min_size=1),
    cross=st.booleans(),
    allow_short=st.booleans(),
    moved=st.floats(0, 0.2),
)
def test_stepped_is_run(
    seed: int, minutes: int, count: int, kinds: frozenset[str], cross: bool, allow_short: bool, moved: float
) -> None:
    tape = random_tape(seed, minutes, count, kinds - {"hours"} if "bars" not in kinds else kinds)
    if not set(tape.kinds) - {ACTIONS} or not len(tape):
        return

    def make(compiled: bool = True) -> Session:
        strategy = (Cross if cross else Everywhere)(seed=seed, weight=0.5)
        return Session(
            strategy, instruments_of(count), 10_000.0, Fees(10, 2), compiled=compiled, book_depth=8, max_open_orders=6,
            allow_short=allow_short,
        )  # fmt: skip

    whole = make()
    whole.run(tape)
    random = np.random.default_rng(seed)
    live = Live(make, tape, lambda _: random.random() < moved).run()
    assert live.results() == results_of(whole)
    assert live.digest == whole.digest
    assert live.executor.positions == live.strategist.positions == whole.positions


def test_trades_alone_need_not_be_expected() -> None:
    tape = random_tape(5, 12, 2, frozenset({"trades"}))

    def make() -> Session:
        return Session(Everywhere(seed=3), instruments_of(2), 1e4, Fees(10), compiled=False)

    whole, executor, strategist = make(), make(), make()
    whole.run(tape)
    answers, fills = whole.updates[:0], []
    for trade in tape.arrays[0]:
        for event in itertools.chain(moments(executor, int(trade["event_time"])), [trade]):
            updates, new, _ = executor.execute(event)
            strategist.apply(np.concatenate([answers, updates]), new, event)
            answers = executor.accept(*strategist.decide(event)[1:])
            fills.append(new)
    assert np.concatenate(fills)["price"].tolist() == whole.fills["price"].tolist()
    assert len(whole.fills) > 5


def moments(session: Session, until: int) -> Iterator[Any]:
    """What is due, one after the other: the loop must take each before it asks for the next."""
    while (moment := session.due(until)) is not None:
        yield moment


class Slices(Strategy):
    """Counts what it is called with."""

    def setup(self) -> None:
        self.every(MINUTE_NS)
        self.slices = 0
        self.timers = 0

    def on_slice(self, slice: Any, broker: Any) -> None:
        self.slices += 1

    def on_timer(self, time: int, broker: Any) -> None:
        self.timers += 1


def test_what_is_due_has_to_be_taken_first_and_nothing_else_can_be() -> None:
    bars = random_bars(3, 3, 2)
    times = np.unique(bars["close_time"])
    session = Session(Slices, instruments_of(2), 1e4, compiled=False)
    assert session.due(int(times[0])) is None
    for bar in bars[bars["close_time"] == times[0]]:
        session.execute(bar)
        assert session.due(int(times[0])) is None, "the time is not over"
    slice_now, timer = (session.due(int(times[1])), None)
    assert (slice_now["kind"], slice_now["time"]) == (ON_SLICE, times[0])
    later = bars[bars["close_time"] == times[1]][0]
    with pytest.raises(InputError, match=r"something is due before 1970-01-01T.*: take what `due` gives first"):
        session.execute(later)
    session.execute(slice_now)
    timer = session.due(int(times[1]))
    assert (timer["kind"], timer["time"]) == (ON_TIMER, times[0])
    with pytest.raises(InputError, match="nothing of that kind is due"):
        session.execute(slice_now)
    session.execute(timer)
    assert session.due(int(times[1])) is None
    session.execute(later)


def test_rows_that_were_not_expected_or_cannot_be_are_refused_and_the_next_is_taken() -> None:
    trades = trade_rows([SECOND_NS, 2 * SECOND_NS, 2 * SECOND_NS], [10.0, 11.0, 12.0])
    quotes = quote_rows([SECOND_NS], 9.0, 11.0)
    session = Session(Everywhere, [ONE], 1e4, compiled=False)
    session.execute(trades[0])
    with pytest.raises(InputError, match=r"the session does not expect such a row.*expect\(\)"):
        session.execute(quotes[0])
    bad = trades[1].copy()
    bad["price"] = np.nan
    with pytest.raises(InputError, match=r"trades: row 0 at .* price"):
        session.execute(bad)
    early = trades[1].copy()
    early["event_time"] = 5
    with pytest.raises(InputError, match="is earlier than the event before it"):
        session.execute(early)
    session.execute(trades[1])
    assert session.execute(trades[2])[2]["price"] == 12.0


def test_what_looks_at_none_of_it_says_so_at_the_first_row() -> None:
    class OnQuotes(Strategy):
        def on_quote(self, quote: Any, broker: Any) -> None: ...

    session = Session(OnQuotes, [ONE], 100.0, compiled=False)
    with pytest.raises(StrategyError, match=r"OnQuotes looks at none of what it is given \(bars\): it has on_quote"):
        session.execute(rows((1, 1, 1, 1))[0])


def test_a_restored_session_wants_the_same_inputs() -> None:
    tape = random_tape(9, 5, 1, frozenset({"bars", "quotes"}))
    first, second = (Session(Everywhere, instruments_of(1), 1e4, compiled=False) for _ in range(2))
    first.expect(tape)
    first.execute(tape.arrays[0][0])
    second.restore(first.save())
    with pytest.raises(InputError, match="the saved state is of a run over other inputs"):
        second.execute(tape.arrays[1][0])
    second.expect(tape)
    while (moment := second.due(int(tape.arrays[0]["event_time"][1]))) is not None:
        second.execute(moment)
    second.execute(tape.arrays[0][1])


def test_larger_bars_are_told_apart_by_their_input() -> None:
    """The same row of five minutes, taken for one of the finest bars, would value the position."""
    tape = random_tape(4, 10, 1, frozenset({"bars", "hours"}))
    session = Session(Everywhere(weight=0.0), instruments_of(1), 1e4, compiled=False)
    session.expect(tape)
    small, large = tape.arrays
    session.execute(small[0])
    while (moment := session.due(int(large["close_time"][0]))) is not None:
        session.execute(moment)
    state = session.execute(large[0], source=1)[2]
    assert state["price"] == small["close"][0]
    with pytest.raises(InputError, match="does not expect such a row"):
        session.execute(large[1], source=2)


def test_time_may_pass_without_events() -> None:
    bars = random_bars(3, 3, 2)
    end = int(bars["close_time"][-1])
    session = Session(Slices, instruments_of(2), 1e4, compiled=False)
    session.pass_time(end)  # nothing has begun
    session.run(bars)
    before = session.state_of("test:S0")["timers"]
    session.pass_time(end + 1)
    assert session.state_of("test:S0")["timers"] == before
    session.pass_time(end + 5 * MINUTE_NS + 1)
    assert session.state_of("test:S0")["timers"] == before + 5
    assert session.state_of("test:S0")["slices"] == len(np.unique(bars["close_time"]))


def test_a_python_strategy_steps_too() -> None:
    import quantlytic as ql

    class Plain(ql.PythonStrategy):
        def setup(self) -> None:
            self.seen: list[float] = []

        def on_slice(self, slice: Any, broker: Any) -> None:
            self.seen.append(sum(slice.close(k) for k in range(slice.instruments) if slice.has(k)))
            which = len(self.seen) % slice.instruments
            broker.on(which).target_weight(0.2 if len(self.seen) % 3 else 0.0)

    bars = Bars(random_bars(12, 30, 2), tuple(instruments_of(2)))
    tape = Tape(bars=bars)

    def make(compiled: bool = False) -> Session:
        return Session(Plain, bars.instruments, 1e4, Fees(10), compiled=compiled)

    for compiled in (False, True):
        whole = make(compiled)
        whole.run(bars)
        live = Live(lambda compiled=compiled: make(compiled), tape).run()  # type: ignore[misc]
        assert live.results() == results_of(whole)
        assert len(whole.fills) > 10
