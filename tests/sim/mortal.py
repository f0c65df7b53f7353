"""A paper line stepped in one thread, in seeded random order, whose services die before, in and after their commits."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.sim.foreteller import Foreteller
from tests.sim.truth import check_mails, check_run, events_of

from quantlytic.engine.market.fees import Fees
from quantlytic.engine.session import Session
from quantlytic.engine.strategy import Strategy
from quantlytic.model.book import BookDelta
from quantlytic.model.codec import encode
from quantlytic.model.errors import Fenced
from quantlytic.model.event import Event
from quantlytic.model.instrument import Instrument
from quantlytic.model.ledger import LedgerEntry, LedgerKind
from quantlytic.model.run import Run
from quantlytic.model.side import Side
from quantlytic.model.time import NS_PER_MS, NS_PER_S
from quantlytic.model.trade import Trade
from quantlytic.research.runs.parity import check_parity
from quantlytic.services.archiver import Archiver
from quantlytic.services.barmaker import Barmaker
from quantlytic.services.executor import PaperExecutor
from quantlytic.services.service import Service
from quantlytic.services.strategist import Strategist
from quantlytic.services.swaps import Means
from quantlytic.store.control import open_control
from quantlytic.store.control.control import Control
from quantlytic.store.lake import Lake
from quantlytic.store.log import open_log
from quantlytic.store.log.port import Batch, Log, Writer
from quantlytic.telling.channels import Claim, Outbox
from quantlytic.telling.delivery import Courier, Operator
from quantlytic.telling.fanout import FanOut
from quantlytic.telling.letter import Letter
from quantlytic.telling.mail import Envelope

VENUE = "sim"
EVENTS = 300  # of a market
MARKETS = 5
GRACE_NS = 50 * NS_PER_MS
T0 = 1_700_000_000 * NS_PER_S
STREAMS = ("bars.sim", "forecasts.sim-line", "decisions.sim-run", "executions.sim-run", "deliveries")
RULES = {
    "sim:BTCUSDT": (60_000.0, Instrument("sim:BTCUSDT", "BTC", "USDT", 0.01, 0.00001, 5.0)),
    "sim:ETHUSDT": (3_000.0, Instrument("sim:ETHUSDT", "ETH", "USDT", 0.01, 0.0001, 5.0)),
    "sim:ADAUSDT": (0.5, Instrument("sim:ADAUSDT", "ADA", "USDT", 0.0001, 0.1, 5.0)),
    "sim:SOLUSDT": (150.0, Instrument("sim:SOLUSDT", "SOL", "USDT", 0.01, 0.001, 5.0)),
    "sim:XRPUSDT": (1.5, Instrument("sim:XRPUSDT", "XRP", "USDT", 0.0001, 0.1, 5.0)),
}


@dataclass(frozen=True)
class Case:
    """What is run: a strategy over the first `count` instruments. `check` says what must be true of the run's streams."""

    strategy: Strategy
    count: int = 2
    check: Callable[[Log, Run], object] = check_run
    forecasts: str = ""

    @property
    def instruments(self) -> tuple[Instrument, ...]:
        return tuple(rules for _, rules in list(RULES.values())[: self.count])

    @property
    def run(self) -> Run:
        params = {name: float(value) for name, value in self.strategy.params.items()}
        return Run(
            run_id="sim-run", mode="paper", venue=VENUE, strategy=type(self.strategy).__name__, params=params,
            instruments=self.instruments, bar_size_ns=NS_PER_S, cash=50_000.0, fee_bps=10.0, first_bar_offset=0,
            code_hash="", forecasts=self.forecasts,
        )  # fmt: skip

    def session(self) -> Session:
        """As `paper_session` makes it, of a class that is imported once."""
        fees = Fees(maker_bps=10.0, taker_bps=10.0)
        return Session(self.strategy, self.instruments, cash=50_000.0, fees=fees)

    def market(self, seed: int, count: int = EVENTS) -> list[Event]:
        """Trades and book changes: bursts, pauses, some trades late, some of no use."""
        source = random.Random(seed)
        prices = {one.id: RULES[one.id][0] for one in self.instruments}
        time, events = T0, list[Event]()
        for number in range(count):
            time += int(source.expovariate(1 / 0.12) * NS_PER_S)
            name = source.choice(sorted(prices))
            if source.random() < 0.01:
                events.append(LedgerEntry("sim:*", "raw", LedgerKind.RECONNECT, time))
            if source.random() < 0.15:
                events.append(BookDelta(name, time, time, number, number, (prices[name],), (1.0,), (), ()))
                continue
            prices[name] = round(prices[name] * (1 + source.gauss(0, 4e-4)), 6 if prices[name] < 10 else 2)
            at = time - (2 * NS_PER_S if source.random() < 0.02 else source.randrange(40) * NS_PER_MS)
            quantity = 0.0 if source.random() < 0.005 else round(source.lognormvariate(-3, 1), 5)
            events.append(Trade(name, at, time, number, prices[name], quantity, source.choice((Side.BUY, Side.SELL))))
        return events


