"""What a run of the line did: counted on the tape itself, from where it was at the start."""

from __future__ import annotations

from collections import Counter

from quantlytic.app.bootstrap import Bootstrap
from quantlytic.model.bar import Bar
from quantlytic.model.delivery import Delivery
from quantlytic.model.equity import Equity
from quantlytic.model.event import Event
from quantlytic.model.fill import Fill
from quantlytic.model.ledger import LedgerEntry, LedgerKind
from quantlytic.model.losses import Losses
from quantlytic.model.order import Order
from quantlytic.model.signal import Signal
from quantlytic.store.log.port import Log


class Summary:
    """Made at the start; `text` counts what came on the tape since."""

    def __init__(self, bootstrap: Bootstrap) -> None:
        self._bootstrap, self._run = bootstrap, bootstrap.run()
        venue = self._run.venue
        self._streams = (
            f"raw.{venue}", f"market.{venue}", self._run.bars_stream,
            self._run.decisions_stream, self._run.executions_stream, "deliveries",
        )  # fmt: skip
        with bootstrap.open_log() as log:
            self._since = {stream: log.bounds(stream)[1] for stream in self._streams}

    def text(self) -> str:
        """A few lines. "Events lost" is what the ledger says: sequence numbers that never came and could not be fetched.

        Book changes made while we were not connected cannot be fetched by anyone; a fresh snapshot takes their place. They
        are told apart as "book resyncs".
        """
        with self._bootstrap.open_log() as log:
            raw, market, bars, decisions, executions, deliveries = (
                _Count(log, stream, self._since[stream]) for stream in self._streams
            )
        equity = executions.last_equity
        lines = {
            "messages recorded": f"{raw.events:,}",
            "events lost": f"{market.losses.lost:,}",
            "book resyncs": f"{market.of_kind(LedgerKind.RESYNC):,}",
            "bars": f"{bars.of(Bar):,}",
            "signals": f"{decisions.of(Signal):,}",
            "orders": f"{decisions.of(Order):,}",
            "fills": f"{executions.of(Fill):,}",
            "notices": f"{deliveries.of(Delivery):,}",
            "equity": "-" if equity is None else f"{equity:,.2f}",
        }
        width = max(map(len, lines))
        head = f"run {self._run.run_id} ({self._run.strategy} on {self._run.venue}, {self._run.mode}); this session:"
        where = f"recorded in {self._bootstrap.home.resolve()}; check it with: quantlytic parity last, quantlytic data check"
        return "\n".join([head, *(f"  {name + ':':<{width + 1}} {value}" for name, value in lines.items()), where])


class _Count:
    """Events of a stream from an offset on, by type."""

    def __init__(self, log: Log, stream: str, since: int) -> None:
        self.types: dict[type[Event], int] = {}
        self.losses = Losses()
        self._kinds: Counter[LedgerKind] = Counter()
        self.last_equity: float | None = None
        position = max(since, log.bounds(stream)[0])
        self.events = log.bounds(stream)[1] - since
        if stream.startswith("raw."):
            return
        while (batch := log.read(stream, position)).events:
            for event in batch.events:
                self._add(event)
            position = batch.next_offset

    def of(self, kind: type[Event]) -> int:
        return self.types.get(kind, 0)

    def _add(self, event: Event) -> None:
        self.types[type(event)] = self.of(type(event)) + 1
        if isinstance(event, LedgerEntry):
            self._kinds[event.kind] += 1
            self.losses.add(event)
        elif isinstance(event, Equity):
            self.last_equity = event.equity

    def of_kind(self, kind: LedgerKind) -> int:
        return self._kinds[kind]
