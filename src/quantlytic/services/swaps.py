"""Another strategy for a running one: asked for in `commands.RUN`, made ready beside the way of bars, handed over between two."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from quantlytic.engine.session import Session
from quantlytic.engine.strategy import Strategy
from quantlytic.engine.successor import Successor
from quantlytic.model.errors import QuantlyticError
from quantlytic.model.run import Run
from quantlytic.model.strategychange import StrategyChange, StrategyRequest
from quantlytic.research.runs.beginning import past
from quantlytic.research.runs.paper import Array
from quantlytic.research.runs.succession import code_of_file, packed, params_text, successor, too_long, why_not
from quantlytic.services.inbox import Inbox
from quantlytic.store.log.port import Log
from quantlytic.strategies.catalogue import source_hash

if TYPE_CHECKING:
    from quantlytic.store.lake import Lake

LOOK_S = 0.1  # how often a busy strategist looks for requests
LAST_S = 10.0


class Means(NamedTuple):
    """What it takes to make a successor ready: a log of its own thread, the lake, where code is kept; in a thread, or at once."""

    open_log: Callable[[], Log]
    lake: Lake | None = None
    sources: Path | None = None
    in_background: bool = True


class Reigning(NamedTuple):
    """Who decides: name, parameters as text, code ("" for a built-in strategy)."""

    name: str
    params: str
    code: str

    @classmethod
    def of(cls, run: Run, change: StrategyChange | None, first: type[Strategy]) -> Reigning:
        """Of a run as it is after its last change; `first`: the class that it began with."""
        if change is not None:
            return cls(change.new, change.new_params, change.code)
        try:
            code = code_of_file(run.strategy)
        except QuantlyticError:
            code = ""
        is_the_one = hashlib.sha256(code.encode()).hexdigest() == run.code_hash or source_hash(first) == run.code_hash
        return cls(run.strategy, params_text(run.params), code if is_the_one else "")


class Swaps:
    """The requests of one run, one at a time, in their order; of several that wait the last one counts. The position in them is
    committed with the answer, so each is answered once, whatever dies in between.

    What costs time (compiling, history) is done in a thread; the bars since then are learnt at the hand-over.
    """

    def __init__(
        self, log: Log, run: Run, position: int, means: Means, timer_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._run, self._means, self._timer_s = run, means, timer_s
        self._inbox = Inbox(log, run.commands_stream, position)
        self._look_s = 0.0
        self._request: StrategyRequest | None = None
        self._thread: threading.Thread | None = None
        self._made: Successor | None = None
        self._bars = 0
        self._since: list[Array] = []
        self._learnt_ns = np.zeros(len(run.instruments), np.int64)  # by instrument, up to which close
        self._refusal = ""

    @property
    def positions(self) -> dict[str, int]:
        """What a commit of the answer has to name."""
        return {self._inbox.stream: self._inbox.position}

    def look(self, session: Session, position: int) -> None:
        """Take up the next request, if there is one. `position`: of the run's bars, as far as they have been decided on."""
        if self._request is not None or (self._means.in_background and self._timer_s() < self._look_s):
            return
        self._look_s = self._timer_s() + LOOK_S
        while self._request is None and (request := self._next()) is not None:
            self._inbox.take()
            self._begin(request, session, position)

    @property
    def refusal(self) -> StrategyRequest | None:
        """The request at hand, if it is to be refused."""
        return self._request if self._refusal else None

    @property
    def is_ready(self) -> bool:
        """Whether somebody is ready to take over at the next bar."""
        return self._made is not None and self._thread_is_done

    def refused(self, reigning: Reigning) -> StrategyChange:
        """The answer that it is refused; the next request may be looked for."""
        request, why = self._request, self._refusal
        assert request is not None
        self._end()
        return _answer(request, reigning, request.event_time, -1, refusal=why)

    def note(self, row: Array) -> None:
        """A bar (BAR row) that the present strategy has decided on meanwhile."""
        if self._request is not None:
            self._since.append(np.atleast_1d(row).copy())

    def learn_last(self, row: Array, session: Session) -> bool:
        """What came since, and the bar at hand. False: it raised, or is not let in any more, and is refused."""
        assert self._made is not None
        self.note(row)
        rows = np.concatenate(self._since)
        rows = rows[rows["close_time"] > self._learnt_ns[rows["instrument"]]]  # history may have had the first of them
        try:
            self._made.learn(rows)
            self._refusal = why_not(self._run, session.strategy, self._made.strategy)
        except QuantlyticError as error:
            self._refusal = _one_line(error)
        self._bars += len(rows)
        return not self._refusal

    def hand_over(
        self, old: Session, reigning: Reigning, time: int, offset: int
    ) -> tuple[Successor, StrategyChange, tuple[Array, Array, Array, Array]]:
        """Let the new one take over from `old`, which has been marked at the bar. Returns it, what is to be recorded, and the
        (signals, orders, cancels, amends) that go with it."""
        made, request = self._made, self._request
        assert made is not None
        assert request is not None
        states, bars = made.learnt(), self._bars
        made.take_over(old, states)
        wishes = made.wind_up(request.position)
        self._end()
        change = _answer(request, reigning, time, offset, bars=bars, is_held=made.waits, state=packed(states))
        return made, change, wishes

    def close(self) -> None:
        """Wait a little for a thread that is at it: a process does not end well in the middle of a compiler."""
        if self._thread is not None:
            self._thread.join(LAST_S)

    # ---- inside

    @property
    def _thread_is_done(self) -> bool:
        return self._thread is None or not self._thread.is_alive()

    def _next(self) -> StrategyRequest | None:
        """The next request; what else is in the stream (that a strategy has ended) is passed over."""
        while (ahead := self._inbox.peek()) is not None:
            if isinstance(ahead[1], StrategyRequest):
                return ahead[1]
            self._inbox.take()
        return None

    def _begin(self, request: StrategyRequest, session: Session, position: int) -> None:
        self._request = request
        if self._next() is not None:
            self._refusal = "a later request takes its place"
            return
        self._refusal = too_long(request.code)
        if self._refusal:
            return
        if not self._means.in_background:
            self._make(request, session, position)
            return
        self._thread = threading.Thread(target=self._make, args=(request, session, position), daemon=True)
        self._thread.start()

    def _make(self, request: StrategyRequest, session: Session, position: int) -> None:
        try:
            made = successor(
                self._run, request.strategy, request.params, request.code, self._means.sources, session.compiled
            )
            refusal = why_not(self._run, session.strategy, made.strategy)
            if not refusal:
                log = self._means.open_log()
                try:
                    bars = past(self._run, log, self._means.lake, position)
                finally:
                    log.close()
                made.learn(bars)
                for number in range(len(self._run.instruments)):
                    mine = bars["close_time"][bars["instrument"] == number]
                    self._learnt_ns[number] = mine.max(initial=0)
                self._bars, self._made = len(bars), made
            self._refusal = refusal
        except Exception as error:  # whatever is wrong with it, the old one goes on
            self._made, self._refusal = None, _one_line(error)

    def _end(self) -> None:
        self._request, self._made, self._refusal = None, None, ""
        self._bars, self._since, self._look_s = 0, [], 0.0


def _answer(request: StrategyRequest, old: Reigning, time: int, offset: int, **more: Any) -> StrategyChange:
    return StrategyChange(
        request.run, request.request, time, offset, old.name, old.params, request.strategy, request.params,
        request.position, request.reason, request.by, request.code_hash, code=request.code, old_code=old.code, **more,
    )  # fmt: skip


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, QuantlyticError) and text else f"{type(error).__name__}: {text}"
