"""Look-ahead: every signal announced before it comes, once, and the same after any crash."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.services.marketday import (
    GRACE_NS,
    announced,
    events,
    look_ahead,
    lookahead,
    run_of,
    stock_trades,
    trade,
    write_market,
)

from quantlytic.model.codec import encode_batch
from quantlytic.model.errors import InputError
from quantlytic.model.instrument import Instrument
from quantlytic.model.intent import Intent, IntentOutcome
from quantlytic.model.run import Run
from quantlytic.model.side import Side
from quantlytic.model.time import NS_PER_MS, NS_PER_S
from quantlytic.model.trade import Trade
from quantlytic.research.runs.paper import paper_session
from quantlytic.services.lookahead import Lookahead
from quantlytic.store.log import open_log
from quantlytic.store.log.port import Log
from quantlytic.strategies.catalogue import entries

SEED = 4
ON_BAR = [one.name for one in entries() if one.strategy.handlers() <= {"on_bar", "on_fill"}]
PAIR = (Instrument("box:A", tick_size=0.01), Instrument("box:B", tick_size=0.01))


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    opened = open_log("sqlite", folder=tmp_path / "log")
    yield opened
    opened.close()


def random_trades(
    seed: int, seconds: int, instruments: tuple[Instrument, ...] = PAIR, *, silent: bool = True
) -> list[Trade]:
    """A few trades a second of each, some late by less than the grace, with a silent stretch if asked for."""
    source = random.Random(seed)
    prices, found = [100.0] * len(instruments), list[Trade]()
    for number in range(seconds * 4):
        if silent and seconds * 2 < number < seconds * 2 + 12:
            continue
        code = source.randrange(len(instruments))
        prices[code] = round(prices[code] * (1 + source.gauss(0, 0.002)), 2)
        time = NS_PER_S + number * 250 * NS_PER_MS + source.randrange(-30, 240) * NS_PER_MS
        quantity = round(source.uniform(0.1, 9.0), 3)
        found.append(Trade(instruments[code].id, time, time, number + 1, prices[code], quantity, Side.BUY))
    return found


@pytest.mark.parametrize(
    ("strategy", "trades"),
    [("parabolic-sar", 3_000), ("grid", 2_000), ("candle-reversal", 9_000), ("obv-trend", 12_000)],
)
def test_every_signal_is_announced_at_its_price(strategy: str, trades: int, log: Log, market_data: Path) -> None:
    """The first hours of a real day: strategies that look at highs and lows, at the close, at all four prices, at volume."""
    run = run_of(strategy)
    write_market(log, stock_trades(market_data, limit=trades))
    trade(log, run)
    look_ahead(log, run)
    found = announced(log, run)
    print(strategy, found)
    assert found.signals > 0
    assert found.foretold == found.signals
    assert found.figures.precision == 1.0


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ON_BAR)
def test_every_signal_of_a_recorded_day(strategy: str, log: Log, market_data: Path) -> None:
    run = run_of(strategy)
    write_market(log, stock_trades(market_data))
    trade(log, run)
    look_ahead(log, run)
    found = announced(log, run)
    print(strategy, found)
    assert found.foretold == found.signals
    assert found.figures.met == found.figures.came_true


def test_two_instruments_of_one_account(log: Log) -> None:
    """With trades out of order within the grace, and a silent stretch. Seconds as bars."""
    run = run_of("parabolic-sar", PAIR, NS_PER_S)
    write_market(log, random_trades(SEED, 300), "box", NS_PER_S)
    trade(log, run)
    look_ahead(log, run, 100 * NS_PER_MS)
    found = announced(log, run)
    print("seed", SEED, found)
    assert found.signals > 20
    assert found.foretold == found.signals
    assert found.figures.met == found.figures.came_true


def test_after_each_bar_alone(log: Log) -> None:
    """Without the market's trades: a strategy that looks at closes alone is foretold as exactly."""
    run = run_of("macd", PAIR[:1], NS_PER_S)
    write_market(log, random_trades(SEED, 300, PAIR[:1], silent=False), "box", NS_PER_S)
    trade(log, run)
    look_ahead(log, run, 0)
    found = announced(log, run)
    assert found.signals > 3
    assert found.foretold == found.signals


class Killed(Exception):
    pass


class Mortal:
    """A log whose writer dies before or after some of its commits."""

    def __init__(self, log: Log, source: random.Random) -> None:
        self._log, self._source = log, source

    def writer(self, name: str) -> Any:
        return MortalWriter(self._log.writer(name), self._source)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)


class MortalWriter:
    def __init__(self, writer: Any, source: random.Random) -> None:
        self._writer, self._source = writer, source

    def commit(self, *args: Any, **kwargs: Any) -> Any:
        dice = self._source.random()
        if dice < 0.04:
            raise Killed
        done = self._writer.commit(*args, **kwargs)
        if dice > 0.96:
            raise Killed
        return done

    def __getattr__(self, name: str) -> Any:
        return getattr(self._writer, name)


