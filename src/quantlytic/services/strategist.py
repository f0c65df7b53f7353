"""Bars to decisions: advances the run's strategy and writes what it wishes."""

from __future__ import annotations

import logging
from typing import Any

import msgspec

from quantlytic.engine.session import Session
from quantlytic.model.barsclosed import BarsClosed
from quantlytic.model.codec import decode, encode
from quantlytic.model.equity import Decided, Equity
from quantlytic.model.errors import InputError, StrategyError
from quantlytic.model.event import Event
from quantlytic.model.run import Run
from quantlytic.model.strategychange import NOBODY, StrategyChange
from quantlytic.research.runs.paper import Rows
from quantlytic.research.runs.succession import mark, restored, succeed
from quantlytic.services.ending import ending, said
from quantlytic.services.inbox import Inbox
from quantlytic.services.swaps import Means, Reigning, Swaps
from quantlytic.services.turns import Turn, Turns
from quantlytic.store.log.port import Log


class _Snapshot(msgspec.Struct, array_like=True):
    """Of a run on slices or timers. `turns`: b"" before the first; `change`: how its strategy has ended."""

    session: bytes
    turns: bytes
    change: bytes = b""


class _Changed(msgspec.Struct, array_like=True):
    """Of a run whose strategy has given way to another: `change` is the last one's."""

    session: bytes
    change: bytes


_SNAPSHOT = msgspec.msgpack.Decoder(_Snapshot)
_CHANGED = msgspec.msgpack.Decoder(_Changed)
_SESSION = b"QLS"  # what a session's own bytes begin with
_LOG = logging.getLogger("quantlytic.strategist")


