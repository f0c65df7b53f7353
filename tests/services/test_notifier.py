"""The notifier as a process runs it: a signal becomes a mail and a message, and one channel holds up no other."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from quantlytic.model.delivery import Delivery
from quantlytic.model.equity import Decided
from quantlytic.model.instrument import Instrument
from quantlytic.model.run import Run
from quantlytic.model.side import Side
from quantlytic.model.signal import Signal
from quantlytic.services.notifier import Build, notifier_builders
from quantlytic.store.control import open_control
from quantlytic.store.control.control import Control
from quantlytic.store.log import open_log
from quantlytic.store.log.port import Log
from quantlytic.telling.channels import Claim, Outbox
from quantlytic.telling.delivery import Operator
from quantlytic.telling.letter import Letter
from quantlytic.telling.mail import Envelope

RUN = Run(
    "paper-1", "paper", "box", "sma-cross", {"fast": 4, "slow": 12}, (Instrument("box:BTCUSDT"),),
    1_000_000_000, 100_000.0, 10.0, 0, "",
)  # fmt: skip
OPERATORS = [Operator("you@localhost", "mail", "you@localhost"), Operator("hook", "hook")]


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    made = open_log("sqlite", folder=tmp_path / "log")
    writer = made.writer("strategist.paper-1")
    for number in range(1, 4):
        at = 1_700_000_000_000_000_000 + number
        side = Side.BUY if number % 2 else Side.SELL  # the same again would be no news
        signal = Signal("paper-1", number, "box:BTCUSDT", at, side, 1.5, 64_210.0, number)
        writer.commit({RUN.decisions_stream: [signal, Decided("paper-1", number)]})
    yield made
    made.close()


@pytest.fixture
def control(tmp_path: Path) -> Iterator[Control]:
    with open_control(tmp_path) as made:
        yield made


class Hanging:
    """A channel that never answers."""

    name = "hanging"

    def __init__(self) -> None:
        self.released = threading.Event()
        self.asked = 0

    def deliver(self, letter: Letter, envelope: Envelope, claim: Claim) -> bool:
        self.asked += 1
        self.released.wait(30)
        return False

    def close(self) -> None: ...


def test_a_channel_that_hangs_holds_up_no_other(log: Log, control: Control, tmp_path: Path) -> None:
    hanging, stop = Hanging(), threading.Event()
    channels = {"hook": hanging, "mail": Outbox(tmp_path / "outbox")}
    builders = notifier_builders(control, lambda: [RUN], channels, sender="q@localhost", operators=OPERATORS)
    threads = [threading.Thread(target=serve, args=(build, tmp_path, stop)) for build in builders]
    for thread in threads:
        thread.start()
    until_s = time.monotonic() + 20
    while len(list((tmp_path / "outbox").glob("*.eml"))) < 3 and time.monotonic() < until_s:
        time.sleep(0.02)
    stop.set()
    hanging.released.set()
    for thread in threads:
        thread.join()
    assert len(list((tmp_path / "outbox").glob("*.eml"))) == 3
    assert hanging.asked
    told = [event for event in log.read("deliveries", 0).events if isinstance(event, Delivery)]
    assert [(one.channel, one.status, one.subject) for one in told] == [
        ("outbox", "sent", f"{verb} BTCUSDT at 64,210 (sma-cross, paper)") for verb in ("BUY", "SELL", "BUY")
    ]
    waiting = [message for message in control.messages.history(None, 10) if message.state == "queued"]
    assert {message.channel for message in waiting} == {"hook"}


def serve(build: Build, home: Path, stop: threading.Event) -> None:
    with closing(open_log("sqlite", folder=home / "log")) as log, closing(build(log)) as service:
        while not stop.is_set():
            if service.pump() == 0:
                service.wait(0.05)


def test_the_mail_comes_soon_after_the_signal(log: Log, control: Control, tmp_path: Path) -> None:
    """From the commit of a signal to its mail in the outbox: the bell wakes the courier, it does not wait for its next look."""
    stop = threading.Event()
    channels = {"mail": Outbox(tmp_path / "outbox")}
    builders = notifier_builders(control, lambda: [RUN], channels, sender="q@localhost", operators=OPERATORS[:1])
    threads = [threading.Thread(target=serve, args=(build, tmp_path, stop)) for build in builders]
    for thread in threads:
        thread.start()
    took: list[float] = []
    try:
        wait_for(tmp_path / "outbox", 3)
        writer = log.writer("strategist.paper-1")
        for number in range(4, 14):
            now_ns = time.time_ns()
            side = Side.BUY if number % 2 else Side.SELL
            signal = Signal("paper-1", number, "box:BTCUSDT", now_ns, side, 0.0, 64_210.0, number)
            began_s = time.monotonic()
            writer.commit({RUN.decisions_stream: [signal, Decided("paper-1", number)]})
            wait_for(tmp_path / "outbox", number)
            took.append(time.monotonic() - began_s)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    print(f"signal to mail: {sorted(took)[len(took) // 2] * 1e3:.1f} ms (median), {max(took) * 1e3:.1f} ms at most")
    assert sorted(took)[len(took) // 2] < 0.5


def wait_for(outbox: Path, count: int) -> None:
    until_s = time.monotonic() + 20
    while len(list(outbox.glob("*.eml"))) < count:
        assert time.monotonic() < until_s
        time.sleep(0.001)
