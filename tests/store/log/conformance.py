"""What every adapter of the log must do: `test_sqlite.py` on files, `tests/cluster/test_kafka.py` on a real broker.

A subclass's module has a fixture `tape`: an empty log of its own that can be opened many times.
"""

from __future__ import annotations

import contextlib
import json
import random
import select
import signal
import statistics
import subprocess
import sys
import threading
import time
import typing
from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path
from typing import Any, Protocol

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.store.log.actors import open_spec, trade

from quantlytic.model.codec import EVENT_TYPES, encode
from quantlytic.model.errors import Fenced, StoreError
from quantlytic.model.event import Event
from quantlytic.store.log.port import Log, Writer

ACTORS = Path(__file__).with_name("actors.py")


class Tape(Protocol):
    """One log under test: how to open it, and how to make a commit fail at its very end."""

    spec: dict[str, Any]

    def failing(self, writer: Writer, patch: pytest.MonkeyPatch) -> contextlib.AbstractContextManager[None]: ...


class Actor:
    """A process of `actors.py`."""

    def __init__(self, role: str, tape: Tape) -> None:
        command = [sys.executable, str(ACTORS), role, json.dumps(tape.spec)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, bufsize=0, cwd=ACTORS.parents[3])
        self._rest = b""

    def lines(self, timeout_s: float = 30.0, at_least: int = 1) -> list[str]:
        """What it says: at least so many lines, then all that are there."""
        assert self.process.stdout is not None
        deadline = time.monotonic() + timeout_s
        while True:
            enough = self._rest.count(b"\n") >= at_least
            ready, _, _ = select.select([self.process.stdout], [], [], 0 if enough else deadline - time.monotonic())
            chunk = self.process.stdout.read(1 << 16) if ready else b""
            self._rest += chunk
            if not chunk:
                assert enough, f"{self.process.args} said only {self._rest!r} (exit {self.process.poll()})"
                whole, _, self._rest = self._rest.rpartition(b"\n")
                return whole.decode().split("\n")

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def __enter__(self) -> Actor:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@contextlib.contextmanager
def opened(tape: Tape) -> Iterator[Log]:
    log = open_spec(tape.spec)
    try:
        yield log
    finally:
        log.close()


def committed_soon(log: Log, name: str, positions: dict[str, int]) -> bool:
    """The positions can be seen by everybody (Kafka takes some milliseconds)."""
    deadline = time.monotonic() + 10
    while dict(log.committed(name)) != positions and time.monotonic() < deadline:
        time.sleep(0.005)
    return dict(log.committed(name)) == positions


def read_all(log: Log, stream: str, at_least: int = 0, offset: int = 0) -> tuple[list[Any], list[int]]:
    """The stream's events and offsets, once there are `at_least` so many."""
    events: list[Any] = []
    offsets: list[int] = []
    deadline = time.monotonic() + 20
    while True:
        batch = log.read(stream, offset)
        assert len(batch.events) == len(batch.offsets)
        events += batch.events
        offsets += batch.offsets
        offset = batch.next_offset
        if not batch.events and (len(events) >= at_least or time.monotonic() > deadline):
            assert len(events) >= at_least
            return events, offsets
        if not batch.events:
            log.wait({stream: offset}, 0.2)


def value_of(hint: Any) -> st.SearchStrategy[Any]:
    if typing.get_origin(hint) is tuple:
        return st.lists(value_of(typing.get_args(hint)[0]), max_size=5).map(tuple)
    if isinstance(hint, type) and issubclass(hint, IntEnum):
        return st.sampled_from(hint)
    kinds: dict[Any, st.SearchStrategy[Any]] = {
        int: st.integers(-(2**63), 2**63 - 1),
        float: st.floats(),
        str: st.text(),
        bytes: st.binary(),
        bool: st.booleans(),
    }
    return kinds[hint]


def events_of(kind: type[Event]) -> st.SearchStrategy[Event]:
    hints = typing.get_type_hints(kind)
    return st.builds(kind, **{name: value_of(hints[name]) for name in kind.__struct_fields__})


any_event = st.one_of([events_of(kind) for kind in EVENT_TYPES])


