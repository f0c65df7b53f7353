"""A live run of any tape: an executor and a strategist that only tell each other, event by event."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from quantlytic import Session
from quantlytic.engine.data.tape import Tape, time_field
from quantlytic.engine.run.desk import ACTIONS, BARS
from quantlytic.engine.run.digest import digest_of

NAMES = ("fills", "orders", "signals", "updates", "cancels", "amends", "flows")


def merged(tape: Tape) -> Iterator[tuple[int, int, Any]]:
    """(time, input, row) in the order in which a run takes them."""
    order = np.concatenate([
        np.stack([array[time_field(kind)], np.full(len(array), k), np.arange(len(array))], axis=1)
        for k, (kind, array) in enumerate(zip(tape.kinds, tape.arrays, strict=True))
    ])  # fmt: skip
    for time, k, n in order[np.lexsort((order[:, 2], order[:, 1], order[:, 0]))].tolist():
        yield time, k, tape.arrays[k][n]


class Live:
    """Two replicas made by `make`. `moves(k)`: whether, before event k, each is saved and restored into a new session."""

    def __init__(self, make: Callable[[], Session], tape: Tape, moves: Callable[[int], bool] = lambda _: False) -> None:
        self.tape, self._make, self._moves = tape, make, moves
        self.executor, self.strategist = make(), make()
        self.executor.expect(tape)
        self.strategist.expect(tape)
        self.rows: dict[str, list[Any]] = {name: [getattr(self.executor, name)[:0]] for name in NAMES}
        self.equity: dict[int, float] = {}
        self.moments = self.events = 0
        self._waiting: list[Any] = [self.executor.updates[:0]]
        self._finest = tape.finest

    def run(self, interval_ns: int = 60_000_000_000) -> Live:
        """All of the tape, its last time included."""
        for time, k, row in merged(self.tape):
            self._moments_before(time)
            self._step(row, k)
            if max(self._finest) < 0:
                self.equity[time // interval_ns] = self._marked
            elif self.tape.kinds[k] == BARS and self._finest[int(row["instrument"])] == k:
                self.equity[len(self.equity)] = self._marked
        self._moments_before(self.tape.end)
        return self

    @property
    def digest(self) -> str:
        found = {name: np.concatenate(self.rows[name]) for name in ("fills", "flows")}
        return digest_of(found["fills"], np.array([*self.equity.values()]), found["flows"])

    def results(self) -> dict[str, bytes]:
        """As bytes, by name; rows field by field."""
        joined = {name: np.concatenate(parts) for name, parts in self.rows.items()}
        packed = {name: b"".join(part[field].tobytes() for field in part.dtype.names) for name, part in joined.items()}
        return packed | {"equity": np.array([*self.equity.values()]).tobytes()}

    def _moments_before(self, time: int) -> None:
        while (moment := self.executor.due(time)) is not None:
            assert self.strategist.due(time).tobytes() == moment.tobytes()
            self._step(moment, None)
            self.moments += 1

    def _step(self, event: Any, source: int | None) -> None:
        if self._moves(self.events):
            self._move("executor")
        if self._moves(-self.events):
            self._move("strategist")
        self.events += 1
        updates, fills, state = self.executor.execute(event, source)
        self._marked = float(state["equity"])
        flows = self.executor.event_flows
        is_action = source is not None and self.tape.kinds[source] == ACTIONS
        reports = np.concatenate(self._waiting if is_action else [*self._waiting, updates])
        self.strategist.apply(reports, fills[:0] if is_action else fills, event, source)
        signals, orders, cancels, amends = self.strategist.decide(event)
        answers = self.executor.accept(orders, cancels, amends)
        self._waiting = [answers]
        for name, found in zip(
            (*NAMES, "updates"), (fills, orders, signals, updates, cancels, amends, flows, answers), strict=True
        ):
            self.rows[name].append(found)

    def _move(self, name: str) -> None:
        fresh = self._make()
        fresh.restore(getattr(self, name).save())
        fresh.expect(self.tape)
        setattr(self, name, fresh)


def results_of(session: Session) -> dict[str, bytes]:
    """What `Live.results` must be equal to."""
    logs = {name: getattr(session, name) for name in NAMES}
    packed = {name: b"".join(log[field].tobytes() for field in log.dtype.names) for name, log in logs.items()}
    return packed | {"equity": session.equity.tobytes()}
