"""`quantlytic kill` as a person and as a script meet it: against the exchange in a box, with the stores locked."""

from __future__ import annotations

import asyncio
import io
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from quantlytic.app import cli
from quantlytic.model.order import Order, OrderType, TimeInForce
from quantlytic.model.side import Side
from quantlytic.store.control import open_control
from quantlytic.store.log.sqlite import SqliteLog
from quantlytic.trading.latch import Latch
from quantlytic.venues.binance.keys import Keys
from quantlytic.venues.binance.market import spot
from quantlytic.venues.binance.orders import BinanceOrders
from quantlytic.venues.exchange.config import ExchangeConfig
from quantlytic.venues.exchange.server import ExchangeServer

Command = Callable[..., tuple[int, str, str]]
QUICK = ("--quiet-for", "0.2")


@pytest.fixture(scope="module")
def box() -> Iterator[ExchangeServer]:
    with ExchangeServer(ExchangeConfig(port=0, trades_per_s=30)) as server:
        yield server


@pytest.fixture
def kill(
    box: ExchangeServer, quantlytic: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Command]:
    """Run `quantlytic kill` with the box as its venue; `typed` is what a person types. Log and control store are locked."""
    if "kill" not in cli.COMMANDS:
        monkeypatch.setattr(cli, "COMMANDS", [*cli.COMMANDS, "kill"])
    port, (key, secret) = box.rest_url.rsplit(":", 1)[1], box.keys()
    for name, value in {
        "VENUE__NAME": "box", "VENUE__BOX_PORT": port, "BOX_KEY": key, "BOX_SECRET": secret,
        "ACCOUNT__KEEP": '{"BTC": 1.0, "ETH": 20.0}',
    }.items():  # fmt: skip
        monkeypatch.setenv(f"QUANTLYTIC_{name}", value)

    def run(*words: str, typed: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr("sys.stdin", io.StringIO(typed))
        return quantlytic("kill", *words)

    with ExitStack() as held:
        lock_stores(tmp_path / "home", held)
        yield run
    box.faults.clear()


def lock_stores(home: Path, held: ExitStack) -> None:
    """Whoever opens the log or the control store waits, and fails."""
    with open_control(home):
        SqliteLog(home / "log").close()
    files = [*home.glob("*.db"), *(home / "log").glob("*.db")]
    assert len(files) >= 2
    for path in files:
        connection = sqlite3.connect(path, isolation_level=None)
        held.callback(connection.close)
        connection.execute("BEGIN EXCLUSIVE")


def latch(tmp_path: Path) -> Latch:
    return Latch(tmp_path / "home" / "halts", "main")


def ask(box: ExchangeServer, work: Callable[[BinanceOrders], Any]) -> Any:
    async def run() -> Any:
        market = spot("box", box.rest_url, box.stream_url + "/stream", box.stream_url + "/ws-api/v3")
        async with BinanceOrders(market, Keys(*box.keys())) as entry:
            return await work(entry)

    return asyncio.run(run())


def trade(box: ExchangeServer, name: str) -> None:
    """A purchase that is held, and a bid that rests."""

    async def work(entry: BinanceOrders) -> None:
        bid = Order("t", 1, "box:BTCUSDT", 0, Side.BUY, OrderType.LIMIT, TimeInForce.GTC, 0.001, 40_000.0)
        purchase = Order("t", 2, "box:BTCUSDT", 0, Side.BUY, OrderType.MARKET, TimeInForce.GTC, 0.003, float("nan"))
        await entry.submit(bid, f"{name}.1")
        for attempt in range(100):  # a market that has just opened may have nothing to sell yet
            if (await entry.submit(purchase, f"{name}.2.{attempt}")).filled_quantity:
                return
            await asyncio.sleep(0.05)
        raise AssertionError("nothing could be bought")

    ask(box, work)


def test_a_plain_kill_needs_no_word_cancels_and_keeps_what_is_held(
    kill: Command, box: ExchangeServer, tmp_path: Path
) -> None:
    trade(box, "plain")
    code, out, err = kill(*QUICK)
    assert code == 0, err
    assert "the latch is shut" in out
    assert "canceled: BUY 0.001 box:BTCUSDT at 40,000" in out
    assert "held above what is kept" in out
    assert "VERIFIED in" in out
    assert "quantlytic kill --release --account main" in out
    assert "latch shut" in err
    assert ask(box, lambda entry: entry.open_orders()) == []
    assert ask(box, lambda entry: entry.balances())["BTC"].free > 1.002
    halt = latch(tmp_path).read()
    assert halt is not None
    assert halt.cause == "kill"
    assert "@" in halt.by
    assert json.loads(kill("--json", *QUICK)[1])["is_verified"] is True


def test_flatten_asks_for_the_name_with_all_orders_already_cancelled(
    kill: Command, box: ExchangeServer, tmp_path: Path
) -> None:
    trade(box, "flat")
    code, out, err = kill("--flatten", *QUICK, typed="yes\n")
    assert code == 2
    assert "nothing is sold: the account is 'main', not 'yes'" in err
    assert latch(tmp_path).read() is not None
    assert ask(box, lambda entry: entry.open_orders()) == []
    assert ask(box, lambda entry: entry.balances())["BTC"].free > 1.002
    code, out, err = kill("--flatten", *QUICK)  # nobody is there to type
    assert code == 2
    assert "--confirm main" in err
    code, out, err = kill("--flatten", *QUICK, typed="main\n")
    assert code == 0, err
    assert "at market: sell 0.00" in err
    assert "kept: 1 BTC, 20 ETH" in err
    assert "filled: SELL" in out
    assert "; flat" in out
    assert 1.0 <= ask(box, lambda entry: entry.balances())["BTC"].free < 1.00001


def test_a_script_confirms_by_option_and_reads_json(kill: Command, box: ExchangeServer) -> None:
    trade(box, "script")
    code, out, err = kill("--flatten", "--confirm", "main", "--json", *QUICK)
    assert code == 0, err
    report = json.loads(out)
    assert (report["is_flat"], report["is_quiet"], report["is_latched"], report["is_verified"]) == (True,) * 4
    assert report["flattened"][0]["status"] == "FILLED"
    assert out.count("\n") == 1


def test_release_asks_for_the_name(kill: Command, tmp_path: Path) -> None:
    code, _, err = kill("--release", "--confirm", "main")
    assert code == 2
    assert "nothing to release" in err
    latch(tmp_path).engage("risk", "executor", "lost too much today", 1)
    code, _, err = kill("--release", typed="wrong\n")
    assert code == 2
    assert "lost too much today" in err
    assert "'main', not 'wrong'" in err
    assert latch(tmp_path).read() is not None
    code, out, _ = kill("--release", typed="main\n")
    assert code == 0
    assert out.strip().endswith("account main may trade again")
    assert latch(tmp_path).read() is None
    latch(tmp_path).engage("kill", "operator", "again", 2)
    code, out, _ = kill("--release", "--confirm", "main", "--json")
    assert (code, json.loads(out)["released"]) == (0, True)


def test_a_venue_that_does_not_answer_is_told_with_code_5_and_the_latch_shut(
    kill: Command, box: ExchangeServer, tmp_path: Path
) -> None:
    box.faults.set({"http5xx": 1})
    code, out, err = kill("--deadline", "1", *QUICK)
    assert code == 5
    assert "NOT VERIFIED in" in out
    assert "the kill of account main is NOT verified" in err.splitlines()[-1]
    assert latch(tmp_path).read() is not None
    code, out, err = kill("--deadline", "1", "--json", *QUICK)
    assert code == 5
    assert json.loads(out)["is_latched"] is True


def test_contradictions_and_unknown_accounts_are_refused(kill: Command, tmp_path: Path) -> None:
    assert kill("--flatten", "--release")[0] == 2
    code, _, err = kill("--account", "other")
    assert code == 2
    assert "'other'" in err
    assert "'main'" in err
    assert latch(tmp_path).read() is None


def test_what_a_kill_means_where_nothing_is_live_is_said(kill: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    code, _, err = kill(*QUICK)
    assert code == 0
    assert err.splitlines()[0].startswith("mode is paper: what runs here sends no order to a venue, and goes on")
    assert "account main at the venue itself" in err.splitlines()[0]
    monkeypatch.setenv("QUANTLYTIC_MODE", "live")
    assert "mode is" not in kill(*QUICK)[2]
    monkeypatch.setenv("QUANTLYTIC_MODE", "alert")
    assert "mode is" not in kill("--json", *QUICK)[2]
