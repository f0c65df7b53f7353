"""The only place that wires: settings in, ready services out."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import re
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from quantlytic.app.config import Settings
from quantlytic.model.errors import InputError, StoreError
from quantlytic.model.instrument import Instrument
from quantlytic.model.run import Run
from quantlytic.model.time import NS_PER_MS, duration_ns
from quantlytic.store.log import open_log
from quantlytic.store.log.port import Log

if TYPE_CHECKING:  # each of these is imported by the service that needs it: starting one must not load all
    from quantlytic.app.monitor import Meter, Monitor
    from quantlytic.services.channels import Channel
    from quantlytic.services.service import Service
    from quantlytic.store.control.control import Control
    from quantlytic.store.lake import Lake
    from quantlytic.venues.binance.feed import BinanceFeed
    from quantlytic.venues.binance.market import BinanceMarket
    from quantlytic.venues.ccxt.feed import CcxtFeed
    from quantlytic.venues.clock import GuardedClock
    from quantlytic.venues.exchange.server import ExchangeServer
    from quantlytic.web.server import WebServer

GRACE_NS = 50 * NS_PER_MS  # how long after a bar's end its last trades may still come
ARCHIVE_EVERY_S = 20.0  # a commit costs as much for one row as for many, and leaves a file
_TOKEN = re.compile(r"[!-~]{16,}")
DECIDERS = ("barmaker", "executor", "strategist")  # in one process they share a thread: no wake-up lies between them
SERVICES = ("recorder", *DECIDERS, "notifier", "archiver")


class Bootstrap:
    """Builds what the settings ask for. Services are built in the thread that runs them: see `services`."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.home = settings.home
        self._run: Run | None = None

    # ---- stores

    def make_home(self) -> None:
        """Make the folder that holds everything recorded, readable by this user alone."""
        try:
            self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise StoreError(
                f"the folder {self.home} cannot be made: {error.strerror}; choose another: QUANTLYTIC_HOME"
            ) from None

    @contextmanager
    def open_log(self) -> Iterator[Log]:
        """A handle on the tape, closed at the end."""
        log = self.log_handle()
        try:
            yield log
        finally:
            log.close()

    def log_handle(self) -> Log:
        """A handle on the tape for the calling thread, which closes it."""
        kind = self.settings.log
        return open_log(kind.kind, folder=self.home / "log", servers=kind.kafka_servers, durability=kind.durability)

    def control(self) -> Control:
        """The control store."""
        from quantlytic.store.control import open_control

        return open_control(self.home)

    def lake(self) -> Lake:
        """The lake."""
        from quantlytic.store.lake import Lake

        return Lake(self.home / "lake")

    # ---- the edge of the world

    def exchange(self) -> ExchangeServer:
        """The exchange in a box, not started."""
        from quantlytic.venues.exchange.config import ExchangeConfig
        from quantlytic.venues.exchange.server import ExchangeServer

        venue = self.settings.venue
        return ExchangeServer(
            ExchangeConfig(
                symbols=tuple(venue.symbols), seed=venue.box_seed, port=venue.box_port, folder=self.home / "exchange"
            )
        )

    @property
    def venue(self) -> str:
        """The venue's id: the word before the colon in instrument ids, and the end of its streams' names."""
        venue = self.settings.venue
        if venue.name != "ccxt":
            return venue.name
        if not venue.ccxt_exchange:
            raise InputError("venue ccxt needs an exchange: set QUANTLYTIC_VENUE__CCXT_EXCHANGE, such as kraken")
        return venue.ccxt_exchange

    def feed(self, clock: GuardedClock) -> BinanceFeed | CcxtFeed:
        """The venue's public data, not connected."""
        symbols = self.settings.venue.symbols
        if self.settings.venue.name == "ccxt":
            from quantlytic.venues.ccxt.feed import CcxtFeed
            from quantlytic.venues.ccxt.library import open_exchange

            return CcxtFeed(open_exchange(self.venue), symbols, clock)
        from quantlytic.venues.binance.feed import BinanceFeed

        return BinanceFeed(self._market(), symbols, clock)

    def _market(self) -> BinanceMarket:
        """Where Binance, or the exchange in a box, is."""
        from quantlytic.venues.binance.market import spot

        venue = self.settings.venue
        if venue.name == "box":
            rest_url = venue.rest_url or f"http://127.0.0.1:{venue.box_port}"
            stream_url = venue.stream_url or f"ws://127.0.0.1:{venue.box_port}/stream"
            return spot("box", rest_url, stream_url)
        urls = {name: url for name, url in (("rest_url", venue.rest_url), ("stream_url", venue.stream_url)) if url}
        return spot("binance", **urls)

    def web(self) -> WebServer:
        """The page's server, not started."""
        from quantlytic.web.server import WebServer

        self.log_handle().close()  # a log that cannot be opened is told here, in one line, not by the page's thread
        web = self.settings.web
        control = self.control()
        return WebServer(
            self.log_handle,
            venue=self.venue,
            outbox=self.home / "outbox",
            token=self.token(),
            host=web.host,
            port=web.port,
            bar_sizes=(self.settings.strategy.bar,),
            list_runs=lambda: control.runs.list("paper"),
        )

    def monitor(self, meters: list[Meter]) -> AbstractContextManager[Monitor | None]:
        """`/health` and `/metrics` of this process, when the settings ask for them."""
        from quantlytic.app.monitor import Monitor

        where = self.settings.monitor
        return nullcontext() if where.port is None else Monitor(where.host, where.port, self.token(), meters)

    def token(self) -> str:
        """The page's token: from the settings, or made once and kept in a file that only this user can read."""
        if self.settings.web.token is not None:
            return self.settings.web.token.get_secret_value()
        path = self.home / "token"
        try:
            if not path.exists():
                _put_new(path, secrets.token_urlsafe(24))
            found = path.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is no text"
            raise StoreError(f"the page's token {path} cannot be used: {reason}; move it away for a new one") from None
        if not _TOKEN.fullmatch(found):
            raise StoreError(f"the page's token {path} is damaged; move it away for a new one")
        return found

    # ---- runs

    def run(self) -> Run:
        """The paper run of these settings: the one that is there goes on, else a new one starts at the bars' end.

        Its id is made of strategy, code, parameters, instruments, bars, cash and fees: change one, and it is another run.
        """
        if self._run is None:
            self._run = self._find_or_start_run()
        return self._run

    def _find_or_start_run(self) -> Run:
        from quantlytic.strategies.catalogue import find, source_hash

        settings = self.settings.strategy
        strategy = find(settings.name)(**settings.params)
        control = self.control()
        instruments = self._instruments(control)
        draft = Run(
            run_id="", mode="paper", venue=self.venue, strategy=settings.name,
            params={name: float(value) for name, value in strategy.params.items()}, instruments=instruments,
            bar_size_ns=duration_ns(settings.bar), cash=settings.cash, fee_bps=settings.fee_bps,
            first_bar_offset=0, code_hash=source_hash(type(strategy)),
        )  # fmt: skip
        run_id = "paper-" + hashlib.sha256(msgspec.json.encode(draft)).hexdigest()[:12]
        for run in control.runs.list("paper"):
            if run.run_id == run_id:
                return run
        with self.open_log() as log:
            end = log.bounds(draft.bars_stream)[1]
        try:
            return control.runs.add(msgspec.structs.replace(draft, run_id=run_id, first_bar_offset=end))
        except InputError:  # another process has started it at this very moment
            return control.runs.get(run_id)

    def find_run(self, run_id: str) -> Run:
        """A paper run by id, or the `last` one. Raises InputError when there is none."""
        runs = self.control().runs
        if run_id != "last":
            return runs.get(run_id)
        last = runs.last("paper")
        if last is None:
            raise InputError(f"no paper run in {self.home}: start one with `quantlytic up`")
        return last

    def _instruments(self, control: Control) -> tuple[Instrument, ...]:
        """The venue's rules for the symbols: as stored, else asked for and stored."""
        from quantlytic.venues.clock import GuardedClock

        stored = [control.instruments.get(f"{self.venue}:{symbol}") for symbol in self.settings.venue.symbols]
        if any(instrument is None for instrument in stored):
            stored = [*asyncio.run(self._ask_instruments(GuardedClock()))]
            control.instruments.put([instrument for instrument in stored if instrument is not None])
        return tuple(instrument for instrument in stored if instrument is not None)

    async def _ask_instruments(self, clock: GuardedClock) -> list[Instrument]:
        return await self.feed(clock).load_instruments()

    # ---- services

    def services(self, name: str) -> list[Callable[[Log], Service]]:
        """Builders of the services of that name (the notifier is one a channel), each for a handle on the log of its own."""
        if name == "notifier":
            return [self._notifier(channel) for channel in self._channels()]
        build = {
            "recorder": self._recorder,
            "barmaker": self._barmaker,
            "executor": self._executor,
            "strategist": self._strategist,
            "archiver": self._archiver,
        }.get(name)
        if build is None:
            raise InputError(f"no service named {name!r}; there are: {', '.join((*SERVICES, 'exchange', 'web'))}")
        return [build]

    def chain(self, names: Sequence[str]) -> Callable[[Log], Service]:
        """A builder of those services as one, taken in turns by one thread."""
        from quantlytic.services.chain import Chain

        builders = [build for name in names for build in self.services(name)]
        return lambda log: Chain([build(log) for build in builders])

    def _recorder(self, log: Log) -> Service:
        from quantlytic.services.recorder import Recorder
        from quantlytic.venues.clock import GuardedClock
        from quantlytic.venues.normalisers import normaliser_of

        clock = GuardedClock()
        return Recorder(log, self.venue, self.feed(clock), normaliser_of(self.venue), clock)

    def _barmaker(self, log: Log) -> Service:
        from quantlytic.services.barmaker import Barmaker

        size_ns = duration_ns(self.settings.strategy.bar)
        return Barmaker(log, self.venue, size_ns, GRACE_NS)

    def _executor(self, log: Log) -> Service:
        from quantlytic.research.runs.paper import paper_session
        from quantlytic.services.executor import PaperExecutor

        return PaperExecutor(log, self.run(), paper_session(self.run()))

    def _strategist(self, log: Log) -> Service:
        from quantlytic.research.runs.paper import paper_session
        from quantlytic.services.strategist import Strategist

        return Strategist(log, self.run(), paper_session(self.run()))

    def _archiver(self, log: Log) -> Service:
        from quantlytic.services.archiver import Archiver

        venue = self.venue
        return Archiver(
            log,
            self.lake(),
            batch_s=ARCHIVE_EVERY_S,
            retain_ns=duration_ns(self.settings.log.retain),
            readers={f"market.{venue}": [f"barmaker.{venue}"]},
        )

    def _notifier(self, channel: Channel) -> Callable[[Log], Service]:
        from quantlytic.services.notifier import Notifier

        return lambda log: Notifier(log, self.run(), channel)

    def _channels(self) -> list[Channel]:
        from quantlytic.services.channels import Outbox, Smtp, Webhook

        notify = self.settings.notify
        channels: list[Channel] = []
        if notify.smtp_host:
            password = notify.smtp_password.get_secret_value() if notify.smtp_password else ""
            channels.append(
                Smtp(
                    notify.smtp_host, notify.smtp_port, notify.sender, notify.recipient,
                    notify.smtp_user, password, notify.smtp_starttls,
                )
            )  # fmt: skip
        else:
            channels.append(Outbox(self.home / "outbox", notify.sender, notify.recipient))
        if notify.webhook_url is not None:
            channels.append(Webhook(notify.webhook_url.get_secret_value()))
        return channels


def _put_new(path: Path, text: str) -> None:
    """A file for this user alone, whole or not there; if another process was quicker, its file stays."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(part, "w", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(text)
        with contextlib.suppress(FileExistsError):
            os.link(part, path)
    finally:
        part.unlink(missing_ok=True)
