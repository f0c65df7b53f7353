"""Delta tables: what goes in comes out, bit for bit, and once."""

from __future__ import annotations

import datetime
import resource
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.store.lake.events import DAY_NS, T0, events_of, read_back, trades

from quantlytic.model.barsclosed import BarsClosed
from quantlytic.model.codec import EVENT_TYPES, encode
from quantlytic.model.equity import Decided
from quantlytic.model.errors import InputError, StoreError
from quantlytic.model.frame import RawFrame
from quantlytic.store.lake import Lake
from quantlytic.store.lake.columns import TABLE_OF, TABLES, rows_of
from quantlytic.store.lake.completeness import check
from quantlytic.store.lake.exporter import export
from quantlytic.store.lake.inventory import inventory
from quantlytic.store.lake.reason import one_line


def trade_ids(lake: Lake) -> list[int]:
    return lake.scan("trades").sort("trade_id").collect()["trade_id"].to_list()


def test_every_event_has_a_place() -> None:
    assert set(EVENT_TYPES) - set(TABLE_OF) == {RawFrame, Decided, BarsClosed}  # raw objects; marks without content


@pytest.mark.parametrize("name", list(TABLES))
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_events_survive_bit_for_bit(name: str, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    spec = TABLES[name]
    events = data.draw(events_of(spec))
    lake = Lake(tmp_path_factory.mktemp("lake"))
    assert lake.append("market.box", range(5, 5 + len(events)), events) == len(events)
    rows = Lake(lake.address).scan(name).collect()
    assert [encode(event) for event in read_back(spec, rows)] == [encode(event) for event in events]
    assert rows["offset"].sort().to_list() == list(range(5, 5 + len(events)))
    if "date" in spec.partitions:
        days = [event_time // DAY_NS for event_time in rows[spec.time]]
        assert [(day - datetime.date(1970, 1, 1)).days for day in rows["date"]] == days


def test_rows_are_sorted_within_a_file(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    mixed = [event for pair in zip(trades(0, 50), trades(0, 50, "box:ADAUSDT"), strict=True) for event in pair]
    lake.append("market.box", range(100), mixed[::-1])
    rows = lake.scan("trades").collect()
    assert rows["instrument"].to_list() == ["box:ADAUSDT"] * 50 + ["box:BTCUSDT"] * 50
    assert rows["trade_id"].to_list() == [*range(50), *range(50)]


def test_a_repeated_or_overlapping_batch_adds_only_what_is_new(tmp_path: Path) -> None:
    lake, other = Lake(tmp_path), Lake(tmp_path)
    assert lake.append("market.box", range(0, 10), trades(0, 10)) == 10
    assert other.append("market.box", range(0, 10), trades(0, 10)) == 0
    assert other.append("market.box", range(5, 15), trades(5, 10)) == 5
    assert lake.append("market.box", range(0, 15), trades(0, 15)) == 0  # a handle that is behind
    assert trade_ids(lake) == list(range(15))


@given(cuts=st.lists(st.tuples(st.integers(0, 29), st.integers(1, 30), st.booleans()), min_size=1, max_size=8))
@settings(max_examples=15, deadline=None)
def test_any_cutting_by_two_writers_gives_each_row_once(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[tuple[int, int, bool]]
) -> None:
    """Writers only ever go on from where the table ends or earlier, as a restarted archiver does."""
    lakes = [Lake(folder := tmp_path_factory.mktemp("lake")), Lake(folder)]
    reached = 0
    for start, length, which in cuts:
        start = min(start, reached)
        lakes[which].append("market.box", range(start, start + length), trades(start, length))
        reached = max(reached, start + length)
    assert trade_ids(lakes[0]) == list(range(reached))


def test_a_writer_that_was_overtaken_is_refused_and_looks_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other writer commits between this one's question and its commit: delta-rs alone would take both."""
    lake, other = Lake(tmp_path), Lake(tmp_path)
    lake.append("market.box", range(0, 5), trades(0, 5))
    table = lake.table("trades")
    commit = table._commit

    def overtaken(*args: object) -> None:
        monkeypatch.undo()
        other.append("market.box", range(5, 10), trades(5, 5))
        commit(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(table, "_commit", overtaken)
    assert lake.append("market.box", range(5, 12), trades(5, 7)) == 2
    assert trade_ids(lake) == list(range(12))


def test_compaction_keeps_every_row_and_the_place(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    for k in range(6):
        step = DAY_NS // 45  # 60 trades over a day and a third
        lake.append("market.box", range(k * 10, k * 10 + 10), trades(k * 10, 10, step_ns=step))
    before = lake.scan("trades").sort("offset").collect()
    assert lake.table("trades").size()[2] == 7
    assert lake.compact(datetime.date(2024, 8, 10)) == 1  # the second day is still open
    assert lake.table("trades").size() == (60, lake.table("trades").size()[1], 3)
    assert lake.scan("trades").sort("offset").collect().equals(before)
    assert lake.append("market.box", range(0, 60), trades(0, 60)) == 0  # what was appended is still known
    assert lake.compact(datetime.date(2024, 8, 10)) == 0


def test_compaction_yields_to_a_writer(tmp_path: Path) -> None:
    lake, other = Lake(tmp_path), Lake(tmp_path)
    lake.append("market.box", range(0, 5), trades(0, 5))
    lake.append("market.box", range(5, 9), trades(5, 4))
    table = lake.table("trades")
    rewrite = table._rewrite

    def interrupted(*args: object) -> None:
        other.append("market.box", range(9, 12), trades(9, 3))
        rewrite(*args)  # type: ignore[arg-type]

    table._rewrite = interrupted  # type: ignore[method-assign]
    assert table.compact(datetime.date(2030, 1, 1)) == 0
    table._rewrite = rewrite  # type: ignore[method-assign]
    assert table.compact(datetime.date(2030, 1, 1)) == 1
    assert trade_ids(lake) == list(range(12))


def test_many_small_files_of_an_open_partition_are_merged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quantlytic.store.lake.table._MAX_FILES", 3)
    lake = Lake(tmp_path)
    for k in range(5):
        lake.append("market.box", [k], trades(k, 1))
    assert lake.compact(datetime.date(2024, 8, 9)) == 1
    assert lake.table("trades").size()[2] == 1
    assert trade_ids(lake) == list(range(5))


def test_replace_keeps_rows_of_other_sources(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    lake.append("market.box", range(0, 10), trades(0, 10, step_ns=DAY_NS // 5))
    lake.append("import.x", range(0, 3), trades(100, 3))
    lake.append("market.binance", range(0, 4), trades(0, 4, "binance:BTCUSDT"))
    table = lake.table("trades")
    table.replace("market.box", "box", rows_of(table.spec, "market.box", range(12), trades(0, 12)).lazy(), 11)
    found = lake.scan("trades").collect()
    assert dict(found.group_by("source").len().iter_rows()) == {"market.box": 12, "import.x": 3, "market.binance": 4}
    assert table.version("market.box") == 11
    assert lake.append("market.box", range(0, 12), trades(0, 12)) == 0


def test_a_table_that_was_never_written_is_empty(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    assert lake.tables() == []
    assert lake.scan("fills").collect().schema == pl.Schema(TABLES["fills"].schema)
    assert lake.table("fills").size() == (0, 0, 0)
    with pytest.raises(InputError, match="no table 'trade': choose one of trades"):
        lake.scan("trade")


def test_a_damaged_table_is_one_line(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    lake.append("market.box", range(3), trades(0, 3))
    for entry in (tmp_path / "tables/trades/_delta_log").glob("*.json"):
        entry.write_text("not json")
    with pytest.raises(StoreError, match="tables/trades cannot be used") as caught:
        Lake(tmp_path).scan("trades")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("damage", ["gone", "cut off", "overwritten"])
def test_a_damaged_or_missing_file_of_a_table_is_one_line(
    tmp_path: Path, damage: str, capfd: pytest.CaptureFixture[str]
) -> None:
    lake = Lake(tmp_path)
    lake.append("market.box", range(300), trades(0, 300))
    file = next((tmp_path / "tables/trades").rglob("*.parquet"))
    content = file.read_bytes()
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(
            content[:300] if damage == "cut off" else content[:4] + b"\xff" * (len(content) - 12) + content[-8:]
        )
    for read in (inventory, check, lambda lake: export(lake, "trades", tmp_path / "out.csv")):
        with pytest.raises(StoreError, match="restore that file from a copy") as caught:
            read(Lake(tmp_path))
        assert "\n" not in str(caught.value)
    assert capfd.readouterr().err == ""
    assert not (tmp_path / "out.csv").exists()


def test_traces_of_rust_are_left_out() -> None:
    trace = "Json error: no object\n   0: <unknown>\n   1: clone3\n             at ./misc/clone3.S:81:0\n"
    assert one_line(ValueError(trace)) == "Json error: no object"


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """What a full disk does to a writer: the file cannot grow."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, previous)


@pytest.mark.parametrize("room", [0, 500, 3000, 20_000])
def test_a_full_disk_leaves_nothing_half_written(tmp_path: Path, room: int) -> None:
    lake = Lake(tmp_path)
    lake.append("market.box", range(10), trades(0, 10))
    with files_of_at_most(room), pytest.raises(StoreError, match="cannot be"):
        lake.append("market.box", range(10, 5000), trades(10, 4990))
    assert trade_ids(Lake(tmp_path)) == list(range(10))
    assert lake.append("market.box", range(10, 5000), trades(10, 4990)) == 4990
    assert trade_ids(Lake(tmp_path)) == list(range(5000))


def test_the_disks_last_room_is_left_to_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    lake = Lake(tmp_path)
    lake.append("market.box", range(10), trades(0, 10))
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=8_000_001))
        with pytest.raises(StoreError, match=r"tables/trades: the disk is full \(8 MB free\)"):
            lake.append("market.box", range(10, 20), trades(10, 10))
    assert lake.append("market.box", range(10, 20), trades(10, 10)) == 10
    assert trade_ids(lake) == list(range(20))
    assert capfd.readouterr().err == ""


def test_bars_come_out_as_the_engine_takes_them(tmp_path: Path) -> None:
    from quantlytic.model.bar import BAR, Bar

    lake = Lake(tmp_path)
    minute = 60 * 10**9
    names = ("box:BTCUSDT", "box:ADAUSDT")
    bars = [
        Bar(name, T0 + i * size, T0 + (i + 1) * size, 1.0 + i, 4.0 + i, 0.5, 2.0, 10.0 * i, 3.5, i)
        for size in (minute, 5 * minute) for name in names for i in range(6)
    ]  # fmt: skip
    lake.append("bars.box", range(len(bars)), bars)
    array, instruments = lake.bars(names, "1m", T0 + minute, T0 + 4 * minute)
    assert array.dtype == BAR
    assert [instrument.id for instrument in instruments] == ["box:ADAUSDT", "box:BTCUSDT"]
    assert array["instrument"].tolist() == [0, 1] * 3
    assert array["open"].tolist() == [2.0, 2.0, 3.0, 3.0, 4.0, 4.0]
    assert array["trades"].tolist() == [1, 1, 2, 2, 3, 3]
    assert len(lake.bars("box:BTCUSDT", "5m")[0]) == 6
    with pytest.raises(InputError, match="no 1h bars of box:BTCUSDT"):
        lake.bars("box:BTCUSDT", "1h")
