"""What a run of the line did: counted on the tape itself, from where it was at the start."""

from __future__ import annotations

from collections import Counter

from quantlytic.app.bootstrap import Bootstrap
from quantlytic.app.refusals import refusals
from quantlytic.model.bar import Bar
from quantlytic.model.delivery import Delivery
from quantlytic.model.equity import Equity
from quantlytic.model.event import Event
from quantlytic.model.fill import Fill
from quantlytic.model.ledger import LedgerEntry, LedgerKind
from quantlytic.model.losses import Losses
from quantlytic.model.order import Order, OrderStatus, OrderUpdate
from quantlytic.model.run import Run
from quantlytic.model.signal import Signal
from quantlytic.store.log.port import Log


class Summary:
    """Made at the start; `text` counts what came on the tape since."""

    def __init__(self, bootstrap: Bootstrap) -> None:
        self._bootstrap, self._runs = bootstrap, bootstrap.runs.all()
        venue = self._runs[0].venue
        names = [f"raw.{venue}", f"market.{venue}", f"bars.{venue}", "deliveries"]
        for run in self._runs:
            names += [run.decisions_stream, run.executions_stream]
        with bootstrap.stores.open_log() as log:
            self._since = {name: log.bounds(name)[1] for name in names}

    def text(self) -> str:
        """A few lines. "Events lost" is what the ledger says: sequence numbers that never came and could not be fetched.

        Book changes made while we were not connected cannot be fetched by anyone; a fresh snapshot takes their place. They
        are told apart as "book resyncs".
        """
        with self._bootstrap.stores.open_log() as log:
            counts = {name: _Count(log, name, since) for name, since in self._since.items()}
        venue = self._runs[0].venue
        raw, market, bars = counts[f"raw.{venue}"], counts[f"market.{venue}"], counts[f"bars.{venue}"]
        lines = {
            "messages recorded": f"{raw.events:,}",
            "events lost": f"{market.losses.lost:,}",
            "book resyncs": f"{market.of_kind(LedgerKind.RESYNC):,}",
            "bars": f"{bars.of(Bar):,}",
            "notices": f"{counts['deliveries'].of(Delivery):,}",
        }
        width = max(map(len, lines))
        text = ["this session:", *(f"  {name + ':':<{width + 1}} {value}" for name, value in lines.items())]
        for run in self._runs:
            text += _run_lines(run, counts[run.decisions_stream], counts[run.executions_stream], width)
        home = self._bootstrap.stores.home.resolve()
        text.append(f"recorded in {home}; check it with: quantlytic parity last, quantlytic data check")
        return "\n".join(text)


def _run_lines(run: Run, decisions: _Count, executions: _Count, width: int) -> list[str]:
    equity = executions.last_equity
    lines = {
        "signals": f"{decisions.of(Signal):,}",
        "orders": ", ".join(filter(None, (f"{decisions.of(Order):,}", executions.refused))),
        "fills": f"{executions.of(Fill):,}",
        "equity": "-" if equity is None else f"{equity:,.2f}",
    }
    if run.mode == "alert":  # what the strategy was shown, so that it can go on deciding
        lines = {"signals": lines["signals"], "had you followed": f"{lines['fills']} fills, equity {lines['equity']}"}
    head = f"run {run.run_id} ({run.strategy} on {run.venue}, {run.mode}):"
    return [head, *(f"  {name + ':':<{width + 1}} {value}" for name, value in lines.items())]


class _Count:
    """Events of a stream from an offset on, by type."""

    def __init__(self, log: Log, stream: str, since: int) -> None:
        self.types: dict[type[Event], int] = {}
        self.losses = Losses()
        self._kinds: Counter[LedgerKind] = Counter()
        self._reasons: list[str] = []
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
        elif isinstance(event, OrderUpdate) and event.status == OrderStatus.REJECTED:
            self._reasons.append(event.reason)

    @property
    def refused(self) -> str:
        return refusals(len(self._reasons), self._reasons)

    def of_kind(self, kind: LedgerKind) -> int:
        return self._kinds[kind]
