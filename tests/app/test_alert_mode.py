"""`mode = "alert"` decides and tells, and never trades, whatever is killed when."""

from __future__ import annotations

import asyncio
import email
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from tests.ports import free_port

from quantlytic.app.bootstrap import Bootstrap
from quantlytic.app.config import load_settings
from quantlytic.model.order import Order
from quantlytic.model.signal import Signal
from quantlytic.services.executor import PaperExecutor
from quantlytic.telling.wishes import Wishes


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, value in {
        "HOME": str(tmp_path / "home"), "WEB__PORT": "0", "VENUE__BOX_PORT": str(free_port()), "MODE": "alert",
        "STRATEGY__PARAMS": '{"fast": 2, "slow": 5, "weight": 0.4}',
    }.items():  # fmt: skip
        monkeypatch.setenv(f"QUANTLYTIC_{name}", value)
    return tmp_path / "home"


def up(for_s: float) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "quantlytic", "up"], env=os.environ | {"QUANTLYTIC_RUN_FOR": str(for_s)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def told(home: Path) -> int:
    return sum(subject.startswith(("BUY", "SELL")) for subject in mails(home))


def mails(home: Path) -> list[str]:
    return [str(email.message_from_bytes(path.read_bytes())["Subject"]) for path in (home / "outbox").glob("*.eml")]


async def of_the_account(bootstrap: Bootstrap) -> tuple[int, int, dict[str, float]]:
    """What the venue itself says: open orders, trades, holdings."""
    async with bootstrap.edge.open_orders() as entry:
        trades = await entry.my_trades("box:BTCUSDT")
        balances = await entry.balances()
        return len(await entry.open_orders()), len(trades), {name: one.free for name, one in balances.items()}


def test_it_tells_and_never_trades(home: Path) -> None:
    first = up(60)
    ends_s = time.monotonic() + 60
    while told(home) < 2:
        assert first.poll() is None, first.communicate()
        assert time.monotonic() < ends_s
        time.sleep(0.2)
    first.send_signal(signal.SIGKILL)
    first.communicate()

    second = up(60)
    count = told(home)
    while told(home) < count + 3:
        assert second.poll() is None, second.communicate()
        assert time.monotonic() < ends_s + 60
        time.sleep(0.2)
    bootstrap = Bootstrap(load_settings())
    opened, trades, balances = asyncio.run(of_the_account(bootstrap))
    second.send_signal(signal.SIGTERM)
    out, err = second.communicate(timeout=60)
    assert (second.returncode, err) == (0, "")
    assert (opened, trades) == (0, 0), "nothing was ever asked of the venue"
    assert balances["BTC"] == balances["BTC"] // 1, "not even a little was bought"
    assert "had you followed:" in out
    assert "orders:" not in out

    run = bootstrap.runs.first()
    with bootstrap.stores.open_log() as log:
        wishes, signals, orders = Wishes(run, log), [], 0
        for event in log.read(run.decisions_stream, 0, 100_000).events:
            orders += isinstance(event, Order)
            if isinstance(event, Signal) and wishes.hear(event):
                signals.append(event)
        assert log.streams("account.") == []
    subjects = mails(home)
    assert all(", alert)" in subject for subject in subjects if subject.startswith(("BUY", "SELL")))
    assert not [subject for subject in subjects if subject.startswith("FILLED")], "nothing was filled"
    by_side = Counter(subject.partition(" ")[0] for subject in subjects if subject.startswith(("BUY", "SELL")))
    assert by_side == Counter(one.side.name for one in signals), "each signal once, over the kill"
    assert orders >= len(signals) > 4


def test_no_live_executor_is_ever_built(home: Path) -> None:
    """Nor one with the way to a venue, which is taken here."""
    bootstrap = Bootstrap(load_settings(lookahead={"enabled": False}))
    bootstrap.stores.make_home()
    bootstrap.edge.open_orders = lambda *_: pytest.fail("an order entry was opened")  # type: ignore[method-assign]
    with bootstrap.edge.exchange():
        bootstrap.runs.all()
    for build in bootstrap.services.named("executor"):
        with bootstrap.stores.open_log() as log:
            service = build(log)
            assert isinstance(service, PaperExecutor)
            service.close()
