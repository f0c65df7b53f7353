"""Follows the tape and keeps the dashboard up to date, in a thread of its own."""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from quantlytic.model.errors import StoreError
from quantlytic.model.run import Run
from quantlytic.store.log.port import Batch, Log
from quantlytic.web.account import Row
from quantlytic.web.outbox import OpenMail, Outbox
from quantlytic.web.views import Dashboard

MIN_PASS_S = 0.1
HEARTBEAT_S = 0.5
LOOK_AROUND_S = 2.0
RETRY_S = 1.0
MAX_RUNS = 8
# How many of the last offsets of a stream are read at the start; a run is read as far back as the log still holds it.
HISTORY = {
    "market": 5_000,
    "bars": 20_000,
    "decisions": 100_000,
    "executions": 100_000,
    "intents": 50_000,
    "deliveries": 200,
    "forecasts": 50_000,
    "shadows": 20_000,
}
RUN_STREAMS = ("decisions", "executions", "intents")
LINE_STREAMS = ("forecasts", "shadows")


class TapeReader:
    """Reads at most ten times a second, sleeps in `log.wait` between, and hands each change to `publish` as JSON.

    `publish` is called in the reader's thread, at least every half second (a heartbeat), so that a page can tell a
    silent server from a silent market. A log that cannot be read is opened again every second; the page says why.
    """

    def __init__(
        self,
        open_log: Callable[[], Log],
        dashboard: Dashboard,
        outbox: Path,
        *,
        list_runs: Callable[[], Iterable[Run]],
        publish: Callable[[bytes], None],
        kind_of: Callable[[str], str] = lambda _model_id: "",
        count_held: Callable[[], int] = int,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._open_log = open_log
        self._dashboard = dashboard
        self._outbox = Outbox(outbox)
        self._list_runs = list_runs
        self._kind_of, self._count_held = kind_of, count_held
        self._publish = publish
        self._now_ns = now_ns
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="web-reader", daemon=True)
        self._positions: dict[str, int] = {}
        self._live_from: dict[str, int] = {}
        self._known_runs: set[str] = set()
        self._looked_around_s = -LOOK_AROUND_S
        self._sequence = 0
        self._problem = ""
        self._loading = True

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    @property
    def problem(self) -> str:
        """Why the tape cannot be read now; "" when it can."""
        return self._problem

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def stop(self) -> None:
        """End, and close the log."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10)

    def snapshot(self, run_id: str | None = None, series: str | None = None) -> bytes:
        """The whole view as JSON. Deltas whose `sequence` is not above the snapshot's are contained in it."""
        with self._lock:
            state = {"kind": "snapshot", **self._envelope(), **self._dashboard.state(self._now_ns(), run_id, series)}
            return msgspec.json.encode(state)

    def state(self) -> Row:
        """The whole view of the current run, as the page has it at this moment; `totals`: a summary of each run, by its id."""
        with self._lock:
            return copy.deepcopy(self._dashboard.state(self._now_ns()) | {"totals": self._dashboard.totals()})

    def feed(self) -> Row:
        """How alive the market feed is, as on the page."""
        with self._lock:
            return self._dashboard.feed.view(self._now_ns())

    def models(self) -> Row:
        """The lines of models and the last changes, as on the page."""
        with self._lock:
            return copy.deepcopy(self._dashboard.models())

    def held(self) -> list[Row]:
        """What the live runs hold, by instrument."""
        with self._lock:
            return self._dashboard.held()

    def open_mail(self, name: str) -> OpenMail | None:
        """A mail of the outbox by its file name."""
        return self._outbox.open(name)

    def _envelope(self) -> Row:
        return {
            "sequence": self._sequence,
            "now_ms": self._now_ns() // 1_000_000,
            "problem": self._problem,
            "loading": self._loading,
        }

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                log = self._open_log()
                try:
                    self._follow(log)
                finally:
                    log.close()
            except StoreError as error:
                self._problem = str(error)
                self._tell()
                self._stopping.wait(RETRY_S)

    def _follow(self, log: Log) -> None:
        for stream, position in self._positions.items():  # while the log was away, what comes next may have gone
            self._positions[stream] = max(position, log.bounds(stream)[0])
        while not self._stopping.is_set():
            began_s = time.monotonic()
            if began_s - self._looked_around_s >= LOOK_AROUND_S:
                self._look_around(log)
                self._looked_around_s = began_s
            caught_up = self._read_all(log)
            self._problem, self._loading = "", self._loading and not caught_up
            self._tell()
            if caught_up:
                self._stopping.wait(MIN_PASS_S - (time.monotonic() - began_s))
                log.wait(self._positions, HEARTBEAT_S - MIN_PASS_S)

    def _read_all(self, log: Log) -> bool:
        """Take in what there is, at most one batch of a stream but all bars; True when caught up.

        A run refers to bars, a delivery to a mail: both were there before it. So it is read first and taken in last.
        """
        references = [stream for stream in self._positions if not stream.startswith(("market.", "bars."))]
        read = {stream: log.read(stream, self._positions[stream]) for stream in sorted(references)}
        venue, some = self._dashboard.venue, False
        while self._take(f"bars.{venue}", log.read(f"bars.{venue}", self._positions[f"bars.{venue}"])):
            some = True
        some |= self._take(f"market.{venue}", log.read(f"market.{venue}", self._positions[f"market.{venue}"]))
        self._look_for_mails()
        for stream, batch in read.items():
            some |= self._take(stream, batch)
        return not some or not self._loading

    def _take(self, stream: str, batch: Batch) -> bool:
        """Fold a batch and go on behind it; False for an empty one."""
        kind, _, owner = stream.partition(".")
        with self._lock:
            if kind in RUN_STREAMS:
                is_live = batch.next_offset > self._live_from[stream]
                self._dashboard.apply_run(owner, batch, self._now_ns() if is_live else 0)
            elif kind in LINE_STREAMS:
                self._dashboard.apply_line(kind, owner, batch)
            else:
                self._dashboard.apply(batch)
        self._positions[stream] = batch.next_offset
        return bool(batch.events)

    def _look_for_mails(self) -> None:
        if self._outbox.refresh():
            with self._lock:
                self._dashboard.set_mails(self._outbox.mails())

    def _look_around(self, log: Log) -> None:
        """Find new streams, new runs, what new challengers are, and how many messages wait."""
        venue = self._dashboard.venue
        lines = [stream for kind in LINE_STREAMS for stream in log.streams(f"{kind}.")]
        for stream in (f"market.{venue}", f"bars.{venue}", "deliveries", *lines):
            self._take_up(log, stream)
        runs = {run.run_id: run for run in self._list_runs() if run.venue == venue and run.mode != "backtest"}
        newest = next(reversed(runs), None)
        streams = [*log.streams("decisions."), *log.streams("executions.")]
        found = {stream.partition(".")[2] for stream in streams} | ({newest} if newest else set())
        fresh = found - self._known_runs
        self._known_runs |= fresh
        ranked = sorted(fresh, key=lambda run_id: (run_id == newest, self._last_time(log, run_id)), reverse=True)
        held = self._count_held()
        with self._lock:
            self._dashboard.held_messages = held
            for run_id in ranked[:MAX_RUNS]:
                self._make_room()
                self._dashboard.add_run(run_id)
                # The last command is the end of a strategy that raised, however long ago, unless somebody has asked since.
                commands = f"commands.{run_id}"
                self._dashboard.apply_run(run_id, log.read(commands, max(0, log.bounds(commands)[1] - 1)))
                for kind in RUN_STREAMS:
                    self._take_up(log, f"{kind}.{run_id}")
            for run_id in self._dashboard.runs.keys() & runs.keys():
                self._dashboard.describe_run(runs[run_id])
            unknown = self._dashboard.unknown_models()
        kinds = {model_id: self._kind_of(model_id) for model_id in unknown}
        with self._lock:
            for model_id, kind in kinds.items():
                self._dashboard.tell_kind(model_id, kind)

    def _make_room(self) -> None:
        """Forget the run that has been quiet for longest when there are as many as the page shows."""
        views = self._dashboard.runs
        if len(views) >= MAX_RUNS:
            quiet = min(views.values(), key=lambda view: view.activity).run_id
            del views[quiet]
            for kind in RUN_STREAMS:
                del self._positions[f"{kind}.{quiet}"]

    def _take_up(self, log: Log, stream: str) -> None:
        if stream not in self._positions:
            first, end = log.bounds(stream)
            self._positions[stream] = max(first, end - HISTORY[stream.partition(".")[0]])
            self._live_from[stream] = end if self._loading else 0  # what appears later is news from its beginning

    def _last_time(self, log: Log, run_id: str) -> int:
        stream = f"executions.{run_id}"
        first, end = log.bounds(stream)
        events = log.read(stream, max(first, end - 20)).events
        return max((getattr(event, "event_time", 0) for event in events), default=0)

    def _tell(self) -> None:
        with self._lock:
            self._sequence += 1
            delta = {"kind": "delta", **self._envelope(), **self._dashboard.drain(self._now_ns())}
            payload = msgspec.json.encode(delta)
        self._publish(payload)