class Death(BaseException):
    """kill -9, as far as one thread can do it to itself."""


class Mortality:
    """When to die: `rate` is the chance at each point where it could matter."""

    def __init__(self, seed: int, rate: float) -> None:
        self.source = random.Random(f"{seed} deaths")
        self.rate = rate
        self.deaths = 0
        self.suspended: Callable[[], object] | None = None
        """The commit before which it struck: what a process that only stood still would go on with."""

    def may_strike(self) -> None:
        if self.source.random() < self.rate:
            self.deaths += 1
            raise Death


class MortalWriter:
    """A writer whose owner may die just before, or just after, the commit has happened."""

    def __init__(self, writer: Writer, mortality: Mortality) -> None:
        self._writer, self._mortality = writer, mortality
        self.name = writer.name
        self.close = writer.close

    @property
    def positions(self) -> Mapping[str, int]:
        return self._writer.positions

    @property
    def snapshot(self) -> bytes | None:
        return self._writer.snapshot

    def commit(self, *args: Any, **kwargs: Any) -> Mapping[str, Sequence[int]]:
        self._mortality.suspended = lambda: self._writer.commit(*args, **kwargs)
        self._mortality.may_strike()
        self._mortality.suspended = None
        offsets = self._writer.commit(*args, **kwargs)
        self._mortality.may_strike()
        return offsets


class MortalLog:
    """A log that hands out mortal writers, and reads as short as the port allows."""

    def __init__(self, log: Log, mortality: Mortality) -> None:
        self._log, self._mortality = log, mortality
        self.wait, self.bounds, self.streams = log.wait, log.bounds, log.streams
        self.committed, self.trim, self.close = log.committed, log.trim, log.close

    def writer(self, name: str) -> MortalWriter:
        return MortalWriter(self._log.writer(name), self._mortality)

    def read(self, stream: str, offset: int, max_events: int = 5000) -> Batch:
        return self._log.read(stream, offset, min(max_events, self._mortality.source.choice((1, 3, 20, 5000, 5000))))


class MortalOutbox(Outbox):
    """An outbox that may die before, while and after it writes a mail."""

    def __init__(self, folder: Path, mortality: Mortality) -> None:
        super().__init__(folder)
        self._mortality, self._where = mortality, folder

    def deliver(self, letter: Letter, envelope: Envelope, claim: Claim) -> bool:
        try:
            self._mortality.may_strike()
        except Death:
            (self._where / f"{letter.event_time:020d}-{envelope.message_id}.0.part").write_bytes(b"half a ma")
            raise
        done = super().deliver(letter, envelope, claim)
        self._mortality.may_strike()
        return done


BOSS = Operator("you@localhost", "mail", "you@localhost", ("signal", "fill"))


def fan_out(log: Log, control: Control, run: Run) -> FanOut:
    return FanOut(log, control, lambda: [run], operators=(BOSS,), stale_ns=None, timer_s=_Seconds(0.5))


def courier(log: Log, control: Control, outbox: Outbox) -> Courier:
    clock = _Seconds(10.0)
    operators = {BOSS.name: BOSS}
    return Courier(
        log, control, "mail", outbox, sender="q@localhost", operators=operators, per_hour=10**9, clock_ns=clock.ns
    )


