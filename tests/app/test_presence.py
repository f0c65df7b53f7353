"""A service runs once: a second one is refused by the name of the first, or takes its place, and it alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from quantlytic.app.host import Host
from quantlytic.app.presence import Presence, service_of
from quantlytic.model.delivery import Delivery
from quantlytic.model.errors import Fenced, InputError
from quantlytic.services.chain import Chain
from quantlytic.services.service import Service
from quantlytic.store.log import open_log
from quantlytic.store.log.port import Log

_HOLD = """
import sys, time
from pathlib import Path
from quantlytic.app.presence import Presence
presence = Presence(Path(sys.argv[1]))
presence.claim(["notifier", "archiver"], "quantlytic up")
print("ready", flush=True)
time.sleep(60)
"""


class Writing:
    """A service that writes at each pump."""

    def __init__(self, log: Log, name: str) -> None:
        self.name, self.pumps = name, 0
        self._writer = log.writer(name)

    def pump(self) -> int:
        told = Delivery("", f"{self.name}{self.pumps}", "", "", 1, "", "sent", "")
        self._writer.commit({"deliveries": [told]})
        self.pumps += 1
        return 0

    def wait(self, timeout_s: float) -> None:
        time.sleep(min(timeout_s, 0.01))

    def close(self) -> None:
        self._writer.commit({"deliveries": []})
        self._writer.close()


def until(done: Callable[[], bool], timeout_s: float = 10.0) -> None:
    ends_s = time.monotonic() + timeout_s
    while not done():
        assert time.monotonic() < ends_s
        time.sleep(0.01)


def test_a_second_one_is_refused_by_name_until_the_first_is_dead(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", _HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "ready\n"
        second = Presence(tmp_path)
        second.claim(["recorder"], "quantlytic run recorder")
        with pytest.raises(
            InputError, match=rf"notifier runs already: `quantlytic up` \(process {first.pid} on .*UTC\)"
        ):
            second.claim(["barmaker", "notifier"], "quantlytic run barmaker notifier")
        assert Presence(tmp_path).running().keys() == {"notifier", "archiver"}, "who is refused holds nothing"
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
    second.claim(["barmaker", "notifier"], "quantlytic run barmaker notifier")
    assert list(Presence(tmp_path).running()) == ["barmaker", "notifier"]
    second.release()
    assert Presence(tmp_path).running() == {}


def test_who_takes_over_is_named_to_the_one_before(tmp_path: Path) -> None:
    first, second, third = (Presence(tmp_path) for _ in range(3))
    first.claim(["notifier"], "quantlytic up")
    assert first.holder("notifier") == ""
    second.claim(["notifier"], "quantlytic run notifier --take-over", take_over=True)
    assert first.holder("notifier").startswith("`quantlytic run notifier --take-over` (process")
    assert second.holder("notifier") == ""
    first.release()
    with pytest.raises(InputError, match="run notifier --take-over"):
        third.claim(["notifier"], "quantlytic up")
    (tmp_path / "running" / "notifier").write_bytes(b"\xff\xfe nonsense")
    assert third.holder("notifier") == "another process"


def test_what_is_deposed_ends_alone_and_says_by_whom(tmp_path: Path) -> None:
    before_threads = set(threading.enumerate())
    said: list[str] = []
    presence, other = Presence(tmp_path), Presence(tmp_path)
    presence.claim(["notifier", "archiver"], "quantlytic up")
    host = Host(lambda: open_log("sqlite", folder=tmp_path / "log"), presence, said.append)
    made: dict[str, Writing] = {}

    def build(log: Log, name: str) -> Service:
        made[name] = Writing(log, name)
        return made[name]

    host.add(lambda log: build(log, "courier.mail"))
    host.add(lambda log: build(log, "archiver"))
    host.add(lambda log: Chain([build(log, name) for name in ("barmaker.box", "strategist.r")]))
    other.claim(["notifier"], "quantlytic run notifier --take-over", take_over=True)
    log = open_log("sqlite", folder=tmp_path / "log")
    log.writer("courier.mail")
    log.writer("strategist.r")
    until(lambda: len(said) == 2)
    assert not host.stopping.is_set()
    assert host.failure is None
    assert [meter.name for meter in host.meters] == ["archiver", "barmaker+strategist"]
    by_courier, by_strategist = sorted(said)
    assert by_courier.startswith("courier.mail has ended here: `quantlytic run notifier --take-over` (process")
    assert by_strategist.startswith("strategist.r has ended here: another process has taken its place")
    before = {name: made[name].pumps for name in ("archiver", "barmaker.box")}
    until(lambda: all(made[name].pumps > count for name, count in before.items()))
    for name in before:
        log.writer(name)
    assert host.stopping.wait(10), "nothing is left"
    host.stop()
    assert isinstance(host.failure, Fenced)
    assert len(said) == 3
    log.close()
    left = set(threading.enumerate()) - before_threads
    assert not [one for one in left if "(_serve)" in one.name], left


def test_names_on_the_log_belong_to_services() -> None:
    names = ("courier.mail", "notifier", "recorder.box", "barmaker.box.1s", "executor.paper-1")
    assert [service_of(name) for name in names] == ["notifier", "notifier", "recorder", "barmaker", "executor"]
