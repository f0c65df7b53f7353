"""Builders of services: each makes one on a handle on the log of its own, in the thread that runs it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import date
from typing import TYPE_CHECKING

from quantlytic.app.config import Settings
from quantlytic.app.wiring.account import TradedAccount
from quantlytic.app.wiring.edge import Edge
from quantlytic.app.wiring.halting import Halting
from quantlytic.app.wiring.learning import Learning
from quantlytic.app.wiring.runs import Runs
from quantlytic.app.wiring.stores import Stores
from quantlytic.app.wiring.telling import Telling
from quantlytic.model.errors import InputError
from quantlytic.model.run import Run
from quantlytic.model.time import NS_PER_MS, duration_ns
from quantlytic.store.log.port import Log

if TYPE_CHECKING:  # each of these is imported by the service that needs it: starting one must not load all
    from quantlytic.daily.day import Day
    from quantlytic.engine.held import HeldSession
    from quantlytic.services.service import Service

GRACE_NS = 50 * NS_PER_MS  # how long after a bar's end its last trades may still come
ARCHIVE_EVERY_S = 20.0  # a commit costs as much for one row as for many, and leaves a file
DECIDERS = (
    "barmaker",
    "predictor",
    "executor",
    "strategist",
)  # in one process they share a thread: no wake-up lies between them
SERVICES = ("recorder", *DECIDERS, "lookahead", "shadow", "trainer", "watchdog", "notifier", "archiver", "scheduler")

Build = Callable[[Log], "Service"]


class Services:
    """What each name means under these settings."""

    def __init__(
        self, settings: Settings, stores: Stores, edge: Edge, runs: Runs, account: TradedAccount, halting: Halting
    ) -> None:
        self._settings, self._stores, self._edge, self._runs = settings, stores, edge, runs
        self._account, self._halting = account, halting

    def named(self, name: str) -> list[Build]:
        """Builders of the services of that name: some are one a run, the notifier one a channel, an account has one executor."""
        single: dict[str, Build] = {
            "recorder": self._recorder,
            "archiver": self._archiver,
            "scheduler": self._scheduler,
        }
        of_lines: dict[str, Callable[[Learning], list[Build]]] = {
            "predictor": Learning.predictors,
            "shadow": Learning.shadows,
            "trainer": Learning.trainers,
        }
        of_runs: dict[str, Callable[[list[Run]], list[Build]]] = {
            "executor": self._executors,
            "strategist": self._strategists,
            "lookahead": lambda runs: [self._lookahead(run) for run in runs if self._can_look_ahead(run)],
            "watchdog": lambda runs: [self._watchdog(runs)],
        }
        if name == "notifier":  # people can sign up, and be told of an account, before a venue was ever asked
            return Telling(self._settings, self._stores).builders(self._runs.stored)
        if name == "barmaker":
            return [self._barmaker(size_ns) for size_ns in self._bar_sizes()]
        if name in single:
            return [single[name]]
        if name in of_lines:
            return of_lines[name](self._learning()) if self._settings.forecasts else []
        if name in of_runs:
            return of_runs[name](self._runs.all())
        raise InputError(f"no service named {name!r}; there are: {', '.join((*SERVICES, 'exchange', 'web', 'alerts'))}")

    def chain(self, names: Sequence[str]) -> Build:
        """A builder of those services as one, taken in turns by one thread."""
        from quantlytic.services.chain import Chain

        builders = [build for name in names for build in self.named(name)]
        return lambda log: Chain([build(log) for build in builders])

    def _learning(self) -> Learning:
        run = self._runs.first()
        return Learning(self._settings, self._stores, run.venue, [one.id for one in run.instruments])

    def _recorder(self, log: Log) -> Service:
        from quantlytic.services.recorder import Recorder
        from quantlytic.venues.clock import GuardedClock
        from quantlytic.venues.normalisers import normaliser_of

        clock, venue = GuardedClock(), self._edge.venue
        return Recorder(log, venue, self._edge.feed(clock), normaliser_of(venue), clock)

    def _bar_sizes(self) -> list[int]:
        return sorted({duration_ns(size) for size in self._settings.bar_sizes})

    def _barmaker(self, size_ns: int) -> Build:
        from quantlytic.services.barmaker import Barmaker

        return lambda log: Barmaker(log, self._edge.venue, size_ns, GRACE_NS)

    def _executors(self, runs: list[Run]) -> list[Build]:
        return [self._live_executor] if self._settings.mode == "live" else [self._paper_executor(run) for run in runs]

    def _paper_executor(self, run: Run) -> Build:
        from quantlytic.services.executor import PaperExecutor
        from quantlytic.services.recovery import recover_executor

        def build(log: Log) -> Service:
            session = self._session(run, log)
            recover_executor(log, run, session)
            return PaperExecutor(log, run, session)

        return build

    def _live_executor(self, log: Log) -> Service:
        """One for the account, whatever the number of its runs."""
        from quantlytic.services.beating import Beating
        from quantlytic.services.liveexecutor import LiveExecutor
        from quantlytic.trading.link import Link

        account = self._account
        gate, latch = account.gate(self._runs.all()[0].instruments), account.latch()
        executor = LiveExecutor(
            log, account.name, self._runs.all(), Link(self._halting.trading_entry), gate, latch, rules=account.rules()
        )
        return Beating(executor, self._halting.heartbeat())

    def _watchdog(self, runs: list[Run]) -> Build:
        if self._settings.mode != "live":
            raise InputError('the watchdog watches a live account: set mode = "live"')
        cancels = self._settings.account.watchdog_cancels
        return self._halting.watchdog(runs, self._account.deadman(), cancels=cancels)

    def _can_look_ahead(self, run: Run) -> bool:
        from quantlytic.engine.fork import why_not
        from quantlytic.research.runs.paper import paper_session
        from quantlytic.research.runs.succession import first_strategy

        if not self._settings.lookahead.enabled:
            return False
        with self._stores.open_log() as log:
            first = first_strategy(run, log, self._stores.strategies)
        return not why_not(paper_session(run, strategy=first).strategy)

    def _lookahead(self, run: Run) -> Build:
        from quantlytic.services.lookahead import Lookahead

        given = self._settings.lookahead
        every_ns = duration_ns(given.check_every)
        task = self._learning().task(run.forecasts) if run.forecasts else ""
        return lambda log: Lookahead(
            log, run, self._session(run, log), GRACE_NS, horizons=given.horizons, check_every_ns=every_ns,
            forecast_task=task, sources=self._stores.strategies,
        )  # fmt: skip

    def _scheduler(self, log: Log) -> Service:
        from quantlytic.app.commands.daily import open_day
        from quantlytic.services.scheduler import Scheduler

        def day_of(day: date) -> Day:
            return open_day(self._settings, day.isoformat(), None, {})[0]

        return Scheduler(day_of, duration_ns(self._settings.daily.delay))

    def _strategists(self, runs: list[Run]) -> list[Build]:
        if self._settings.forecasts:
            self._learning().check_readers()
        return [self._strategist(run) for run in runs]

    def _strategist(self, run: Run) -> Build:
        from quantlytic.services.recovery import recover_strategist
        from quantlytic.services.strategist import Strategist
        from quantlytic.services.swaps import Means

        def build(log: Log) -> Service:
            session, lake = self._session(run, log), self._stores.lake()
            means = Means(self._stores.log_handle, lake, self._stores.strategies)
            recover_strategist(log, run, session, lake, means)
            return Strategist(log, run, session, means)

        return build

    def _session(self, run: Run, log: Log) -> HeldSession:
        """At the run's beginning, warmed by the history on disk: the same for all that hold a replica."""
        from quantlytic.research.runs.beginning import start_session

        return start_session(
            run, log, self._stores.lake(), warmup=self._settings.warmup, now_ns=time.time_ns(),
            sources=self._stores.strategies,
        )  # fmt: skip

    def _archiver(self, log: Log) -> Service:
        from quantlytic.services.archiver import Archiver
        from quantlytic.services.barmaker import name_of

        venue = self._edge.venue
        return Archiver(
            log,
            self._stores.lake(),
            batch_s=ARCHIVE_EVERY_S,
            retain_ns=duration_ns(self._settings.log.retain),
            readers={f"market.{venue}": [name_of(venue, size_ns) for size_ns in self._bar_sizes()]},
        )
