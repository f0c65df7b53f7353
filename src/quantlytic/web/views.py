"""The page's state, folded from the tape. Pure: no clock, no file, no socket; the same events give the same view."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from quantlytic.model.bar import Bar
from quantlytic.model.book import BookDelta
from quantlytic.model.delivery import Delivery
from quantlytic.model.event import Event
from quantlytic.model.forecast import Forecast
from quantlytic.model.ledger import LedgerEntry, LedgerKind
from quantlytic.model.losses import Losses
from quantlytic.model.quote import Quote
from quantlytic.model.run import Run
from quantlytic.model.strategychange import StrategyChange
from quantlytic.model.time import NS_PER_MS, duration_text
from quantlytic.model.trade import Trade
from quantlytic.store.log.port import Batch
from quantlytic.web.account import Row, RunView
from quantlytic.web.candles import CandleSeries
from quantlytic.web.feed import FeedMeter
from quantlytic.web.models import WARNED_NS, ModelsView
from quantlytic.web.outbox import Mail

RECENT_NOTES = 50
MAX_SERIES = 100
MAX_FORECASTS = 20_000  # of a line, whose bars are known by their place in it


class Dashboard:
    """Folds market, bars, runs and deliveries of one venue into what the page shows, in bounded memory.

    `bar_sizes_ns` are drawn from trades before the first bar of that size has closed. `state` is the whole for a page
    that opens; `drain` what changed since the last drain. Values are absolute and rows carry ids in both: taking a
    change in twice is harmless. `warmup_bars`: how many bars the strategy needs before its first signal, if known.
    """

    def __init__(
        self, venue: str, bar_sizes_ns: Sequence[int], stale_after_s: float, warmup_bars: int | None = None
    ) -> None:
        self.venue = venue
        self.feed = FeedMeter(stale_after_s)
        self.runs: dict[str, RunView] = {}
        self._bar_sizes_ns = tuple(bar_sizes_ns)
        self._warmup_bars = warmup_bars
        self._series: dict[tuple[str, int], CandleSeries] = {}
        self._by_instrument: dict[str, list[CandleSeries]] = {}
        self._markets: dict[str, Row] = {}
        self._changed_markets: set[str] = set()
        self._marks: dict[str, float] = {}
        self._ledger = {kind.name: {"entries": 0, "count": 0} for kind in LedgerKind}
        self._losses = Losses()
        self._notes: deque[Row] = deque(maxlen=RECENT_NOTES)
        self._deliveries: deque[Row] = deque(maxlen=RECENT_NOTES)
        self._mails: tuple[Mail, ...] = ()
        self.held_messages = 0
        self._failed_deliveries = 0
        self._models = ModelsView(venue)
        self._bars_of_lines: dict[str, dict[int, int]] = {}  # line -> offset in forecasts.LINE -> offset in bars.VENUE
        self._sent: Row = {}
        self._handlers: dict[type[Event], Callable[[Any, int], None]] = {
            Trade: self._trade, Quote: self._quote, BookDelta: self._book, Bar: self._bar,
            LedgerEntry: self._note, Delivery: self._delivery,
        }  # fmt: skip

    def apply(self, batch: Batch) -> None:
        """Take in a batch of `market.VENUE`, `bars.VENUE` or `deliveries`."""
        for event, offset in zip(batch.events, batch.offsets, strict=True):
            handler = self._handlers.get(type(event))
            if handler is not None:
                handler(event, offset)

    def apply_run(self, run_id: str, batch: Batch, seen_ns: int = 0) -> None:
        """Take in a batch of the run's decisions or executions; `seen_ns`: when it came in live, 0 for history."""
        view = self.add_run(run_id)
        for event in batch.events:
            view.apply(event)
            if isinstance(event, StrategyChange):
                self._models.strategy(event)
        if batch.events:
            view.active_since = max(view.active_since, seen_ns)

    def apply_line(self, kind: str, line: str, batch: Batch) -> None:
        """Take in a batch of a line of models: of its "forecasts", or of its "shadows"."""
        take = self._models.forecasts if kind == "forecasts" else self._models.shadows
        take(line, batch.events)
        if kind == "forecasts":
            known = self._bars_of_lines.setdefault(line, {})
            pairs = zip(batch.offsets, batch.events, strict=True)
            known |= {offset: event.bar_offset for offset, event in pairs if isinstance(event, Forecast)}
            for offset in list(known)[:-MAX_FORECASTS]:
                del known[offset]

    def add_run(self, run_id: str) -> RunView:
        """The view of a run, made when it is not there."""
        if run_id not in self.runs:
            self.runs[run_id] = RunView(run_id, partial(self._bar_time, run_id))
        return self.runs[run_id]

    def describe_run(self, run: Run) -> None:
        """Tell what the control store knows of a run: its mode, strategy and parameters."""
        self.add_run(run.run_id).run = run

    def current_run(self) -> str | None:
        """The run that moved last."""
        return max(self.runs.values(), key=lambda view: view.activity).run_id if self.runs else None

    def set_mails(self, mails: Sequence[Mail]) -> None:
        """Tell which mails lie in the outbox, newest first."""
        self._mails = tuple(mails)

    def state(self, now_ns: int, run_id: str | None = None, series: str | None = None) -> Row:
        """The whole view, one run and one chart in full. Unknown names: the current run, the first chart."""
        run_id = run_id if run_id in self.runs else self.current_run()
        charts = {_series_name(key): candles for key, candles in sorted(self._series.items())}
        series = series if series in charts else next(iter(charts), None)
        return {
            **self._common(now_ns),
            "feed": self.feed.view(now_ns),
            "markets": self._markets,
            "run_id": run_id,
            "run": self.runs[run_id].state(self._marks) if run_id else None,
            "series": series,
            "candles": charts[series].rows() if series else [],
        }

    def held(self) -> list[Row]:
        """What the live runs hold together, by instrument: `quantity`, and its `value` at the last price (None: unknown)."""
        found: dict[str, float] = {}
        for view in self.runs.values():
            if view.run is not None and view.run.mode == "live":
                for name, quantity in view.holdings().items():
                    found[name] = found.get(name, 0.0) + quantity
        marks = self._marks
        return [
            {"instrument": name, "quantity": quantity, "value": quantity * marks[name] if name in marks else None}
            for name, quantity in sorted(found.items())
            if abs(quantity) > 1e-12
        ]

    def models(self) -> Row:
        """`lines`: what forecasts, and how well; `changes`: the last ones of models and strategies, newest first."""
        return {"lines": self._models.lines(), "changes": self._models.changes()}

    def unknown_models(self) -> list[str]:
        """The ids of challengers whose kind was not told yet."""
        return self._models.unknown()

    def tell_kind(self, model_id: str, kind: str) -> None:
        """Of what kind a model is, such as "lightgbm"; "" if that cannot be known."""
        self._models.tell_kind(model_id, kind)

    def totals(self) -> dict[str, Row]:
        """Run -> its counts, equity and positions."""
        return {run_id: view.summary(self._marks) for run_id, view in self.runs.items()}

    def drain(self, now_ns: int) -> Row:
        """What changed since the last call. The feed's state is always told: it changes by silence, too."""
        common = self._common(now_ns)
        changes: Row = {key: value for key, value in common.items() if self._sent.get(key) != value}
        self._sent = common
        changes["feed"] = self.feed.view(now_ns)
        if self._changed_markets:
            changes["markets"] = {name: dict(self._markets[name]) for name in sorted(self._changed_markets)}
            self._changed_markets.clear()
        runs = {run_id: changed for run_id, view in self.runs.items() if (changed := view.drain(self._marks))}
        if runs:
            changes["runs_changed"] = runs
        for series_key, series in self._series.items():
            replace, rows = series.drain()
            if rows:
                changes.setdefault("candles_replace" if replace else "candles", {})[_series_name(series_key)] = rows
        return changes

    def _common(self, now_ns: int) -> Row:
        runs = sorted(self.runs.values(), key=lambda view: view.activity, reverse=True)
        return {
            "venue": self.venue,
            "warmup_bars": self._warmup_bars,
            "current_run": self.current_run(),
            "runs": [{"run_id": view.run_id, "mode": view.run.mode if view.run else None} for view in runs],
            "charts": [_series_name(key) for key in sorted(self._series)],
            "lost": self._losses.lost,
            "ledger": {kind: dict(counts) for kind, counts in self._ledger.items()},
            "notes": list(self._notes),
            "notices": self._notices(),
            **self.models(),
            "warnings": self._warnings(now_ns),
        }

    def _warnings(self, now_ns: int) -> list[str]:
        counts = {kind: value["count"] for kind, value in self._ledger.items()}
        current = self.current_run()
        rejected = self.runs[current].rejected if current else 0
        found = (
            (self.feed.is_stale(now_ns), "The market feed is silent"),
            (self._losses.lost > 0, f"Market messages lost: {self._losses.lost}"),
            (counts["CROSSED"] > 0, f"Times the book crossed: {counts['CROSSED']}"),
            (counts["INVALID"] > 0, f"Messages that could not be read: {counts['INVALID']}"),
            (rejected > 0, f"Orders rejected or unresolved: {rejected}"),
            (self._failed_deliveries > 0, f"Notices not delivered: {self._failed_deliveries}"),
            (self.held_messages > 0, f"Messages held back by the hour's limit: {self.held_messages:,}"),
        )
        return [text for is_so, text in found if is_so] + self._ended() + self._models.warnings()

    def _ended(self) -> list[str]:
        """Of the runs whose strategy has raised, but for those that came to rest long ago, or that a later one has replaced."""
        runs = [view.run for view in self.runs.values() if view.run is not None]
        newest = max((view.last_time for view in self.runs.values()), default=0)
        return [
            text
            for view in self.runs.values()
            if (text := view.warning())
            and view.last_time > newest - WARNED_NS
            and not (view.run is not None and any(later.replaces(view.run) for later in runs))
        ]

    def _notices(self) -> list[Row]:
        """Deliveries, each with its mail, and mails in the outbox that no delivery tells of; newest first."""
        names = {mail.message_id: mail.name for mail in self._mails}
        rows = [row | {"mail": names.get(row["message_id"])} for row in self._deliveries]
        told = {row["message_id"] for row in self._deliveries}
        rows += [_undelivered(mail) for mail in self._mails if mail.message_id not in told]
        return sorted(rows, key=lambda row: (row["time_ms"], row["id"]), reverse=True)[:RECENT_NOTES]

    def _bar_time(self, run_id: str, instrument: str, place: int) -> int | None:
        """Of the bar at that place in the run's own stream."""
        run = self.runs[run_id].run
        offset = self._bars_of_lines.get(run.forecasts, {}).get(place, -1) if run and run.forecasts else place
        for series in self._by_instrument.get(instrument, ()):
            time = series.bar_time(offset)
            if time is not None:
                return time
        return None

    def _get_series(self, instrument: str, size_ns: int) -> CandleSeries | None:
        series = self._series.get((instrument, size_ns))
        if series is None and size_ns > 0 and size_ns % NS_PER_MS == 0 and len(self._series) < MAX_SERIES:
            series = self._series[instrument, size_ns] = CandleSeries(size_ns)
            self._by_instrument.setdefault(instrument, []).append(series)
        return series

    def _market(self, instrument: str) -> Row:
        market = self._markets.get(instrument)
        if market is None:
            market = self._markets[instrument] = {"price": None, "bid": None, "ask": None, "last_ms": None}
            for size_ns in self._bar_sizes_ns:
                self._get_series(instrument, size_ns)
        self._changed_markets.add(instrument)
        return market

    def _trade(self, event: Trade, _offset: int) -> None:
        self.feed.add(0, event.event_time, event.receive_time)
        market = self._market(event.instrument)
        market["price"] = self._marks[event.instrument] = event.price
        market["last_ms"] = event.receive_time // NS_PER_MS
        for series in self._by_instrument.get(event.instrument, ()):
            series.add_trade(event.event_time, event.price, event.quantity)

    def _quote(self, event: Quote, _offset: int) -> None:
        self.feed.add(1, event.event_time, event.receive_time)
        market = self._market(event.instrument)
        market["bid"], market["ask"] = event.bid, event.ask
        market["last_ms"] = event.receive_time // NS_PER_MS

    def _book(self, event: BookDelta, _offset: int) -> None:
        self.feed.add(2, event.event_time, event.receive_time)

    def _bar(self, event: Bar, offset: int) -> None:
        series = self._get_series(event.instrument, event.close_time - event.open_time)
        if series is not None:
            series.add_bar(event, offset)
        if event.instrument not in self._marks:
            self._market(event.instrument)["price"] = self._marks[event.instrument] = event.close

    def _note(self, event: LedgerEntry, offset: int) -> None:
        counts = self._ledger[event.kind.name]
        counts["entries"] += 1
        counts["count"] += event.count
        self._losses.add(event)
        self._notes.append({
            "id": f"{event.stream}/{offset}", "time_ms": event.event_time / NS_PER_MS, "instrument": event.instrument,
            "stream": event.stream, "kind": event.kind.name, "count": event.count, "detail": event.detail,
        })  # fmt: skip

    def _delivery(self, event: Delivery, _offset: int) -> None:
        self._failed_deliveries += event.status != "sent"
        self._deliveries.append({
            "id": f"{event.message_id}/{event.channel}/{event.recipient}", "message_id": event.message_id,
            "time_ms": event.event_time / NS_PER_MS, "channel": event.channel, "recipient": event.recipient,
            "subject": event.subject, "status": event.status, "detail": event.detail, "run": event.run,
        })  # fmt: skip


def _series_name(key: tuple[str, int]) -> str:
    return f"{key[0]}|{duration_text(key[1])}"


def _undelivered(mail: Mail) -> Row:
    return {
        "id": mail.name, "message_id": mail.message_id, "time_ms": mail.time_ms, "channel": "outbox", "status": "sent",
        "recipient": mail.recipient, "subject": mail.subject, "detail": "", "run": "", "mail": mail.name,
    }  # fmt: skip
