"""From five specs to five models that take turns in `quantlytic up`, on recorded hours, with paper trades and parity."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl
import pytest
from tests.ports import free_port
from tests.sim.bartape import write_tape

from quantlytic.model.bar import Bar
from quantlytic.model.event import Event
from quantlytic.model.forecast import Forecast, ModelChange
from quantlytic.store.log import open_log

ROOT = Path(__file__).resolve().parents[2]
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "DOGEUSDT")
KINDS = ("logistic", "lightgbm", "mlp", "knn", "keras")
HOURS_OF_TAPE, HOURS_BEFORE, SPEED = 240, 5_000, 7_200
SETTINGS = """
home = "home"
[venue]
name = "binance"
symbols = {symbols}
rest_url = "http://127.0.0.1:{box}"
stream_url = "ws://127.0.0.1:{box}"
[[forecasts]]
line = "hours"
bar = "1h"
check_every = "200ms"
[[strategies]]
name = "ml-signal"
forecasts = "hours"
bar = "1h"
params = {{weight = 0.19, up = 0.505, down = 0.495}}
[web]
port = {web}
"""


class Workshop:
    """A folder with specs, bars, a tape and settings, and the command line in it."""

    def __init__(self, folder: Path, bars: Path) -> None:
        self.folder, self.box = folder, free_port()
        settings = SETTINGS.format(symbols=json.dumps(SYMBOLS), box=self.box, web=free_port())
        (folder / "quantlytic.toml").write_text(settings)
        table = pl.read_parquet(bars).sort("ts")
        before = [
            table.filter(pl.col("symbol") == symbol).tail(HOURS_BEFORE + HOURS_OF_TAPE).head(HOURS_BEFORE)
            for symbol in SYMBOLS
        ]
        pl.concat(before).sort("ts", "symbol").write_parquet(folder / "bars.parquet")
        write_tape(bars, folder / "tape.gz", SYMBOLS, HOURS_OF_TAPE)
        self.environment = {**os.environ, "QUANTLYTIC_BOX_KEY": "key", "QUANTLYTIC_BOX_SECRET": "secret"}

    def spec(self, kind: str, pooled: bool = True) -> Path:
        """The example's, for the line "hours", with two trials."""
        text = (ROOT / "examples" / "specs" / f"{kind}.toml").read_text()
        text = re.sub(r'(?m)^name = "hour-.*$', 'name = "hours"', text, count=1)
        text = re.sub(r"(?m)^trials = .*$", "trials = 2", text)
        text = re.sub(r"(?m)^pooled = \w+", f"pooled = {str(pooled).lower()}", text)
        path = self.folder / f"{kind}-{pooled}.toml"
        path.write_text(text)
        return path

    def run(self, *words: str, timeout_s: float = 300) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "quantlytic", *words], cwd=self.folder, env=self.environment, capture_output=True,
            text=True, timeout=timeout_s, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    @contextmanager
    def background(self, *words: str) -> Iterator[subprocess.Popen[str]]:
        with subprocess.Popen(
            [sys.executable, "-m", "quantlytic", *words], cwd=self.folder, env=self.environment,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        ) as process:  # fmt: skip
            try:
                yield process
            finally:
                process.terminate()

    def events(self, stream: str) -> list[Event]:
        log = open_log("sqlite", folder=self.folder / "home" / "log", servers="", durability="process")
        try:
            found: list[Event] = []
            position = log.bounds(stream)[0]
            while (batch := log.read(stream, position, 10_000)).events:
                found += batch.events
                position = batch.next_offset
            return found
        finally:
            log.close()

    def wait_for(self, what: Callable[[], bool], timeout_s: float = 90.0) -> None:
        end_s = time.monotonic() + timeout_s
        while not what():
            assert time.monotonic() < end_s, f"{what} did not come"
            time.sleep(0.3)


def post(url: str, token: str) -> None:
    request = urllib.request.Request(url, data=b"{}", headers={"X-Box-Token": token}, method="POST")
    urllib.request.urlopen(request, timeout=5).close()


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_five_kinds_of_model_take_turns_in_up(market_data: Path, tmp_path: Path) -> None:
    pytest.importorskip("keras", reason="needs Keras (pip install quantlytic[tensorflow])")
    shop = Workshop(tmp_path, market_data / "binance_spot_1h_staticklines.parquet")
    models = {kind: json.loads(shop.run("train", str(shop.spec(kind)), "--json")) for kind in KINDS}
    assert all(one["kept"] and one["line"] == "hours/pooled" for one in models.values())
    each = [json.loads(line) for line in shop.run("train", str(shop.spec("logistic", False)), "--json").splitlines()]
    assert len(each) == len(SYMBOLS)

    def promote(model_id: str, line: str) -> None:
        shop.run("models", "promote", model_id, f"{line}/champion", "--reason", "its turn")

    def changes() -> list[ModelChange]:
        return [event for event in shop.events("forecasts.hours") if isinstance(event, ModelChange)]

    promote(models["logistic"]["model_id"], "hours/pooled")
    with shop.background(
        "exchange", "--port", str(shop.box), "--replay", "tape.gz", "--speed", str(SPEED), "--wait"
    ) as box:
        assert box.stdout is not None
        greeting = box.stdout.readline() + box.stdout.readline()
        token = greeting.rpartition(" ")[2].strip()
        with shop.background("up") as up:
            assert up.stdout is not None
            shop.wait_for((tmp_path / "home" / "log").exists)
            line = ""
            while not re.match(r"\d\d:\d\d:\d\dZ ", line):  # everything is started, what has to be compiled is compiled
                line = up.stdout.readline()
                assert line, "up has ended"
            post(f"http://127.0.0.1:{shop.box}/box/start", token)
            for kind in (*KINDS[1:], KINDS[0]):
                seen = len(changes())
                shop.wait_for(lambda seen=seen: len(shop.events("forecasts.hours")) > 300 + 120 * seen)  # type: ignore[misc]
                promote(models[kind]["model_id"], "hours/pooled")
                shop.wait_for(lambda seen=seen: len(changes()) > seen)  # type: ignore[misc]
            shop.run("models", "rollback", "hours/pooled/champion", "--reason", "enough")
            promote(each[0]["model_id"], each[0]["line"])
            shop.wait_for(lambda: len(shop.events("forecasts.hours")) > 1_300)
            up.terminate()
            output = up.communicate(timeout=60)[0]
        assert up.returncode == 0, output

    bars = [event for event in shop.events("bars.binance") if isinstance(event, Bar)]
    forecasts = [event for event in shop.events("forecasts.hours") if isinstance(event, Forecast)]
    assert [(one.instrument, one.close_time) for one in forecasts] == [(one.instrument, one.close_time) for one in bars]
    served = {one.model_id for one in forecasts if one.model_id}
    assert {models[kind]["model_id"] for kind in KINDS} <= served
    assert not [one for one in changes() if one.cause in ("refused", "demoted", "expired")], changes()
    parity = json.loads(shop.run("parity", "last", "--json"))
    print(f"{len(bars)} bars, {len(changes())} changes of model, {parity}")
    assert len(changes()) >= 6
    assert parity["mismatches"] == 0
    assert parity["compared"] > parity["bars"] == len(bars)
    assert parity["counts"]["fills"] > 0, parity
