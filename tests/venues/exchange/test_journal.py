"""kill -9: whatever was told is still true afterwards."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosedError
from websockets.sync.client import connect

from quantlytic.model.errors import StoreError
from quantlytic.venues.exchange.journal import Journal

KEY, SECRET = "k" * 64, "s" * 64


@contextmanager
def process(folder: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """`quantlytic exchange` in a process of its own; yields its REST address."""
    command = [
        sys.executable,
        "-m",
        "quantlytic",
        "exchange",
        "--port",
        "0",
        "--folder",
        str(folder),
        "--trades-per-s",
        "200",
    ]
    environment = os.environ | {"QUANTLYTIC_BOX_KEY": KEY, "QUANTLYTIC_BOX_SECRET": SECRET}
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
    try:
        assert child.stdout is not None
        line = child.stdout.readline()
        match = re.search(r"REST (http://\S+)", line)
        assert match, line
        yield match[1], child
    finally:
        child.kill()
        child.wait()
        assert child.stdout is not None
        child.stdout.close()


def live(url: str, child: subprocess.Popen[str], client: Any, source: random.Random, known: dict[str, Any]) -> None:
    """Listen and trade until the process is killed at a random instant; remember all that was told."""
    streams = "/stream?streams=btcusdt@trade/btcusdt@depth@100ms"
    end = time.monotonic() + source.uniform(0.3, 1.2)
    with connect(url.replace("http", "ws") + streams) as socket:
        while time.monotonic() < end:
            try:
                message = json.loads(socket.recv(timeout=0.05))
                data = message["data"]
                if "t" in data:
                    known["trades"].append((data["t"], data["p"], data["q"], data["T"], data["m"]))
                else:
                    known["updates"].append((data["U"], data["u"]))
            except TimeoutError:
                pass
            if source.random() < 0.1:
                number = f"order-{len(known['orders'])}"
                kind = source.choice([{"type": "MARKET"}, {"type": "LIMIT", "timeInForce": "GTC", "price": "50000"}])
                answer = client.order(
                    "BUY", quantity="0.0002", newClientOrderId=number, newOrderRespType="RESULT", **kind
                )
                known["orders"][number] = answer.json()
                known["balances"] = client.balances()
        os.kill(child.pid, signal.SIGKILL)
        try:
            while True:  # what was under way when it died counts as told
                data = json.loads(socket.recv(timeout=1))["data"]
                if "t" in data:
                    known["trades"].append((data["t"], data["p"], data["q"], data["T"], data["m"]))
        except ConnectionClosedError:
            pass


def check(client: Any, known: dict[str, Any]) -> None:
    """The restarted exchange says the same as the one that was killed."""
    trades = known["trades"]
    told = [trade[0] for trade in trades]
    assert told == sorted(set(told)), "a trade id was told twice"
    rows: list[Any] = []
    while not rows or rows[-1]["id"] < told[-1]:
        start = rows[-1]["id"] + 1 if rows else told[0]
        rows += client.get("historicalTrades", symbol="BTCUSDT", fromId=start, limit=1000).json()
    assert [row["id"] for row in rows] == list(range(told[0], rows[-1]["id"] + 1)), "a hole in the trade ids"
    record = {r["id"]: (r["id"], r["price"], r["qty"], r["time"], r["isBuyerMaker"]) for r in rows}
    assert [record[trade[0]] for trade in trades] == trades
    for number, told_order in known["orders"].items():
        found = client.send("GET", "order", symbol="BTCUSDT", origClientOrderId=number).json()
        assert {name: found[name] for name in ("orderId", "status", "executedQty")} == {
            name: told_order[name] for name in ("orderId", "status", "executedQty")
        }
    if known["balances"]:
        assert client.balances() == known["balances"]
    spans = known["updates"]
    assert all(after[0] > before[1] for before, after in pairwise(spans)), "update ids went back"


def run_killed(client_type: Any, folder: Path, kills: int, seed: int) -> None:
    print(f"seed {seed}")
    source = random.Random(seed)
    known: dict[str, Any] = {"trades": [], "updates": [], "orders": {}, "balances": {}}
    for number in range(kills + 1):
        with process(folder) as (url, child):
            client = client_type(url, KEY, SECRET)
            if number:
                check(client, known)
            if number < kills:
                live(url, child, client, source, known)
            else:
                totals = client.http.get("/box/state").json()["totals"]
                assert totals["BTC"] == "100000001.00000000"
            client.http.close()
    assert len(known["trades"]) > 20 * kills
    assert known["orders"]


def test_killed_and_restarted(client_type: Any, tmp_path: Path) -> None:
    run_killed(client_type, tmp_path, 3, 1)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_killed_often(client_type: Any, tmp_path: Path) -> None:
    run_killed(client_type, tmp_path, 40, 2)


def test_two_exchanges_do_not_share_a_journal(tmp_path: Path) -> None:
    first = Journal(tmp_path)
    with pytest.raises(StoreError, match="locked"):
        Journal(tmp_path)
    first.close()
    Journal(tmp_path).close()


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "exchange.sqlite").write_bytes(b"this is no database, it is a text" * 100)
    with pytest.raises(StoreError, match=r"exchange\.sqlite"):
        Journal(tmp_path)


def test_a_record_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    Journal(tmp_path).close()
    database = sqlite3.connect(tmp_path / "exchange.sqlite")
    database.execute("INSERT INTO state VALUES ('saved', x'c1')")
    database.commit()
    database.close()
    journal = Journal(tmp_path)
    with pytest.raises(StoreError, match=r"exchange\.sqlite"):
        journal.load()
    journal.close()


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="file"):
        Journal(tmp_path / "file")
