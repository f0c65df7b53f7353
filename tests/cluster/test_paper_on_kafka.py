"""Executor, strategist and notifier on a real broker: the log port means the same there."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from deploy.kafka.broker import Broker

from quantlytic.model.bar import Bar
from quantlytic.model.delivery import Delivery
from quantlytic.model.event import Event
from quantlytic.model.instrument import Instrument
from quantlytic.model.run import Run
from quantlytic.model.signal import Signal
from quantlytic.model.time import NS_PER_S
from quantlytic.research.runs.paper import paper_session
from quantlytic.research.runs.parity import check_parity
from quantlytic.services.chain import Chain
from quantlytic.services.executor import PaperExecutor
from quantlytic.services.notifier import notifier_builders
from quantlytic.services.strategist import Strategist
from quantlytic.store.control import open_control
from quantlytic.store.log import open_log
from quantlytic.store.log.port import Log
from quantlytic.telling.channels import Outbox
from quantlytic.telling.delivery import Operator

pytestmark = pytest.mark.cluster

BARS = 120
SEED = 11


def run_on(venue: str) -> Run:
    instruments = (Instrument(f"{venue}:A"), Instrument(f"{venue}:B"))
    params = {"fast": 2.0, "slow": 5.0, "weight": 0.4}
    return Run("paper-kafka", "paper", venue, "sma-cross", params, instruments, NS_PER_S, 1e5, 10.0, 0, "")


def write_bars(log: Log, run: Run) -> None:
    random_ = random.Random(SEED)
    writer = log.writer("barmaker.k")
    prices = {instrument.id: 100.0 for instrument in run.instruments}
    for number in range(BARS):
        bars = []
        for name in prices:
            before = prices[name]
            prices[name] *= 1 + random_.gauss(0, 0.01)
            low, high = sorted((before, prices[name]))
            bars.append(Bar(name, number * NS_PER_S, (number + 1) * NS_PER_S, before, high, low, prices[name], 1.0))
        writer.commit({run.bars_stream: bars})
    writer.close()


def everything(log: Log, stream: str) -> list[Event]:
    found: list[Event] = []
    position = log.bounds(stream)[0]
    while (batch := log.read(stream, position)).events:
        found += batch.events
        position = batch.next_offset
    return found


def test_a_paper_run_with_restarts_equals_its_backtest(broker: Broker, tmp_path: Path) -> None:
    print(f"seed {SEED}")
    random_ = random.Random(SEED)
    run = run_on("k")
    log = open_log("kafka", servers=broker.servers, prefix="paper-")
    control = open_control(tmp_path / "home")
    boss = Operator("you@localhost", "mail", "you@localhost", ("signal",))
    builders = notifier_builders(
        control, lambda: [run], {"mail": Outbox(tmp_path)}, sender="q@localhost", operators=[boss]
    )
    try:
        write_bars(log, run)
        executor, strategist = PaperExecutor(log, run, paper_session(run)), Strategist(log, run, paper_session(run))
        notifier = Chain([build(log) for build in builders])
        quiet = 0
        while quiet < 20:
            done = executor.pump() + strategist.pump() + notifier.pump()
            quiet = 0 if done else quiet + 1
            if not done:
                log.wait({run.executions_stream: log.bounds(run.executions_stream)[1]}, 0.05)
            if random_.random() < 0.01:
                executor = PaperExecutor(log, run, paper_session(run))  # the old one is a zombie from here on
            if random_.random() < 0.01:
                strategist = Strategist(log, run, paper_session(run))
            if random_.random() < 0.01:
                notifier = Chain([build(log) for build in builders])
        parity = check_parity(log, run, paper_session(run))
        signals = [event for event in everything(log, run.decisions_stream) if isinstance(event, Signal)]
        deliveries = [event for event in everything(log, "deliveries") if isinstance(event, Delivery)]
    finally:
        control.close()
        log.close()
    assert (parity.mismatches, parity.first_mismatch) == (0, None)
    assert parity.bars == 2 * BARS
    assert len(signals) > 10
    assert len(deliveries) == len(signals) == len(list(tmp_path.glob("*.eml")))