class Strategist:
    """Decides on a bar once the executor has executed it: `Equity(k)` in, `Signal`s, `Order`s and `Decided(k)` out.

    So it does on slices and timers (`Turns`), where `BarsClosed` comes in. The strategy's state is saved with the positions in
    the same commit: a restart goes on without burn-in, and decides nothing twice.

    With `means` to make one ready, another strategy takes over where `commands.RUN` asks for it (`Swaps`): at a bar at which the
    old one is not asked any more, and whose decision is to withdraw what it had open, and to sell all if that is wished. The new
    one decides from the next bar on.

    A strategy that raises has ended, and the process goes on: the bar is done with as at a change, `NOBODY` takes over, and the
    run waits for another one. On slices and timers there is no other one: such a run stands still.
    """

    def __init__(self, log: Log, run: Run, session: Session, means: Means | None = None) -> None:
        if session.looks_at_time and run.mode == "live":
            raise InputError(
                f"{run.strategy} decides on slices or timers, which a live account does not know yet: run it on paper"
            )
        self.name = f"strategist.{run.run_id}"
        self._log, self._run, self._session = log, run, session
        self._rows = Rows(run)
        self._writer = log.writer(self.name)
        positions = self._writer.positions
        self._bars = Inbox(log, run.bars_stream, positions.get(run.bars_stream, run.first_bar_offset))
        self._reports = Inbox(log, run.executions_stream, positions.get(run.executions_stream, 0))
        self._pending: list[Event] = []  # reports that came before what has been executed
        self._due: Equity | BarsClosed | None = None  # what has been executed and is to be decided on
        self._change: StrategyChange | None = None
        self._sources = None if means is None else means.sources
        turns = None if self._writer.snapshot is None else self._restore(self._writer.snapshot)
        self._saved = self._session.save()  # as it was after the last turn
        self._turns = Turns(self._bars, run, session, turns)
        self._swaps = None if means is None else Swaps(log, run, positions.get(run.commands_stream, 0), means)
        self._reigning = Reigning.of(run, self._change, type(session.strategy))
        self._is_told = self._reigning.name != NOBODY

    @property
    def _has_ended(self) -> bool:
        """Whether it takes no turn any more."""
        return self._reigning.name == NOBODY and self._session.looks_at_time

    def pump(self) -> int:
        self._tell()
        while self._due is None and self._reports.peek() is not None:
            _, event = self._reports.take()
            if isinstance(event, Equity | BarsClosed):
                self._due = event
            else:
                self._pending.append(event)
        if self._swaps is not None:
            self._swaps.look(self._session, self._bars.position)
            if self._swaps.refusal is not None:
                self._refuse(self._swaps)
        if self._due is None or self._has_ended or (turn := self._turns.take()) is None:
            return 0  # it was executed, but this reader of the log may not see its bar yet
        self._check(turn, self._due)
        self._decide(turn)
        self._due = None
        return 1  # the next one has to wait for the executor

    def _check(self, turn: Turn, due: Equity | BarsClosed) -> None:
        same = (turn.bar is None, turn.time) == (isinstance(due, BarsClosed), due.event_time)
        if isinstance(due, Equity):
            same = same and due.bar_offset == turn.offset
        assert same, f"{self.name}: {due} was executed, not {turn}"

    def _decide(self, turn: Turn) -> None:
        updates = self._rows.updates(self._pending)
        positions = {self._bars.stream: self._bars.position, self._reports.stream: self._reports.position}
        outputs: dict[str, list[Event]] = {self._run.decisions_stream: []}
        decisions = outputs[self._run.decisions_stream]
        if turn.event is None:
            self._session.hear(updates)
        else:
            wishes, change = self._take(turn, (updates, self._rows.fills(self._pending)))
            if change is not None:
                self._change, self._reigning = change, Reigning(change.new, change.new_params, change.code)
                decisions.append(change)
            if change is not None and change.new == NOBODY:
                outputs[self._run.commands_stream] = [change]
                self._is_told = False
                if self._has_ended:
                    self._writer.commit(outputs, None, self._snapshot())
                    return
            elif change is not None and self._swaps is not None:
                positions |= self._swaps.positions
            decisions += self._events(wishes, turn.offset)
        self._pending = []
        decisions.append(Decided(self._run.run_id, turn.offset))
        self._writer.commit(outputs, positions, self._snapshot())

    def _take(self, turn: Turn, reports: tuple[Any, Any]) -> tuple[Any, StrategyChange | None]:
        """What is wished for at a turn, and who takes over there, if somebody does."""
        session, swaps = self._session, self._swaps
        if swaps is not None and swaps.is_ready and swaps.learn_last(turn.event, session):
            mark(session, *reports, turn.event)  # only now: if learning fails, nothing has happened
            self._session, change, wishes = swaps.hand_over(session, self._reigning, turn.time, turn.offset)
            return wishes, change
        if swaps is not None:
            swaps.note(turn.event)
        try:
            session.apply(*reports, turn.event)
            return session.decide(turn.event), None
        except StrategyError as error:
            session.restore(self._saved)
            change = ending(self._run, session, self._reigning, error, turn, reports)
            if session.looks_at_time:
                return None, change
            mark(session, *reports, turn.event)
            self._session, wishes = succeed(self._run, change, session, self._sources)
            return wishes, change

    def _tell(self) -> None:
        """Say, at the start and when it happens, that nobody decides."""
        if not self._is_told and self._change is not None:
            self._is_told = True
            _LOG.warning(said(self._change, self._has_ended))

    def _events(self, wishes: tuple[Any, Any, Any, Any], offset: int) -> list[Event]:
        rows, (signals, orders, cancels, amends) = self._rows, wishes
        return [
            *rows.signal_events(signals, lambda _: offset),
            *rows.cancel_events(cancels, lambda _: offset),
            *rows.amend_events(amends, lambda _: offset),
            *rows.order_events(orders, lambda _: offset),
        ]

    # ---- another strategy

    def _refuse(self, swaps: Swaps) -> None:
        """Say why, at once; positions of bars and reports stay: some may have been read and not been decided on."""
        refused = swaps.refused(self._reigning)
        self._writer.commit({self._run.decisions_stream: [refused]}, swaps.positions)

    # ---- state

    def _snapshot(self) -> bytes:
        self._saved, turns = self._session.save(), self._turns.save()
        if turns is not None:
            change = b"" if self._change is None else encode(self._change)
            return msgspec.msgpack.encode(_Snapshot(self._saved, turns, change))
        return snapshot_of(self._saved, self._change)

    def _restore(self, saved: bytes) -> bytes | None:
        """Returns the state of the turns."""
        turns = None
        if self._session.looks_at_time:
            both = _SNAPSHOT.decode(saved)
            saved, turns = both.session, both.turns or None
            self._change = _change_of(both.change) if both.change else None
        elif not saved.startswith(_SESSION):
            changed = _CHANGED.decode(saved)
            saved, self._change = changed.session, _change_of(changed.change)
            self._session = restored(self._run, self._change, self._sources, self._session.compiled)
        self._session.restore(saved)
        return turns

    # ---- the service

    def wait(self, timeout_s: float) -> None:
        if self._has_ended:
            end = self._log.bounds(self._run.decisions_stream)[1]
            self._log.wait({self._run.decisions_stream: end}, timeout_s)
            return
        inbox = self._reports if self._due is None else self._bars
        self._log.wait({inbox.stream: inbox.read_position}, timeout_s)

    def close(self) -> None:
        if self._swaps is not None:
            self._swaps.close()
        self._writer.close()


def _change_of(saved: bytes) -> StrategyChange:
    change = decode(saved)
    assert isinstance(change, StrategyChange)
    return change


def snapshot_of(session: bytes, change: StrategyChange | None) -> bytes:
    """What a strategist keeps of a session on bars, and of who has taken over: that one's code, so that a restart needs nothing
    else, and not what only a replay asks for."""
    if change is None:
        return session
    return msgspec.msgpack.encode(_Changed(session, encode(msgspec.structs.replace(change, old_code="", state=""))))


def snapshot_at_end(snapshot: bytes | None, beginning: bytes, end: StrategyChange) -> bytes:
    """What a strategist keeps of a run on slices or timers that has ended. `snapshot`: after its last decision, None where it
    has made none; `beginning`: its session's state then."""
    last = _Snapshot(beginning, b"") if snapshot is None else _SNAPSHOT.decode(snapshot)
    return msgspec.msgpack.encode(_Snapshot(last.session, last.turns, encode(end)))
