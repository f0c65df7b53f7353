"""Bars to decisions: advances the run's strategy and writes what it wishes."""

from __future__ import annotations

from typing import Any

import msgspec

from quantlytic.engine.session import Session
from quantlytic.model.barsclosed import BarsClosed
from quantlytic.model.codec import decode, encode
from quantlytic.model.equity import Decided, Equity
from quantlytic.model.errors import InputError
from quantlytic.model.event import Event
from quantlytic.model.run import Run
from quantlytic.model.strategychange import StrategyChange
from quantlytic.research.runs.paper import Rows
from quantlytic.research.runs.succession import mark, restored
from quantlytic.services.inbox import Inbox
from quantlytic.services.swaps import Means, Reigning, Swaps
from quantlytic.services.turns import Turn, Turns
from quantlytic.store.log.port import Log


class _Snapshot(msgspec.Struct, array_like=True):
    session: bytes
    turns: bytes


class _Changed(msgspec.Struct, array_like=True):
    """Of a run whose strategy has given way to another: `change` is the last one's."""

    session: bytes
    change: bytes


_SNAPSHOT = msgspec.msgpack.Decoder(_Snapshot)
_CHANGED = msgspec.msgpack.Decoder(_Changed)
_SESSION = b"QLS"  # what a session's own bytes begin with


class Strategist:
    """Decides on a bar once the executor has executed it: `Equity(k)` in, `Signal`s, `Order`s and `Decided(k)` out.

    So it does on slices and timers (`Turns`), where `BarsClosed` comes in. The strategy's state is saved with the positions in
    the same commit: a restart goes on without burn-in, and decides nothing twice.

    With `means` to make one ready, another strategy takes over where `commands.RUN` asks for it (`Swaps`): at a bar at which the
    old one is not asked any more, and whose decision is to withdraw what it had open, and to sell all if that is wished. The new
    one decides from the next bar on.
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
        turns = None if self._writer.snapshot is None else self._restore(self._writer.snapshot, means)
        self._turns = Turns(self._bars, run, session, turns)
        self._swaps = None if means is None else Swaps(log, run, positions.get(run.commands_stream, 0), means)
        self._reigning = Reigning.of(run, self._change, type(session.strategy))

    def pump(self) -> int:
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
        if self._due is None or (turn := self._turns.take()) is None:
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
        rows, updates, swaps = self._rows, self._rows.updates(self._pending), self._swaps
        outputs: list[Event] = []
        positions = {self._bars.stream: self._bars.position, self._reports.stream: self._reports.position}
        if turn.event is None:
            self._session.hear(updates)
        else:
            hands_over = (
                swaps is not None and swaps.is_ready and swaps.learn_last(turn.event, self._session)
            )  # before the old one hears of the bar: if that fails, nothing has happened
            fills = rows.fills(self._pending)
            if hands_over:
                assert swaps is not None
                mark(self._session, updates, fills, turn.event)
                wishes, change = self._hand_over(swaps, turn)
                outputs.append(change)
                positions |= swaps.positions
            else:
                self._session.apply(updates, fills, turn.event)
                wishes = self._session.decide(turn.event)
                if swaps is not None:
                    swaps.note(turn.event)
            outputs += self._events(wishes, turn.offset)
        self._pending = []
        outputs.append(Decided(self._run.run_id, turn.offset))
        self._writer.commit({self._run.decisions_stream: outputs}, positions, self._snapshot())

    def _events(self, wishes: tuple[Any, Any, Any, Any], offset: int) -> list[Event]:
        rows, (signals, orders, cancels, amends) = self._rows, wishes
        return [
            *rows.signal_events(signals, lambda _: offset),
            *rows.cancel_events(cancels, lambda _: offset),
            *rows.amend_events(amends, lambda _: offset),
            *rows.order_events(orders, lambda _: offset),
        ]

    # ---- another strategy

    def _hand_over(self, swaps: Swaps, turn: Turn) -> tuple[tuple[Any, Any, Any, Any], StrategyChange]:
        session, change, wishes = swaps.hand_over(self._session, self._reigning, turn.time, turn.offset)
        self._session, self._change, self._reigning = (
            session,
            change,
            Reigning(change.new, change.new_params, change.code),
        )
        return wishes, change

    def _refuse(self, swaps: Swaps) -> None:
        """Say why, at once; positions of bars and reports stay: some may have been read and not been decided on."""
        refused = swaps.refused(self._reigning)
        self._writer.commit({self._run.decisions_stream: [refused]}, swaps.positions)

    # ---- state

    def _snapshot(self) -> bytes:
        session, turns = self._session.save(), self._turns.save()
        if turns is not None:
            return msgspec.msgpack.encode(_Snapshot(session, turns))
        return snapshot_of(session, self._change)

    def _restore(self, saved: bytes, means: Means | None) -> bytes | None:
        """Returns the state of the turns."""
        if self._session.looks_at_time:
            both = _SNAPSHOT.decode(saved)
            self._session.restore(both.session)
            return both.turns
        if not saved.startswith(_SESSION):
            changed = _CHANGED.decode(saved)
            change = decode(changed.change)
            assert isinstance(change, StrategyChange)
            sources = None if means is None else means.sources
            self._change = change
            self._session = restored(self._run, change, sources, self._session.compiled)
            saved = changed.session
        self._session.restore(saved)
        return None

    # ---- the service

    def wait(self, timeout_s: float) -> None:
        inbox = self._reports if self._due is None else self._bars
        self._log.wait({inbox.stream: inbox.read_position}, timeout_s)

    def close(self) -> None:
        if self._swaps is not None:
            self._swaps.close()
        self._writer.close()


def snapshot_of(session: bytes, change: StrategyChange | None) -> bytes:
    """What a strategist keeps of a session on bars, and of who has taken over."""
    return session if change is None else msgspec.msgpack.encode(_Changed(session, encode(change)))
