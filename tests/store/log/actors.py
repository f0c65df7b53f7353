"""Processes that the conformance tests start and kill: `python actors.py ROLE SPEC`, SPEC being JSON for `open_log`."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from quantlytic.model.side import Side
from quantlytic.model.trade import Trade
from quantlytic.store.log import open_log
from quantlytic.store.log.port import Log


def trade(number: int) -> Trade:
    return Trade("box:BTCUSDT", number, number, number, 1.0 + number, 0.5, Side.BUY)


def open_spec(spec: dict[str, Any]) -> Log:
    given = dict(spec)
    if "folder" in given:
        given["folder"] = Path(given["folder"])
    return open_log(given.pop("kind"), **given)


def say(text: object) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def write_numbers(log: Log) -> None:
    """Append 0, 1, 2, ... for ever, in commits of 1 to 40, and say what is acknowledged."""
    writer = log.writer("numbers")
    number = writer.positions.get("source", 0)
    assert int(writer.snapshot or b"0") == number, "snapshot and positions are of one commit"
    while True:
        after = number + 1 + number % 40
        writer.commit({"market.n": [trade(n) for n in range(number, after)]}, {"source": after}, b"%d" % after)
        number = after
        say(number)


def copy_numbers(log: Log) -> None:
    """Copy market.n to bars.copy for ever, in steps of up to 7."""
    writer = log.writer("copier")
    say("ready")
    while True:
        position = writer.positions.get("market.n", 0)
        batch = log.read("market.n", position, 7)
        if batch.events:
            writer.commit({"bars.copy": batch.events}, {"market.n": batch.next_offset})
        else:
            say("caught up")
            log.wait({"market.n": position}, 5)


def report_wakes(log: Log) -> None:
    """Say the clock each time an event of market.n or bars.n arrives."""
    positions = {"market.n": 0, "bars.n": 0}
    log.wait(positions, 0)
    say("ready")
    while True:
        if log.wait(positions, 30):
            now_ns = time.monotonic_ns()
            for stream, position in list(positions.items()):
                positions[stream] = log.read(stream, position).next_offset
            say(now_ns)


if __name__ == "__main__":
    roles = {"write": write_numbers, "copy": copy_numbers, "wakes": report_wakes}
    roles[sys.argv[1]](open_spec(json.loads(sys.argv[2])))
