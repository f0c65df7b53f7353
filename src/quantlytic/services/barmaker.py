"""Trades to bars. The same market stream always gives the same bars: only the events' own times close them."""

from __future__ import annotations

from quantlytic.engine.barbuilder import TimeBars
from quantlytic.model.book import BookDelta
from quantlytic.model.event import Event
from quantlytic.model.ledger import LedgerEntry, LedgerKind
from quantlytic.model.trade import Trade
from quantlytic.store.log.port import Log


class Barmaker:
    """Reads `market.VENUE`, writes `bars.VENUE`: finished bars, and a LATE entry for each trade that came after its bar.

    It commits when a bar closed, or every `COMMIT_EVERY` events: what lies between is read again after a crash.
    """

    COMMIT_EVERY = 20_000

    def __init__(self, log: Log, venue: str, size_ns: int, grace_ns: int) -> None:
        self.name = f"barmaker.{venue}"
        self._log = log
        self._source, self._target = f"market.{venue}", f"bars.{venue}"
        self._writer = log.writer(self.name)
        self._builder = TimeBars(size_ns, grace_ns)
        if self._writer.snapshot is not None:
            self._builder.restore(self._writer.snapshot)
        self._position = self._writer.positions.get(self._source, 0)
        self._uncommitted = 0

    def pump(self) -> int:
        batch = self._log.read(self._source, self._position)
        outputs = [out for event in batch.events for out in self._take(event)]
        self._position = batch.next_offset
        self._uncommitted += len(batch.events)
        if outputs or self._uncommitted >= self.COMMIT_EVERY:
            self._commit(outputs)
        return len(batch.events)

    def _take(self, event: Event) -> list[Event]:
        if isinstance(event, Trade):
            closed, late = self._builder.on_trade(event)
        elif isinstance(event, BookDelta) and not event.snapshot:
            closed, late = self._builder.on_time(event.event_time, event.receive_time), False
        else:
            return []
        out: list[Event] = list(closed)
        if late and isinstance(event, Trade):
            out.append(
                LedgerEntry(event.instrument, "bars", LedgerKind.LATE, event.event_time, event.trade_id, event.trade_id)
            )
        return out

    def _commit(self, outputs: list[Event]) -> None:
        self._writer.commit({self._target: outputs}, {self._source: self._position}, self._builder.save())
        self._uncommitted = 0

    def wait(self, timeout_s: float) -> None:
        self._log.wait({self._source: self._position}, timeout_s)

    def close(self) -> None:
        if self._uncommitted:
            self._commit([])
        self._writer.close()
