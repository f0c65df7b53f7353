"""Runs services, each in a thread of its own, and stops them in order; the first that fails stops all.

One that is fenced, because another process has taken its name over, stops alone: that is said in one line, and the others go
on."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from types import FrameType

import click

from quantlytic.app.monitor import Meter
from quantlytic.app.presence import Presence, service_of
from quantlytic.model.errors import Fenced
from quantlytic.services.chain import Chain
from quantlytic.services.service import Service
from quantlytic.store.log.port import Log

IDLE_S = 0.5  # the longest sleep between two looks at the stop mark
QUIET_PUMPS = 3  # pumps in a row without work that count as drained
DRAIN_WAIT_S = 0.05
DRAIN_S = 5.0


Build = Callable[[Log], Service]
"""Makes a service on a handle on the log."""


class Hosted:
    """One service in its thread, on a handle of its own on the log: it is built there, and both are closed there."""

    def __init__(
        self, open_log: Callable[[], Log], build: Build, on_failure: Callable[[BaseException], None],
        on_fenced: Callable[[str, Fenced], None], on_end: Callable[[str, Fenced], None], endless: bool,
    ) -> None:  # fmt: skip
        self.meter = Meter()
        self._is_fenced = False
        self._open_log, self._build = open_log, build
        self._on_failure, self._on_fenced, self._on_end, self._endless = on_failure, on_fenced, on_end, endless
        self._stop = threading.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def start(self) -> None:
        """Returns once the service is built (or has failed to be)."""
        self._thread.start()
        self._ready.wait()

    def stop(self) -> None:
        """Let the service finish what has reached it, close it, and wait for that."""
        self._stop.set()
        self._thread.join()

    def _serve(self) -> None:
        try:
            with closing(self._open_log()) as log, closing(self._build(log)) as service:
                self._thread.name = self.meter.name = service.name
                if isinstance(service, Chain):
                    service.on_fenced = self._on_fenced
                self._ready.set()
                self._pump(service)
        except BaseException as error:
            self._failed(error)
        finally:
            self._ready.set()

    def _pump(self, service: Service) -> None:
        try:
            while not self._stop.is_set():
                count = service.pump()
                self.meter.pumped(count)
                if count == 0:
                    service.wait(IDLE_S)
            if not self._endless:
                drain(service)
        except BaseException as error:
            self._failed(error)  # before closing, which may fail for the same reason

    def _failed(self, error: BaseException) -> None:
        if not isinstance(error, Fenced):
            self._on_failure(error)
        elif not self._is_fenced:
            self._is_fenced = True
            self._on_end(self.meter.name, error)


def drain(service: Service) -> None:
    """Pump until nothing more comes, or the time is up: who writes upstream may go on for ever. Nothing is lost by that."""
    quiet, until_s = 0, time.monotonic() + DRAIN_S
    while quiet < QUIET_PUMPS and time.monotonic() < until_s:
        if service.pump():
            quiet = 0
        else:
            quiet += 1
            service.wait(DRAIN_WAIT_S)


class Host:
    """A set of services with one end. `stopping` is set by a signal, by the time limit, or by the first failure.

    A service whose place another process has taken stops alone, and `say` is given a line that names that process
    (`presence`); when none is left, that is the failure.
    """

    def __init__(
        self, open_log: Callable[[], Log], presence: Presence | None = None, say: Callable[[str], None] | None = None
    ) -> None:
        self._open_log, self._presence = open_log, presence
        self._say = say or partial(click.echo, err=True)
        self.stopping = threading.Event()
        self.failure: BaseException | None = None
        self.meters: list[Meter] = []
        self._hosted: list[Hosted] = []
        self._deposed, self._counting = 0, threading.Lock()

    def add(self, build: Build, endless: bool = False) -> None:
        """Start one more service. `endless`: its source never dries up, so it is not waited for to fall quiet.

        Raises what went wrong while building it.
        """
        hosted = Hosted(self._open_log, build, self._fail, self._tell, self._ended, endless)
        self.meters.append(hosted.meter)
        hosted.start()
        self._hosted.append(hosted)
        if self.failure is not None:
            raise self.failure

    def _ended(self, name: str, error: Fenced) -> None:
        """A service was deposed. The last one is told of by the failure itself."""
        with self._counting:
            self._deposed += 1
            self.meters[:] = [meter for meter in self.meters if meter.name != name]  # else /health would call it stuck
            is_last = self._deposed >= len(self._hosted) > 0
        if is_last:
            self._fail(Fenced(self._line(name)))
        else:
            self._tell(name, error)

    def _tell(self, name: str, _error: Fenced) -> None:
        if not self.stopping.is_set():
            self._say(f"{self._line(name)}; what else runs here goes on")

    def _line(self, name: str) -> str:
        who = self._presence.holder(service_of(name)) if self._presence is not None else ""
        return f"{name} has ended here: {who or 'another process'} has taken its place, and goes on where it was"

    def _fail(self, error: BaseException) -> None:
        if self.failure is None:
            self.failure = error
        self.stopping.set()

    def stop(self) -> None:
        """Stop the services in the order they were added, upstream first: each drains what the last one wrote."""
        for hosted in self._hosted:
            hosted.stop()
        self._hosted.clear()

    def stop_on_signals(self) -> None:
        """Ctrl-C and SIGTERM end the run cleanly; a second one ends it at once (what was committed stays)."""

        def handle(number: int, _frame: FrameType | None) -> None:
            if self.stopping.is_set():
                raise SystemExit(128 + number)
            self.stopping.set()

        signal.signal(signal.SIGINT, handle)
        signal.signal(signal.SIGTERM, handle)