class _Seconds:
    """A clock on which some time has passed at each look: no claim of the dead is waited for for long."""

    now = 1_800_000_000.0

    def __init__(self, step: float) -> None:
        self._step = step

    def __call__(self) -> float:
        _Seconds.now += self._step
        return _Seconds.now

    def ns(self) -> int:
        return int(self()) * NS_PER_S


class MortalLake(Lake):
    """A lake whose archiver may die between any two of its writes."""

    def __init__(self, folder: Path, mortality: Mortality) -> None:
        super().__init__(folder)
        self._mortality = mortality

    def append(self, stream: str, offsets: Sequence[int], events: Sequence[Event]) -> int:
        self._mortality.may_strike()
        kinds = sorted({type(event) for event in events}, key=lambda kind: kind.__name__)
        if len(kinds) > 1 and self._mortality.source.random() < self._mortality.rate:
            some = [pair for pair in zip(offsets, events, strict=True) if type(pair[1]) is kinds[0]]
            super().append(stream, [at for at, _ in some], [event for _, event in some])  # one table of several
            self._mortality.deaths += 1
            raise Death
        added = super().append(stream, offsets, events)
        self._mortality.may_strike()
        return added

    def advance(self, stream: str, progress: Any) -> None:
        super().advance(stream, progress)
        self._mortality.may_strike()


class Simulation:
    """A market that comes in by pieces, and services that are stepped, dropped, replaced and left behind as zombies."""

    def __init__(self, folder: Path, case: Case, seed: int, rate: float, archived: bool = False) -> None:
        self.folder, self.case, self.run = folder, case, case.run
        self.source = random.Random(f"{seed} steps")
        self.mortality = Mortality(seed, rate)
        self.log = open_log("sqlite", folder=folder / "log")
        self._recorder, self.control = self.log.writer("recorder.sim"), open_control(folder)
        self._names = ["barmaker", "executor", "strategist", "notifier", "courier", *(["archiver"] if archived else [])]
        self._names += ["foreteller"] if case.forecasts else []
        self.means: Means | None = None  # to put another strategy in the place of the first
        self._handles: list[Log] = []
        self._alive: dict[str, Service] = {}
        self.zombies: list[tuple[str, Callable[[], object]]] = []
        self.fenced = 0

    def play(self, events: Sequence[Event]) -> None:
        """Feed all events and step until nothing moves any more."""
        at = 0
        while at < len(events) or not self._is_settled():
            if at < len(events) and self.source.random() < 0.3:
                size = self.source.randrange(1, 60)
                self._recorder.commit({"market.sim": events[at : at + size]})
                at += size
            self._step(self.source.choice(self._names))
            if self.zombies and self.source.random() < 0.2:
                self._wake_zombie()
        self._finish()

    def close(self) -> None:
        for handle in [*self._handles, self.log, self.control]:
            handle.close()

    def _step(self, name: str) -> int:
        go_on: Callable[[], object] | None = None
        self.mortality.suspended = None
        try:
            if name not in self._alive:
                self._alive[name] = self._build(name)
            count = self._alive[name].pump()
            go_on = self._alive[name].pump
            self.mortality.may_strike()
            return count
        except Death:
            dead = self._alive.pop(name, None)
            go_on = go_on or self.mortality.suspended
            if dead is not None and go_on is not None and name != "archiver" and self.source.random() < 0.5:
                self.zombies.append((dead.name, go_on))  # not dead after all: it only stood still, and was replaced
            return 1

    def _wake_zombie(self) -> None:
        """It may work on its stale state, but not one byte of it may reach the tape."""
        name, go_on = self.zombies.pop(self.source.randrange(len(self.zombies)))
        if any(service.name == name for service in self._alive.values()):
            before = {stream: self.log.bounds(stream) for stream in STREAMS}
            rate, self.mortality.rate = self.mortality.rate, 0.0
            try:
                go_on()
            except Fenced:
                self.fenced += 1
            self.mortality.rate = rate
            assert {stream: self.log.bounds(stream) for stream in STREAMS} == before

    def _is_settled(self) -> bool:
        """Nothing to do, and no mail on its way."""
        return (
            all(self._step(name) == 0 for name in self._names for _ in range(2)) and not self.control.messages.stuck()
        )

    def _finish(self) -> None:
        """A clean end: what is uncommitted is committed."""
        self.mortality.rate = 0.0
        while not self._is_settled():
            pass
        for service in self._alive.values():
            service.close()

    def _build(self, name: str) -> Service:
        if not self._handles or self.source.random() < 0.2:
            self._handles.append(open_log("sqlite", folder=self.folder / "log"))
        log = MortalLog(self._handles[-1], self.mortality)
        make: dict[str, Callable[[], Service]] = {
            "barmaker": lambda: Barmaker(log, VENUE, NS_PER_S, GRACE_NS),
            "executor": lambda: PaperExecutor(log, self.run, self.case.session()),
            "foreteller": lambda: Foreteller(log, VENUE, self.case.forecasts),
            "strategist": lambda: Strategist(log, self.run, self.case.session(), self.means),
            "notifier": lambda: fan_out(log, self.control, self.run),
            "courier": lambda: courier(log, self.control, MortalOutbox(self.folder / "outbox", self.mortality)),
            "archiver": lambda: Archiver(log, MortalLake(self.folder / "lake", self.mortality), batch_s=0.0),
        }
        return make[name]()


