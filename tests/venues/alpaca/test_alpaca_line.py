"""The whole system on Alpaca: recorded, decided, ordered, told; streams broken off twice on the way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from tests.venues.alpaca.server import AlpacaServer

from quantlytic.model.fill import Fill
from quantlytic.model.trade import Trade
from quantlytic.store.log import open_log

pytestmark = pytest.mark.slow
RUN_S = 25


def settings(server: AlpacaServer, home: Path) -> dict[str, str]:
    given = {
        "MODE": "live", "ACCOUNT__CONFIRM": "main", "HOME": str(home), "WEB__PORT": "0", "RUN_FOR": str(RUN_S),
        "VENUE__NAME": "alpaca", "VENUE__SYMBOLS": '["AAPL","BTC/USD"]', "VENUE__ENVIRONMENT": "paper",
        "VENUE__REST_URL": server.rest_url, "VENUE__DATA_URL": server.rest_url,
        "VENUE__TRADING_URL": f"{server.socket_url}/stream", "VENUE__STREAM_URL": f"{server.socket_url}/v2/iex",
        "VENUE__CRYPTO_STREAM_URL": f"{server.socket_url}/v1beta3/crypto/us",
        "STRATEGY__PARAMS": json.dumps({"fast": 3, "slow": 6, "weight": 0.03}),
    }  # fmt: skip
    keys = {"ALPACA_API_KEY": "KEY", "ALPACA_API_SECRET": "SECRET"}
    return os.environ | keys | {f"QUANTLYTIC_{name}": value for name, value in given.items()}


def quantlytic(environment: dict[str, str], folder: Path, *words: str) -> str:
    command = [sys.executable, "-m", "quantlytic", *words]
    done = subprocess.run(
        command, env=environment, cwd=folder, capture_output=True, text=True, timeout=110, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_live_run_on_alpaca_ends_with_books_that_agree(tmp_path: Path) -> None:
    home = tmp_path / "data"
    with AlpacaServer() as server:
        environment = settings(server, home)
        is_done = threading.Event()

        def stir() -> None:
            """Prices that rise and fall, so that averages cross; two interruptions."""
            since, cuts = 0.0, [8.0, 14.0]
            while not is_done.wait(0.05):
                if not server.listeners("stocks") and not since:
                    continue
                since = since or time.monotonic()
                at = time.monotonic() - since
                wave = abs(at % 6 - 3)
                server.quote("AAPL", 149.9, 150.1)
                server.print("AAPL", round(150 + 2 * wave, 2))
                server.print("BTC/USD", round(60_000 + 300 * wave), 0.1)
                if cuts and at > cuts[0]:
                    cuts.pop(0)
                    server.cut()

        thread = threading.Thread(target=stir, daemon=True)
        thread.start()
        try:
            text = quantlytic(environment, tmp_path, "up")
        finally:
            is_done.set()
            thread.join(10)
        print(text)
        # what the last moment left open is taken over by a second start, on a market that stands still
        print(quantlytic(environment | {"QUANTLYTIC_RUN_FOR": "8"}, tmp_path, "up"))
        account = server.brokerage.accounts["KEY"]
        orders = list(account.orders.values())
        rebuilt = json.loads(quantlytic(environment, tmp_path, "data", "rebuild", "--verify", "--json"))
    assert len(orders) >= 4
    assert len({row["client_order_id"] for row in orders}) == len(orders)
    log = open_log("sqlite", folder=home / "log", servers="", durability="process")
    try:
        (stream,) = [name for name in log.streams() if name.startswith("executions.")]
        fills = [event for event in log.read(stream, 0, 100_000).events if isinstance(event, Fill)]
        trades = [event for event in log.read("market.alpaca", 0, 100_000).events if isinstance(event, Trade)]
    finally:
        log.close()
    paid = sum(fill.side * fill.quantity * fill.price for fill in fills)
    assert 100_000 - paid == pytest.approx(account.cash)
    for symbol, held in account.held.items():
        ours = sum(fill.side * fill.quantity for fill in fills if fill.instrument == f"alpaca:{symbol}")
        assert ours == pytest.approx(held, abs=1e-9)
    for symbol in ("AAPL", "BTC/USD"):
        ids = [trade.trade_id for trade in trades if trade.instrument == f"alpaca:{symbol}"]
        printed = [row["i"] for row in server.brokerage.trades[symbol]]
        assert ids == printed[printed.index(ids[0]) : printed.index(ids[-1]) + 1], "a trade is missing"
    assert '"differences": 0' in json.dumps(rebuilt)
    assert not any('"differences": ' + digit in json.dumps(rebuilt) for digit in "123456789")
