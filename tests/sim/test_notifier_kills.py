"""kill -9 of the notifier at seeded random instants, with servers that fail half the time: each alert arrives, each once.

SIM_MAIL_KILLS=200 SIM_SEED=7 pytest -m slow tests/sim/test_notifier_kills.py -s
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from tests.sim.mailday import HTTP_FAULTS, OPERATORS, SMTP_FAULTS, HookServer, MailServer, Mood, happening

from quantlytic.model.delivery import Delivery
from quantlytic.store.control import open_control
from quantlytic.store.log import open_log

KILLS = int(os.environ.get("SIM_MAIL_KILLS", "200"))
SEED = int(os.environ.get("SIM_SEED", "7"))
ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 60.0


class Victim:
    """The process that forks those to be killed."""

    def __init__(self, home: Path, mails: MailServer, hooks: HookServer) -> None:
        command = [sys.executable, "-m", "tests.sim.notifier_process", str(home), str(mails.port), hooks.url]
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._answer() == "ready"
        self.child = 0

    def start(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        before, (self.child, ended) = self.child, map(int, self._answer().split())
        assert not before or ended == -signal.SIGKILL, f"process {before} ended with {ended}, and nobody had killed it"

    def kill(self) -> None:
        os.kill(self.child, signal.SIGKILL)

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


@contextmanager
def servers(seed: int, rate: float) -> Iterator[tuple[MailServer, HookServer]]:
    mails, hooks = (
        MailServer(Mood(f"{seed} smtp", SMTP_FAULTS, rate)),
        HookServer(Mood(f"{seed} http", HTTP_FAULTS, rate)),
    )
    mails.start()
    try:
        yield mails, hooks
    finally:
        hooks.stop()
        mails.stop()


def torment(home: Path, seed: int, kills: int, aimed: float) -> dict[str, object]:
    """Kill it so often, a share `aimed` of them right after a server took something; let it finish in peace, and look."""
    source, told = random.Random(seed), 0
    with servers(seed, 0.5) as (mails, hooks), closing(open_log("sqlite", folder=home / "log")) as log:
        writer = log.writer("strategist.paper-1")
        open_control(home).close()
        with closing(Victim(home, mails, hooks)) as victim:
            for _ in range(kills):
                for _ in range(source.randrange(1, 5)):
                    told += 1
                    stream, event = happening(told)
                    writer.commit({stream: [event]})
                victim.start()
                if source.random() < aimed:
                    since_s, until_s = time.monotonic(), time.monotonic() + 0.5
                    while max(mails.received.last_s, hooks.received.last_s) < since_s and time.monotonic() < until_s:
                        time.sleep(0.0002)
                    time.sleep(source.uniform(0.0, 0.003))
                else:
                    time.sleep(source.uniform(0.0, 0.6))
                victim.kill()
            mails.mood.rate = hooks.mood.rate = 0.0
            victim.start()
            wait_for_all(home, told * len(OPERATORS))
            time.sleep(0.3)  # whatever is still to come
            victim.kill()
        return check(home, log, mails, hooks, told)


def wait_for_all(home: Path, count: int) -> None:
    until_s = time.monotonic() + PATIENCE_S
    with open_control(home) as control:
        while time.monotonic() < until_s:
            messages = control.messages.history(None, 10**6)
            states = Counter((one.channel, one.state, one.last_error) for one in messages)
            if len(messages) == count and all(one.state == "sent" for one in messages):
                return
            time.sleep(0.5)  # each look takes the servers' time, which are in this process
    pytest.fail(f"after {PATIENCE_S:g} s, of {count}: {dict(states)}")


def check(home: Path, log: object, mails: MailServer, hooks: HookServer, told: int) -> dict[str, object]:
    with open_control(home) as control:
        messages = control.messages.history(None, 10**6)
    for channel, received in (("mail", mails.received), ("hook", hooks.received)):
        expected = {message.message_id for message in messages if message.channel == channel}
        assert len(expected) == told
        assert set(received.ids) == expected, f"{channel}: lost {expected - set(received.ids)}"
    with closing(open_log("sqlite", folder=home / "log")) as tape:
        deliveries: list[Delivery] = []
        position = 0
        while (batch := tape.read("deliveries", position)).events:
            deliveries += [event for event in batch.events if isinstance(event, Delivery)]
            position = batch.next_offset
    assert Counter(one.message_id for one in deliveries) == Counter({message.message_id: 1 for message in messages})
    return {
        "alerts": told, "messages": len(messages),
        "repeats at the mail server": mails.received.repeats, "repeats at the hook": hooks.received.repeats,
        "taken without an answer": mails.received.unanswered.total() + hooks.received.unanswered.total(),
        "smtp": dict(mails.mood.had), "http": dict(hooks.mood.had),
    }  # fmt: skip


@pytest.mark.timeout(120)
def test_a_few_kills(tmp_path: Path) -> None:
    """The small one for every day."""
    print(f"seed {SEED}: {torment(tmp_path, SEED, 10, 0.5)}")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_hundred_kills(tmp_path: Path) -> None:
    began_s = time.monotonic()
    found = torment(tmp_path, SEED, KILLS, 0.0)
    print(f"seed {SEED}, {KILLS} kills in {time.monotonic() - began_s:.0f} s: {found}")
    assert int(str(found["repeats at the mail server"])) + int(str(found["repeats at the hook"])) <= 3 + KILLS // 10


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_kills_between_a_servers_taking_and_our_noting_it(tmp_path: Path) -> None:
    """The gap that the protocols leave: each of these may be sent again, under its id, and none is lost."""
    print(f"seed {SEED}: {torment(tmp_path, SEED, KILLS // 4, 1.0)}")