@pytest.mark.parametrize("strategy", ["obv-trend", "turtle"])
def test_the_same_whatever_dies_and_whenever_the_tape_comes(strategy: str, log: Log, tmp_path: Path) -> None:
    """In one go; killed at every tenth commit or so; and pumped while the others work, in any order."""
    trades, run = random_trades(SEED, 120), run_of(strategy, PAIR, NS_PER_S)
    write_market(log, trades, "box", NS_PER_S)
    trade(log, run)
    look_ahead(log, run, 100 * NS_PER_MS)
    expected = events(log, f"intents.{run.run_id}")
    assert sum(isinstance(one, IntentOutcome) for one in expected) > 10

    source = random.Random(SEED)
    again = Run(**{name: getattr(run, name) for name in run.__struct_fields__} | {"run_id": f"{run.run_id}-again"})
    trade(log, again)
    kills = 0
    while True:
        service = None
        try:
            service = Lookahead(
                Mortal(log, source),
                again,
                paper_session(again),
                GRACE_NS,
                check_every_ns=100 * NS_PER_MS,  # type: ignore[arg-type]
            )
            while service.pump():
                pass
            break
        except Killed:
            kills += 1
    print("seed", SEED, "kills", kills)
    assert kills > 5
    found = events(log, f"intents.{again.run_id}")
    assert encode_batch([renamed(one, run) for one in found]) == encode_batch(expected)

    other = open_log("sqlite", folder=tmp_path / "other")
    try:
        assert encode_batch(live(other, run, trades, source)) == encode_batch(expected)
    finally:
        other.close()


def renamed(event: Any, run: Run) -> Any:
    return msgspec.structs.replace(event, run=run.run_id)


def live(log: Log, run: Run, trades: list[Trade], source: random.Random) -> list[Any]:
    """All services beside each other, the tape coming in a few trades at a time."""
    from quantlytic.services.barmaker import Barmaker
    from quantlytic.services.executor import PaperExecutor
    from quantlytic.services.strategist import Strategist

    barmaker = Barmaker(log, "box", NS_PER_S, GRACE_NS)
    recorder = log.writer("recorder.box")
    executor, strategist = PaperExecutor(log, run, paper_session(run)), Strategist(log, run, paper_session(run))
    service = lookahead(log, run, 100 * NS_PER_MS)
    services = [barmaker, executor, strategist, service]
    at = 0
    while at < len(trades):
        step = source.randrange(1, 6)
        recorder.commit({"market.box": trades[at : at + step]})
        at += step
        for _ in range(source.randrange(4)):
            source.choice(services).pump()
    while sum(one.pump() for one in services):
        pass
    return events(log, f"intents.{run.run_id}")


def test_what_is_said_is_said_once(log: Log) -> None:
    """Nothing twice in a row but nearer; ids from 1 on; each id judged once, none after its judgement."""
    run = run_of("turtle", PAIR, NS_PER_S)
    write_market(log, random_trades(SEED, 200), "box", NS_PER_S)
    trade(log, run)
    look_ahead(log, run, 100 * NS_PER_MS)
    said: dict[int, Intent] = {}
    judged: set[int] = set()
    for event in events(log, f"intents.{run.run_id}"):
        if isinstance(event, IntentOutcome):
            assert event.intent_id not in judged
            assert event.event_time == said[event.intent_id].until
            judged.add(event.intent_id)
        elif isinstance(event, Intent):
            assert event.intent_id not in judged
            before = said.get(event.intent_id)
            if before is None:
                assert event.intent_id == len(said) + 1
            else:
                same = (event.price_low, event.price_high) == (before.price_low, before.price_high)
                assert not same or event.seen_price != before.seen_price
                assert event.event_time >= before.event_time
            assert event.until > event.event_time - GRACE_NS
            assert event.bar_size_ns == NS_PER_S
            said[event.intent_id] = event
    assert len(said) - len(judged) < 10


def test_horizons(log: Log) -> None:
    """An intent for two bars ahead keeps its id when it is one bar ahead."""
    run = run_of("parabolic-sar", PAIR[:1], NS_PER_S)
    write_market(log, random_trades(SEED, 100, PAIR[:1], silent=False), "box", NS_PER_S)
    trade(log, run)
    service = Lookahead(log, run, paper_session(run), GRACE_NS, horizons=3, check_every_ns=0)
    while service.pump():
        pass
    found = [one for one in events(log, f"intents.{run.run_id}") if isinstance(one, Intent) and not one.is_withdrawn]
    assert {one.horizon for one in found} == {1, 2, 3}
    assert all(one.until - one.event_time == one.horizon * NS_PER_S for one in found)
    by_id: dict[int, set[int]] = {}
    for one in found:
        by_id.setdefault(one.intent_id, set()).add(one.horizon)
    assert any(len(horizons) > 1 for horizons in by_id.values())


def test_a_strategy_that_raises_at_some_prices_ends_nothing(log: Log, tmp_path: Path) -> None:
    """At prices that never come; what does is foretold."""
    path = tmp_path / "brittle.py"
    path.write_text(
        "import quantlytic as ql\n\n\nclass Brittle(ql.Strategy):\n"
        "    def on_bar(self, bar, broker):\n"
        "        if bar.close > 1.015 * bar.open:\n"
        "            raise ValueError('never seen')\n"
        "        if bar.close > 1.001 * bar.open and broker.is_flat:\n            broker.target_weight(0.5)\n"
        "        elif bar.close < 0.999 * bar.open and broker.is_long:\n            broker.close()\n"
    )
    run = msgspec.structs.replace(run_of("brittle", PAIR[:1], NS_PER_S), strategy=str(path))
    write_market(log, random_trades(SEED, 60, PAIR[:1]), "box", NS_PER_S)
    trade(log, run)
    look_ahead(log, run, 100 * NS_PER_MS)
    found = announced(log, run)
    print("seed", SEED, found)
    assert found.signals > 5
    assert found.foretold == found.signals


def test_refused_in_words(log: Log) -> None:
    run = run_of("equal-weight", PAIR, NS_PER_S)
    with pytest.raises(InputError, match="EqualWeight does not decide in on_bar alone: it cannot be forked"):
        lookahead(log, run)
