"""Runs a session over arrays: of bars, of trades, of a tape of several inputs; at once or piece by piece."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlytic.engine.account.codes import FAULT_NONE, FAULT_TOO_MANY_REQUESTS, FAULT_UNKNOWN_INSTRUMENT, QUEUES
from quantlytic.engine.account.outbox import Outbox
from quantlytic.engine.compiler.explain import blame
from quantlytic.engine.compiler.record import Bytes, Layout
from quantlytic.engine.data.bars import Bars
from quantlytic.engine.data.rowcheck import what_is_wrong
from quantlytic.engine.data.tape import DTYPES, WORDS, Tape, Ticks, time_field
from quantlytic.engine.market.market import Market
from quantlytic.engine.plain import Cast
from quantlytic.engine.run.desk import ACTIONS, BARS, BOOKS, DESK, FEED, FEED_BYTES, NEVER, QUOTES, TRADES, make_desk
from quantlytic.engine.run.journal import SAMPLES, JournalFile
from quantlytic.engine.run.loop import FAULT_OUT_OF_ORDER
from quantlytic.engine.run.machine import Machine, build, locator
from quantlytic.engine.run.passes import BarsPass, Pass, TapePass, TradesPass, replay
from quantlytic.engine.run.results import Results
from quantlytic.engine.strategy import Strategy
from quantlytic.model.bar import BAR
from quantlytic.model.errors import InputError, StrategyError
from quantlytic.model.instrument import Instrument
from quantlytic.model.time import iso

Array = NDArray[Any]
Data = Bars | Ticks | Tape | Array
_MARKET = {"on_bar": BARS, "on_slice": BARS, "on_trade": TRADES, "on_quote": QUOTES, "on_book": BOOKS}


class Runner(Results):
    """The part of a session that goes over arrays. `Session` makes the arena and the rest of what is used here."""

    strategy: Strategy
    instruments: tuple[Instrument, ...]
    _arena: Bytes
    _layout: Layout
    _cast: Cast | None
    compiled: bool
    _at: Any
    _account: Any
    _machine: Machine
    _outbox: Outbox
    _timer_ns: int
    _equity_every_ns: int
    _book_depth: int
    market: Market

    def __init__(self) -> None:
        super().__init__()
        self._keep_desk(None)
        self._plan: tuple[Any, ...] | None = None
        self._inputs: Tape | None = None
        open_orders, requests = int(self._account.order_capacity), int(self._account.request_capacity)
        count = len(self.instruments)
        self._journal = JournalFile(
            (
                open_orders + count, 2 * requests + (2 * count + 3) * open_orders, requests, requests,
                count * open_orders, count * open_orders, 2 * count + 8,
            )
        )  # fmt: skip

    def run(self, data: Data) -> None:
        """Advance over all of it: bars in (close_time, instrument) order, trades, or a `Tape` of several inputs.

        Call it again with what follows: the same as in one piece. A piece ends its last time (`on_slice`, `on_timer`), so a
        tape of several inputs, or for a strategy with those handlers, is cut between times; `run_chunks` cuts anywhere.

        Raises StrategyError when a handler raises or sends too much (with event, time and line), InputError for a row that
        cannot be (with row and field). What was finished before stays: `equity`, `fills`, `state_of`, and so on.
        """
        tape = self._tape(data)
        self._check_plan(tape)
        if tape.kinds == (BARS,) and not self.looks_at_time:
            rows, start = tape.arrays[0], self._equity.count
            room = self._equity.reserve(len(rows))
            self._go(BarsPass(rows, room[8 * start : 8 * (start + len(rows))]))
        elif tape.kinds == (TRADES,) and not self.looks_at_time:
            self._go(TradesPass(tape.arrays[0]))
        else:
            self._check_start(tape)
            self._go(TapePass(tape))

    def run_as_taken(self, bars: Array) -> None:
        """`run` over bars in the order in which a paper run took them: there one instrument may wait for what it missed while
        others go on, so that times go back from one instrument to the next."""
        cuts = np.flatnonzero(np.diff(bars["close_time"]) < 0) + 1
        for piece in np.split(bars, cuts):
            if len(piece):
                self._account.time = min(int(self._account.time), int(piece["close_time"][0]))
                self.run(piece)

    def pass_time(self, until: int) -> None:
        """Nothing more comes before `until`, ns UTC: what is due till then is called (`on_slice`, `on_timer`)."""
        if self._inputs is not None and self.looks_at_time:
            self._go(TapePass(self._inputs, until=until))

    def run_chunks(self, chunks: Iterable[Data]) -> None:
        """Advance over the chunks, one after the other; they may be cut anywhere, also in the middle of one time.

        Only one chunk is in memory, and the rows of its last time until the next has come. `forget()` between chunks drops
        results already written elsewhere.
        """
        for tape in self._whole_times(chunks):
            self.run(tape)

    @property
    def equity(self) -> NDArray[np.float64]:
        """Equity at the close of each bar run; of a run without bars, at the end of each interval of `equity_every_ns` in
        which something happened, the last one as far as it has come: f8."""
        return np.append(self._equity.array, self._account.equity) if self._is_sampled else self._equity.array

    @property
    def equity_times(self) -> NDArray[np.int64]:
        """When each value of `equity` was, ns UTC. Empty after a run over bars alone: they are the bars' close times."""
        return np.append(self._times.array, self._desk["time"]) if self._is_sampled else self._times.array

    @property
    def looks_at_time(self) -> bool:
        """Whether the strategy has `on_slice` or `on_timer`: whether it matters when a time is over."""
        return not self.strategy.handlers().isdisjoint({"on_slice", "on_timer"})

    # ---- inside ----

    @property
    def _is_sampled(self) -> bool:
        return self._desk_bytes is not None and self._desk["sample_ns"] > 0 and self._desk["time"] != NEVER

    def _tape(self, data: Data) -> Tape:
        """What was given, as a tape of this session's instruments."""
        if isinstance(data, Tape):
            tape = data
        elif isinstance(data, Bars):
            tape = Tape(bars=data)
        elif isinstance(data, Ticks):
            tape = self._tape_of(data.array, data.instruments, data.label)
        else:
            tape = self._tape_of(np.atleast_1d(np.asarray(data)), self.instruments, "")
        if tape.instruments != self.instruments:
            ours, theirs = ([one.id for one in part] for part in (self.instruments, tape.instruments))
            if ours != theirs:
                raise InputError(f"the session is about {', '.join(ours)}; the data is about {', '.join(theirs)}")
        return tape

    def _tape_of(self, array: Array, instruments: tuple[Instrument, ...], label: str) -> Tape:
        kind = next((kind for kind, dtype in DTYPES.items() if dtype == array.dtype), None)
        if kind is None:
            raise InputError(f"rows of another kind were given: wanted the fields {', '.join(BAR.names or ())}")
        if kind == BARS:
            return Tape(bars=Bars(array, instruments, label))
        inputs: dict[str, Any] = {WORDS[kind]: Ticks(array, instruments, label)}
        return Tape(**inputs)

    def _check_plan(self, tape: Tape) -> None:
        """A session takes one kind of tape, and one that its strategy can look at."""
        plan = tape.kinds, tape.members
        if self._plan is None:
            handlers, name = self.strategy.handlers(), type(self.strategy).__name__
            seen = {_MARKET[handler] for handler in handlers if handler in _MARKET} & set(tape.kinds)
            if not seen and "on_timer" not in handlers:
                given = ", ".join(WORDS[kind] for kind in tape.kinds if kind != ACTIONS) or "nothing"
                raise StrategyError(f"{name} looks at none of what it is given ({given}): it has {_listed(handlers)}")
            if plan[0] != (BARS,) or self.looks_at_time:
                self._take_desk(self._new_desk(tape))
            self._plan, self._inputs = plan, tape.blank
        elif self._plan != plan:
            raise InputError("the session began with other inputs: give each piece the same ones, in the same order")

    def _new_desk(self, tape: Tape) -> Bytes:
        finest = tape.finest
        return make_desk(
            tape.sources, finest, sliced="on_slice" in self.strategy.handlers(), period=self._timer_ns,
            sample_ns=self._equity_every_ns if max(finest, default=-1) < 0 else 0,
            depth=self._book_depth, capacity=int(self._account.order_capacity), queue=QUEUES.index(self.market.queue),
        )  # fmt: skip

    def _take_desk(self, fresh: Bytes) -> None:
        """Begin with this desk, or go on with the one that was restored, if it is for the same inputs."""
        if self._desk_bytes is None:
            self._keep_desk(fresh)
            return
        ours = self._desk_bytes
        first, last = int(self._desk["feeds_at"]), int(self._desk["feeds_at"]) + len(self.instruments) * FEED_BYTES
        if len(fresh) == len(ours):
            new, old = (desk[first:last].view(FEED.dtype)[["source", "finest"]] for desk in (fresh, ours))
            if np.array_equal(new, old):
                return
        raise InputError("the saved state is of a run over other inputs: give the same ones, in the same order")

    def _restore_desk(self, desk: bytes) -> None:
        self._plan = self._inputs = None
        self._keep_desk(np.frombuffer(desk, np.uint8).copy() if desk else None)

    def _keep_desk(self, desk: Bytes | None) -> None:
        """Have this desk from here on, and what reads it."""
        self._desk_bytes = desk
        if desk is not None:
            self._desk: Any = desk[: DESK.size].view(DESK.dtype)[0]
            self._desk_view: Any = DESK.view(desk)
            self._desk_at: Any = self._at(desk)

    def _go(self, one: Pass) -> None:
        """Make a pass; what is finished when something goes wrong stays."""
        account, desk = self._account, self._desk_bytes
        begun = int(account.bars)
        knows_lines = self._cast is not None or not self.compiled
        before = None if knows_lines else (self._arena.copy(), None if desk is None else desk.copy())
        try:
            while not one.done:
                try:
                    one.go(self._machine, self._at, self._arena, desk, self._journal.buffer)
                finally:
                    self._take_journal()
                self._check_fault(*one.bad_row(desk))
        except Exception as error:
            if isinstance(error, InputError | StrategyError):
                raise
            raise self._blame(self._with_line(error, one, begun, before)) from error
        finally:
            if isinstance(one, BarsPass):
                self._equity.count += one.next if one.done or account.fault else int(account.bars) - begun

    def _with_line(
        self, error: Exception, one: Pass, begun: int, before: tuple[Bytes, Bytes | None] | None
    ) -> Exception:
        """The same exception with the line it was raised at, which compiled code does not know."""
        if before is None:
            return error
        plain = build(type(self.strategy), self._layout, compiled=False)
        arena, desk = self._arena.copy(), None if self._desk_bytes is None else self._desk_bytes.copy()
        events = int(self._account.bars) - begun
        again = replay(
            one, events, arena, desk, before, self._machine, plain, (self._at, locator(compiled=False)), self._journal
        )
        return again if again is not None and type(again) is type(error) else error

    def _check_start(self, tape: Tape) -> None:
        """A time that is over does not go on, where it would matter."""
        starts = [
            int(array[time_field(kind)][0]) for kind, array in zip(tape.kinds, tape.arrays, strict=True) if len(array)
        ]
        time = int(self._desk["time"])
        if starts and min(starts) == time and (len(tape.kinds) > 1 or self.looks_at_time):
            raise InputError(
                f"the tape goes on at {iso(time)}, which the piece before it ended: cut it between times, or use run_chunks"
            )

    def _whole_times(self, chunks: Iterable[Data]) -> Iterator[Tape]:
        """The chunks, cut anew between times: what may not be complete waits for the next."""
        waiting: Tape | None = None
        for chunk in chunks:
            tape = self._tape(chunk)
            if waiting is not None:
                tape = tape.after(waiting)
            ready, waiting = tape.split()
            if len(ready):
                yield ready
        if waiting is not None:
            yield waiting

    def _take_journal(self) -> None:
        """Take over what the events have brought, that of one in whose middle a handler raised as well."""
        for box, log in enumerate(self._logs):
            log.extend(self._journal.take(box))
            log.extend(self._outbox.take(box))
        samples = self._journal.take(SAMPLES)
        if len(samples):
            self._equity.extend(samples["equity"])
            self._times.extend(samples["time"])

    def _check_fault(self, kind: int, rows: Array, row: int) -> None:
        fault = int(self._account.fault)
        if fault == FAULT_NONE:
            return
        if fault == FAULT_TOO_MANY_REQUESTS:
            raise StrategyError(
                f"{type(self.strategy).__name__} sent more than {self._account.request_capacity} orders at one bar "
                f"({iso(int(self._account.time))}): send fewer, or raise max_open_orders"
            )
        bad = rows[min(row, len(rows) - 1)]
        if fault == FAULT_UNKNOWN_INSTRUMENT:
            raise self._no_instrument(bad)
        if fault == FAULT_OUT_OF_ORDER:
            what = f"is earlier than the event before it ({iso(int(self._account.time))})"
        else:
            what = what_is_wrong(kind, bad)
        raise InputError(f"{WORDS[kind]}: row {row} at {iso(int(bad[time_field(kind)]))} {what}")

    def _no_instrument(self, row: Any) -> InputError:
        return InputError(f"a bar names instrument {row['instrument']}: there are {len(self.instruments)}")

    def _blame(self, error: Exception) -> StrategyError:
        word = "bar" if self._plan is None or self._plan[0] == (BARS,) else "event"
        return blame(error, type(self.strategy), int(self._account.bars) - 1, int(self._account.time), word)


def _listed(handlers: frozenset[str]) -> str:
    return ", ".join(sorted(handlers)) or "no handlers"
