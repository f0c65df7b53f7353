"""The log against raw SQLite, in one run on one disk.

    python benchmarks/bench_log.py [--json]

`append`: events a second for commits of 1, 100 and 1,000 trades. Ours counts everything a service pays: encoding, the
input position, the fence, the stream's offset. `raw_sqlite` only inserts the same payload bytes, already encoded, in
transactions of the same size (WAL, the same `synchronous`, SQLite's own checkpoints). The two take turns, so that both meet
the same noise. `wake`: from just before the commit until another process, which was asleep, holds the decoded event;
microseconds. `replay`: decoded events a second from a log of commits of 1,000. With KAFKA_SERVERS set, the same of that
Kafka (no raw peer).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from quantlytic.model.codec import encode_batch
from quantlytic.model.side import Side
from quantlytic.model.trade import Trade
from quantlytic.store.log import open_log
from quantlytic.store.log.port import Log

TURNS = 10
COMMITS = {1: 400, 100: 200, 1000: 60}  # a turn
WAKES = 400


def trades(count: int) -> list[Trade]:
    return [
        Trade("box:BTCUSDT", 1_700_000_000_000_000_000 + k, time.time_ns(), k, 64_000.0 + k, 0.25, Side.BUY)
        for k in range(count)
    ]


def append_ours(log: Log, size: int, commits: int) -> float:
    """Seconds for so many commits."""
    writer = log.writer("recorder.bench")
    events = trades(size)
    started = time.perf_counter()
    for k in range(commits):
        writer.commit({"market.bench": events}, {"raw.bench": k})
    return time.perf_counter() - started


def append_raw(connection: sqlite3.Connection, size: int, commits: int) -> float:
    payload = encode_batch(trades(size))
    started = time.perf_counter()
    for _ in range(commits):
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO batch (count, payload) VALUES (?, ?)", (size, payload))
        connection.execute("COMMIT")
    return time.perf_counter() - started


def measure_append(folder: Path, durability: str) -> dict[str, Any]:
    result: dict[str, Any] = {}
    log = open_log("sqlite", folder=folder / "ours", durability=durability)  # type: ignore[arg-type]
    connection = sqlite3.connect(folder / "raw.db", isolation_level=None)
    with contextlib.closing(log), contextlib.closing(connection):
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {'FULL' if durability == 'power' else 'NORMAL'}")
        connection.execute("CREATE TABLE batch (key INTEGER PRIMARY KEY, count INTEGER, payload BLOB)")
        for size, commits in COMMITS.items():
            ours = raw = 0.0
            for _ in range(TURNS):
                ours += append_ours(log, size, commits)
                raw += append_raw(connection, size, commits)
            events = size * commits * TURNS
            result[str(size)] = {
                "events_per_s": round(events / ours),
                "raw_sqlite_events_per_s": round(events / raw),
                "ratio": round(raw / ours, 3),
            }
    return result


def measure_latency(log: Log) -> dict[str, float]:
    """One commit of one event, microseconds, as a service sees it."""
    writer = log.writer("recorder.bench")
    took = []
    for k in range(2000):
        events = trades(1)
        started = time.perf_counter_ns()
        writer.commit({"market.bench": events}, {"raw.bench": k})
        took.append((time.perf_counter_ns() - started) / 1000)
    return percentiles(took)


def percentiles(values: list[float]) -> dict[str, float]:
    cuts = statistics.quantiles(values, n=1000)
    return {"p50_us": round(cuts[499], 1), "p99_us": round(cuts[989], 1), "max_us": round(max(values), 1)}


def measure_wake(log: Log, spec: dict[str, str]) -> dict[str, float]:
    command = [sys.executable, str(Path(__file__).resolve()), "--listen", json.dumps(spec)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdout is not None
        reader.stdout.readline()
        writer = log.writer("strategist.bench")
        for _ in range(WAKES):
            time.sleep(0.004)
            writer.commit({"decisions.bench": [Trade("t", 0, time.monotonic_ns(), 0, 0.0, 0.0, Side.BUY)]})
        return percentiles(json.loads(reader.stdout.readline()))


def listen(spec: dict[str, str]) -> None:
    """In another process: how long each event was on its way."""
    took: list[float] = []
    position = 0
    with contextlib.closing(open_spec(spec)) as log:
        log.wait({"decisions.bench": position}, 0)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while len(took) < WAKES:
            log.wait({"decisions.bench": position}, 10)
            batch = log.read("decisions.bench", position)
            now_ns = time.monotonic_ns()
            took += [(now_ns - event.receive_time) / 1000 for event in batch.events if isinstance(event, Trade)]
            position = batch.next_offset
    sys.stdout.write(json.dumps(took) + "\n")


def measure_replay(log: Log) -> int:
    append_ours(log, 1000, 300)
    events, offset = 0, log.bounds("market.bench")[0]
    started = time.perf_counter()
    while (batch := log.read("market.bench", offset)).events:
        events += len(batch.events)
        offset = batch.next_offset
    return round(events / (time.perf_counter() - started))


def measure_kafka(servers: str) -> dict[str, Any]:
    spec = {"kind": "kafka", "servers": servers, "prefix": f"bench{time.time_ns()}."}
    with contextlib.closing(open_spec(spec)) as log:
        append_ours(log, 1, 20)
        append = {
            str(size): {"events_per_s": round(size * commits / append_ours(log, size, commits))}
            for size, commits in ((1, 100), (100, 100), (1000, 100))
        }
        return {"append": append, "wake": measure_wake(log, spec), "replay_events_per_s": measure_replay(log)}


def open_spec(spec: dict[str, str]) -> Log:
    if spec["kind"] == "kafka":
        return open_log("kafka", servers=spec["servers"], prefix=spec["prefix"])
    return open_log("sqlite", folder=Path(spec["folder"]))


def measure() -> dict[str, Any]:
    """All figures, as a dictionary for JSON. Takes about 5 s, 10 s more with Kafka."""
    with tempfile.TemporaryDirectory(prefix="ql-bench-") as name:
        folder = Path(name)
        spec = {"kind": "sqlite", "folder": str(folder / "wake")}
        result: dict[str, Any] = {"append_process": measure_append(folder / "process", "process")}
        result["append_power"] = measure_append(folder / "power", "power")
        with contextlib.closing(open_spec(spec)) as log:
            result["commit_of_one"] = measure_latency(log)
            result["wake"] = measure_wake(log, spec)
            result["replay_events_per_s"] = measure_replay(log)
    if servers := os.environ.get("KAFKA_SERVERS"):
        result["kafka"] = measure_kafka(servers)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description="The log against raw SQLite.")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--listen", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.listen:
        listen(json.loads(options.listen))
        return
    result = measure()
    if options.json:
        print(json.dumps(result))
        return
    for durability in ("process", "power"):
        for size, row in result[f"append_{durability}"].items():
            print(
                f"append {durability:8} x{size:>4}: {row['events_per_s']:>10,} events/s, "
                f"raw SQLite {row['raw_sqlite_events_per_s']:>10,}, ratio {row['ratio']}"
            )
    print("commit of one event:", result["commit_of_one"])
    print("to another process: ", result["wake"])
    print(f"replay:              {result['replay_events_per_s']:,} events/s")
    if "kafka" in result:
        print("kafka:              ", json.dumps(result["kafka"]))


if __name__ == "__main__":
    main()