def reference(folder: Path, case: Case, events: Sequence[Event]) -> dict[str, list[bytes]]:
    """All at once, in chain order, nobody dies."""
    run = case.run
    with closing(open_log("sqlite", folder=folder / "log")) as log, open_control(folder) as control:
        log.writer("recorder.sim").commit({"market.sim": events})
        chain = (
            Barmaker(log, VENUE, NS_PER_S, GRACE_NS),
            *([Foreteller(log, VENUE, case.forecasts)] if case.forecasts else []),
            PaperExecutor(log, run, case.session()),
            Strategist(log, run, case.session()),
            fan_out(log, control, run),
            courier(log, control, Outbox(folder / "outbox")),
        )
        while sum(service.pump() for service in chain):
            pass
        for service in chain:
            service.close()
        return streams(log)


Undisturbed = Callable[[int], dict[str, list[bytes]]]


def undisturbed_of(case: Case, folder: Path) -> Undisturbed:
    """Market number -> the streams of a run in which nothing goes wrong, made once each."""
    known: dict[int, dict[str, list[bytes]]] = {}

    def streams_of(market: int) -> dict[str, list[bytes]]:
        if market not in known:
            known[market] = reference(folder / str(market), case, case.market(market))
        return known[market]

    return streams_of


def streams(log: Log) -> dict[str, list[bytes]]:
    """Deliveries sorted: signals and fills come from two streams, which are read as they come."""
    found = {stream: [encode(event) for _, event in events_of(log, stream)] for stream in STREAMS}
    return found | {"deliveries": sorted(found["deliveries"])}


def torture(folder: Path, case: Case, seeds: Sequence[int], undisturbed: Undisturbed) -> None:
    """A simulation a seed; the death rate is drawn too, from now and then to at almost every step."""
    deaths = fenced = 0
    for seed in seeds:
        simulation = Simulation(folder / str(seed), case, seed, random.Random(seed).choice((0.003, 0.02, 0.1, 0.3)))
        with closing(simulation):
            simulation.play(case.market(seed % MARKETS))
            assert streams(simulation.log) == undisturbed(seed % MARKETS), f"seed {seed}"
            case.check(simulation.log, simulation.run)
            check_mails(simulation.log, simulation.control, simulation.run, simulation.folder / "outbox")
            parity = check_parity(simulation.log, simulation.run, case.session())
            assert (parity.mismatches, parity.first_mismatch) == (0, None), f"seed {seed}"
            assert parity.compared > 100
        deaths, fenced = deaths + simulation.mortality.deaths, fenced + simulation.fenced
    print(f"seeds {seeds[0]} to {seeds[-1]}: {deaths} deaths, {fenced} zombies refused")
    assert deaths > 20 * len(seeds), "the test must hurt"
    assert fenced > len(seeds)
