"""kill -9 at seeded random instants, over the real processes of a line; afterwards the truth is checked from all sides.

    SIM_KILLS=200 SIM_SEED=7 pytest -m slow tests/sim/test_kill.py -s

repeats a seed's choices (whom, in which mood, after how long); the machine's own timing differs from run to run.
"""

from __future__ import annotations

import json
import os
import random
import time
from pathlib import Path

import pytest
from tests.sim import truth
from tests.sim.line import SERVICES, Killer, Line

from quantlytic.app.wiring.services import GRACE_NS
from quantlytic.model.time import duration_ns
from quantlytic.store.control import open_control
from quantlytic.store.lake import Lake

KILLS = int(os.environ.get("SIM_KILLS", "150"))
KILLS_OF_ALL = int(os.environ.get("SIM_KILLS_OF_ALL", "50"))
SEED = int(os.environ.get("SIM_SEED", "7"))
BAR = "200ms"


def check_everything(line: Line, minimum: int) -> dict[str, object]:
    """The truth of the whole line, its processes stopped but for the exchange."""
    with line.log() as log, open_control(line.home) as control:
        (run,) = control.runs.list("paper")
        found: dict[str, object] = {"trades": truth.check_trades(log, "box", line.rest_url)}
        found["bars"] = truth.check_bars(log, "box", duration_ns(BAR), GRACE_NS)
        found["run"] = truth.check_run(log, run)
        found["mails"] = truth.check_mails(log, control, run, line.home / "outbox")
        lake = Lake(line.home / "lake")
        found["rows"] = truth.check_lake(log, lake)
        found["ledger"] = truth.check_completeness(lake)
    parity = json.loads(line.command("parity", "last", "--json"))
    assert (parity["mismatches"], parity["first_mismatch"]) == (0, None)
    assert parity["compared"] >= minimum, parity
    found["parity"] = parity["compared"]
    (rebuilt,) = json.loads(line.command("data", "rebuild", "--verify", "--json"))
    assert all(table["differences"] == 0 for table in rebuilt["tables"])
    line.check_no_traces()
    return found


def torment(line: Line, seed: int, kills: int) -> Killer:
    """Processes of their own, killed and restarted; then everything is let run out and stopped, upstream first."""
    killer = Killer(line, seed)
    line.start("exchange")
    line.wait_ready("exchange")
    killer.run(kills)
    for name in ("exchange", *SERVICES):
        line.wait_ready(name)
    time.sleep(1.0)
    line.stop("recorder")
    line.stop("barmaker")
    line.settle()
    for name in SERVICES[2:]:
        line.stop(name)
    return killer


def deliver(line: Line) -> None:
    """Have a notifier send what was still to be sent when it was stopped: a queue outlives its process."""
    line.start("notifier")
    ends_s = time.monotonic() + 60.0
    with open_control(line.home) as control:
        while any(one.state == "queued" for one in control.messages.history(None, 1_000_000)):
            assert time.monotonic() < ends_s, "mails are not sent"
            time.sleep(0.1)
    line.wait_ready("notifier")
    line.stop("notifier")


@pytest.mark.timeout(300)
def test_a_few_kills(tmp_path: Path) -> None:
    """The small one for every day."""
    line = Line(tmp_path, bar=BAR)
    try:
        killer = torment(line, SEED, 4)
        print(f"seed {SEED}: kills {dict(killer.kills)}: {check_everything(line, 6)}")
        line.stop("exchange")
    finally:
        line.close()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_portfolio_under_kills(tmp_path: Path) -> None:
    """A strategy that looks at slices: every turn taken once, in order, whoever dies."""
    line = Line(tmp_path, bar=BAR)
    params = '{"rebalance": 1, "band": 0.0}'
    line.environment |= {"QUANTLYTIC_STRATEGY__NAME": "equal-weight", "QUANTLYTIC_STRATEGY__PARAMS": params}
    try:
        killer = torment(line, SEED, KILLS // 5)
        with line.log() as log, open_control(line.home) as control:
            (run,) = control.runs.list("paper")
            found = truth.check_turns(log, run)
            mails = truth.check_mails(log, control, run, line.home / "outbox")
        parity = json.loads(line.command("parity", "last", "--json"))
        assert (parity["mismatches"], parity["first_mismatch"]) == (0, None)
        assert parity["compared"] >= KILLS // 5
        line.check_no_traces()
        line.stop("exchange")
    finally:
        line.close()
    print(f"{killer.total} kills: {dict(killer.kills)}; {found}, {mails} mails")


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_processes_killed_at_random(tmp_path: Path) -> None:
    began_s = time.monotonic()
    line = Line(tmp_path, bar=BAR)
    print(f"seed {SEED}, {KILLS} kills")
    try:
        killer = torment(line, SEED, KILLS)
        found = check_everything(line, KILLS)
        line.stop("exchange")
    finally:
        line.close()
    took_s = time.monotonic() - began_s
    print(f"{killer.total} kills in {took_s:.0f} s: {dict(killer.kills)}; moods {dict(killer.moods)}")
    print(f"gave up (exchange away): {dict(killer.given_up)}; {found}")
    assert killer.total >= KILLS
    assert all(killer.kills[name] for name in SERVICES) or KILLS < 50


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_all_in_one_process_killed_at_random(tmp_path: Path) -> None:
    """`quantlytic up`: the exchange in the box dies with it."""
    source, began_s = random.Random(SEED), time.monotonic()
    line = Line(tmp_path, bar=BAR)
    print(f"seed {SEED}, {KILLS_OF_ALL} kills")
    try:
        for _ in range(KILLS_OF_ALL):
            grown = line.end_of("executions.")
            line.start("up")
            if source.random() < 0.7:
                line.wait_growth("executions.", grown)  # it works; else it is killed while it starts
            time.sleep(source.uniform(0.0, 1.5))
            assert line.kill("up"), line.complaint("up")
        grown = line.end_of("executions.")
        line.start("up")
        line.wait_growth("executions.", grown + 50)
        summary = line.stop("up")
        assert "events lost:" in summary
        line.start("exchange")
        line.wait_ready("exchange")
        deliver(line)
        found = check_everything(line, KILLS_OF_ALL)
        line.stop("exchange")
    finally:
        line.close()
    print(f"{KILLS_OF_ALL} kills in {time.monotonic() - began_s:.0f} s: {found}\n{summary}")
