"""Trades to bars. The same market stream always gives the same bars: only the events' own times close them."""

from __future__ import annotations

from quantlytic.engine.data.barbuilder import Placement, TimeBars
from quantlytic.model.barsclosed import BarsClosed
from quantlytic.model.book import BookDelta
from quantlytic.model.event import Event
from quantlytic.model.ledger import LedgerEntry, LedgerKind
from quantlytic.model.time import duration_text
from quantlytic.model.trade import Trade
from quantlytic.store.log.port import Log


def name_of(venue: str, size_ns: int) -> str:
    """Bars of several sizes are made side by side, each by a barmaker of its own."""
    return f"barmaker.{venue}.{duration_text(size_ns)}"


class Barmaker:
    """Reads `market.VENUE`, writes `bars.VENUE`: finished bars, a LATE entry for each trade that came after its bar, and
    BarsClosed once all bars of a time are there.

    It commits when a bar closed, or every `COMMIT_EVERY` events: what lies between is read again after a crash.
    """

    COMMIT_EVERY = 20_000

    def __init__(self, log: Log, venue: str, size_ns: int, grace_ns: int) -> None:
        self.name = name_of(venue, size_ns)
        self._log = log
        self._source, self._target = f"market.{venue}", f"bars.{venue}"
        self._writer = log.writer(self.name)
        self._builder, self._size_ns = TimeBars(size_ns, grace_ns), size_ns
        if self._writer.snapshot is not None:
            self._builder.restore(self._writer.snapshot)
        self._position = self._writer.positions.get(self._source, log.bounds(self._source)[0])
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
        outputs = self._build(event)
        complete = self._builder.newly_complete()
        if complete is not None:
            outputs.append(BarsClosed(self._size_ns, complete))
        return outputs

    def _build(self, event: Event) -> list[Event]:
        if isinstance(event, Trade):
            closed, placement = self._builder.on_trade(event)
            return [*closed, *_note(event, placement)]
        if isinstance(event, LedgerEntry) and event.kind is LedgerKind.RECONNECT:
            self._builder.on_interruption()
        if isinstance(event, BookDelta) and not event.snapshot:
            return [*self._builder.on_watermark(event.event_time, event.receive_time)]
        return []

    def _commit(self, outputs: list[Event]) -> None:
        self._writer.commit({self._target: outputs}, {self._source: self._position}, self._builder.save())
        self._uncommitted = 0

    def wait(self, timeout_s: float) -> None:
        self._log.wait({self._source: self._position}, timeout_s)

    def close(self) -> None:
        if self._uncommitted:
            self._commit([])
        self._writer.close()


def _note(trade: Trade, placement: Placement) -> list[Event]:
    """What the ledger has to know of a trade that is in no bar."""
    if placement is Placement.TAKEN:
        return []
    kind = LedgerKind.LATE if placement is Placement.LATE else LedgerKind.INVALID
    detail = "" if placement is Placement.LATE else f"no bar takes it: {placement.name.lower()}"
    return [
        LedgerEntry(trade.instrument, "bars", kind, trade.event_time, trade.trade_id, trade.trade_id, detail=detail)
    ]