class LogConformance:
    """One test a promise of `store/log/port.py`."""

    kills = 20
    """A seed, in the long test."""

    @settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
    @given(events=st.lists(any_event, min_size=1, max_size=20))
    def test_every_event_comes_back_byte_for_byte(self, tape: Tape, events: list[Event]) -> None:
        with opened(tape) as log:
            offsets = log.writer("w").commit({"market.box": events})["market.box"]
            back, places = read_all(log, "market.box", len(events), offsets[0])
        assert [encode(event) for event in back] == [encode(event) for event in events]
        assert places == list(offsets)

    def test_an_unknown_stream_is_an_empty_one(self, tape: Tape) -> None:
        with opened(tape) as log:
            assert list(log.read("bars.nobody", 0).events) == []
            assert log.read("bars.nobody", 7).next_offset == 7
            assert log.bounds("market.nobody") == (0, 0)
            assert log.streams() == []
            assert dict(log.committed("nobody")) == {}
            log.trim("bars.nobody", 10)

    def test_positions_and_snapshot_survive_reopening(self, tape: Tape) -> None:
        with opened(tape) as log:
            writer = log.writer("strategist.r")
            assert (writer.name, dict(writer.positions), writer.snapshot) == ("strategist.r", {}, None)
            writer.commit({"decisions.r": [trade(1)]}, {"bars.box": 5, "executions.r": 2}, b"one")
            writer.commit({}, {"bars.box": 6})
            writer.commit({"decisions.r": [trade(2)]})
            writer.commit({}, None, b"")
            assert dict(writer.positions) == {"bars.box": 6, "executions.r": 2}
        with opened(tape) as log:
            assert committed_soon(log, "strategist.r", {"bars.box": 6, "executions.r": 2})
            writer = log.writer("strategist.r")
            assert dict(writer.positions) == {"bars.box": 6, "executions.r": 2}
            assert writer.snapshot == b""
            assert [event.trade_id for event in read_all(log, "decisions.r", 2)[0]] == [1, 2]

    def test_state_follows_a_writer_from_market_streams_to_others(self, tape: Tape) -> None:
        with opened(tape) as log:
            writer = log.writer("w")
            writer.commit({"bars.box": [trade(1)]}, {"a": 1}, b"first")
            writer.commit({"market.box": [trade(2)]}, {"b": 2})
            writer.commit({"market.box": [trade(3)]}, {"b": 3})
        with opened(tape) as log:
            writer = log.writer("w")
            assert (dict(writer.positions), writer.snapshot) == ({"a": 1, "b": 3}, b"first")
            writer.commit({"bars.box": [trade(4)]}, {"a": 4}, b"second")
            assert committed_soon(log, "w", {"a": 4, "b": 3})
            assert log.writer("w").snapshot == b"second"

    def test_a_big_snapshot(self, tape: Tape) -> None:
        state = random.Random(5).randbytes(3 << 20)
        with opened(tape) as log:
            log.writer("w").commit({}, {"a": 1}, state)
        with opened(tape) as log:
            assert log.writer("w").snapshot == state

    def test_a_failed_commit_leaves_nothing(self, tape: Tape, monkeypatch: pytest.MonkeyPatch) -> None:
        with opened(tape) as log:
            writer = log.writer("w")
            writer.commit({"bars.x": [trade(1)], "decisions.x": [trade(1)]}, {"in": 1}, b"one")
            with tape.failing(writer, monkeypatch):
                writer.commit(
                    {"bars.x": [trade(2)], "decisions.x": [trade(2)], "bars.y": [trade(2)]}, {"in": 2}, b"two"
                )
            assert dict(writer.positions) == {"in": 1}
        with opened(tape) as log:
            writer = log.writer("w")
            assert (dict(writer.positions), writer.snapshot) == ({"in": 1}, b"one")
            for stream in ("bars.x", "decisions.x"):
                assert [event.trade_id for event in read_all(log, stream, 1)[0]] == [1]
            assert not log.read("bars.y", 0).events
            writer.commit({"bars.x": [trade(3)]}, {"in": 3})
            assert [event.trade_id for event in read_all(log, "bars.x", 2)[0]] == [1, 3]

    def test_what_is_no_event_is_refused_whole(self, tape: Tape) -> None:
        with opened(tape) as log:
            writer = log.writer("w")
            with pytest.raises(TypeError):
                writer.commit({"bars.a": [trade(1)], "bars.b": [typing.cast(Event, object())]}, {"in": 1})
            assert dict(log.committed("w")) == {}
            writer.commit({"bars.a": [trade(2)]})
            assert [event.trade_id for event in read_all(log, "bars.a", 1)[0]] == [2]

    def test_the_newer_writer_fences_the_older(self, tape: Tape) -> None:
        with opened(tape) as first, opened(tape) as second:
            zombie = first.writer("executor.r")
            zombie.commit({"executions.r": [trade(1)]}, {"bars.box": 1})
            heir = second.writer("executor.r")
            assert dict(heir.positions) == {"bars.box": 1}
            for stream in ("executions.r", "market.r"):
                with pytest.raises(StoreError, match="executor") as caught:
                    zombie.commit({stream: [trade(2)]}, {"bars.box": 2})
                assert stream != "executions.r" or isinstance(caught.value, Fenced)
            heir.commit({"executions.r": [trade(3)]}, {"bars.box": 3})
            assert [event.trade_id for event in read_all(second, "executions.r", 2)[0]] == [1, 3]
            assert committed_soon(second, "executor.r", {"bars.box": 3})

    def test_a_closed_writer_refuses(self, tape: Tape) -> None:
        with opened(tape) as log:
            writer = log.writer("w")
            writer.close()
            with pytest.raises(StoreError, match="closed"):
                writer.commit({"bars.a": [trade(1)]})

    def test_writers_in_threads_interleave_without_loss(self, tape: Tape) -> None:
        def write(name: str, first: int) -> None:
            with opened(tape) as log:
                writer = log.writer(name)
                for number in range(first, first + 60, 3):
                    given.extend(writer.commit({"bars.box": [trade(number + k) for k in range(3)]})["bars.box"])

        given: list[int] = []
        threads = [threading.Thread(target=write, args=(f"w{k}", 1000 * k)) for k in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with opened(tape) as log:
            events, offsets = read_all(log, "bars.box", 180)
        numbers = [event.trade_id for event in events]
        for k in range(3):
            assert [n for n in numbers if n // 1000 == k] == list(range(1000 * k, 1000 * k + 60))
        assert sorted(given) == offsets

    def test_reading_from_the_middle(self, tape: Tape) -> None:
        with opened(tape) as log:
            writer = log.writer("w")
            places: list[int] = []
            for first in (0, 10, 20):
                places += writer.commit({"market.m": [trade(first + k) for k in range(10)]})["market.m"]
            assert read_all(log, "market.m", 30)[1] == places
            assert places == sorted(set(places))
            assert log.bounds("market.m")[0] == places[0]
            for index in (29, 15, 3, 10, 9, 0):
                batch = log.read("market.m", places[index], 4)
                assert [event.trade_id for event in batch.events] == list(range(index, min(index + 4, 30)))
                assert list(batch.offsets) == places[index : index + 4]
                if index + 4 < 30:
                    assert log.read("market.m", batch.next_offset, 1).offsets[0] == places[index + 4]
            assert not log.read("market.m", places[-1] + 1).events
            steps = [log.read("market.m", place, 1).events[0].trade_id for place in places]  # type: ignore[attr-defined]
            assert steps == list(range(30))

    def test_trim_forgets_the_past_only(self, tape: Tape) -> None:
        with opened(tape) as log:
            writer = log.writer("w")
            places = [
                place
                for k in range(10)
                for place in writer.commit(
                    {"market.t": [trade(10 * k + j) for j in range(10)], "market.u": [trade(k)]}
                )["market.t"]
            ]
            read_all(log, "market.t", 100)
            log.trim("market.t", places[0])
            assert log.bounds("market.t")[0] == places[0]
            for _ in range(2):
                log.trim("market.t", places[25])
                first, end = log.bounds("market.t")
                assert places[0] < first <= places[25]
            events, offsets = read_all(log, "market.t", 75, first)
            assert set(places[25:]) <= set(offsets)
            assert events[-1].trade_id == 99
            with pytest.raises(StoreError, match="trimmed"):
                log.read("market.t", first - 1)
            log.trim("market.t", 10**12)
            assert log.bounds("market.t") == (end, end)
            assert len(read_all(log, "market.u", 10)[0]) == 10
        with opened(tape) as log:
            assert log.bounds("market.t") == (end, end)
            assert not log.read("market.t", end).events
            with pytest.raises(StoreError, match="trimmed"):
                log.read("market.t", places[-1])
            assert log.writer("w").commit({"market.t": [trade(100)]})["market.t"][0] >= end
            assert [event.trade_id for event in read_all(log, "market.t", 1, end)[0]] == [100]
            assert "market.t" in log.streams("market.")

    def test_streams_by_prefix(self, tape: Tape) -> None:
        names = ["bars.box", "decisions.my run_1/ü", "market.box", "raw.box", "raw.box-2"]
        with opened(tape) as log:
            writer = log.writer("w")
            for name in reversed(names):
                writer.commit({name: [trade(1)], "bars.none" if "bars" in name else name: [trade(2)]})
                writer.commit({name: []})
            read_all(log, "raw.box", 1)
            assert log.streams() == sorted({*names, "bars.none"})
            assert log.streams("raw.") == ["raw.box", "raw.box-2"]
            assert len(read_all(log, names[1], 1)[0]) == 1

    def test_waiting_ends_in_time_and_costs_nothing(self, tape: Tape) -> None:
        with opened(tape) as log:
            log.writer("w").commit({"market.n": [trade(1)]})
            _, offsets = read_all(log, "market.n", 1)
            positions = {"market.n": offsets[-1] + 1, "bars.n": 0}
            log.wait(positions, 0)
            started, used = time.monotonic(), time.process_time()
            assert not log.wait(positions, 1.2)
            assert 1.15 <= time.monotonic() - started < 3
            assert time.process_time() - used < 0.25
            assert log.wait({"market.n": offsets[0]}, 5)
            assert not log.wait({}, 0.01)

    def test_a_commit_wakes_readers_of_both_kinds_elsewhere(self, tape: Tape) -> None:
        delays: list[float] = []
        with Actor("wakes", tape) as reader, opened(tape) as log:
            writer = log.writer("w")
            reader.lines()
            for k in range(8):
                time.sleep(0.02)
                writer.commit({"bars.n" if k % 2 else "market.n": [trade(k)]})
                committed_ns = time.monotonic_ns()
                delays.append((int(reader.lines()[0]) - committed_ns) / 1e9)
        assert statistics.median(delays) < 0.2, delays  # the fallback poll would take 0.25 s on average

    @pytest.mark.parametrize("seed", range(3))
    def test_killed_writers_lose_and_double_nothing(self, tape: Tape, seed: int) -> None:
        self.kill_writers(tape, seed, rounds=3)

    @pytest.mark.slow
    @pytest.mark.timeout(900)
    @pytest.mark.parametrize("seed", range(100, 110))
    def test_killed_writers_lose_and_double_nothing_for_long(self, tape: Tape, seed: int) -> None:
        self.kill_writers(tape, seed, rounds=self.kills)

    def kill_writers(self, tape: Tape, seed: int, rounds: int) -> None:
        dice = random.Random(seed)
        acknowledged = 0
        for _ in range(rounds):
            with Actor("write", tape) as writer:
                said = writer.lines(at_least=dice.randint(1, 20))
                time.sleep(dice.random() * 0.01)
                writer.kill()
                with contextlib.suppress(AssertionError):
                    said += writer.lines()
                acknowledged = int(said[-1])
        with opened(tape) as log:
            heir = log.writer("numbers")
            events, offsets = read_all(log, "market.n", acknowledged)
            assert [event.trade_id for event in events] == list(range(len(events))), f"seed {seed}"
            assert len(events) == heir.positions["source"] == int(heir.snapshot or b"") >= acknowledged
            assert offsets == sorted(set(offsets))

    def test_a_killed_reader_goes_on_where_it_committed(self, tape: Tape) -> None:
        dice = random.Random(11)
        with opened(tape) as log:
            writer = log.writer("numbers")
            total = 0
            for _ in range(4):
                with Actor("copy", tape) as reader:
                    reader.lines()
                    for _ in range(6):
                        writer.commit({"market.n": [trade(n) for n in range(total, total + 50)]})
                        total += 50
                    time.sleep(dice.random() * 0.05)
                    reader.kill()
            with Actor("copy", tape) as reader:
                copies = [event.trade_id for event in read_all(log, "bars.copy", total)[0]]
            assert copies == list(range(total))
