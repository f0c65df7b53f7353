"""History to run over: a range of a file, bars of the lake."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from tests.rows import columns

import quantlytic as ql
from quantlytic.model.bar import Bar
from quantlytic.model.errors import InputError
from quantlytic.research.data.history import load_bars, time_ns
from quantlytic.store.lake import Lake

from .peer_bars import MINUTE_NS, peer_bars

START = 1_577_836_800_000_000_000  # 2020-01-01


@pytest.fixture
def path(tmp_path: Path) -> Path:
    peer_bars(500).write_parquet(tmp_path / "bars.parquet")
    return tmp_path / "bars.parquet"


def test_a_range_keeps_the_bars_that_open_in_it(path: Path) -> None:
    whole = load_bars(path)
    part = load_bars(path, start="2020-01-01T01:00", end="2020-01-01T02:00")
    assert part.array["open_time"].tolist() == [START + (60 + at) * MINUTE_NS for at in range(60)]
    assert columns(part.array) == columns(whole.array[60:120])
    assert len(load_bars(path, start=START + 499 * MINUTE_NS)) == 1
    assert len(load_bars(path, end="2020-01-01T00:01")) == 1
    for start, end in (("2021-01-01", None), (None, "2019-01-01"), ("2020-01-01T02:00", "2020-01-01T01:00")):
        with pytest.raises(InputError, match="no bars that open in that range: it goes from 2020-01-01T00:00:00 to"):
            load_bars(path, start=start, end=end)


def test_bars_say_where_they_are_from(path: Path) -> None:
    source = load_bars(path, start="2020-01-01T01:00").source
    assert source["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert source["path"] == str(path)
    assert (source["start"], source["end"]) == ("2020-01-01T01:00:00.000000Z", None)
    assert load_bars(path).between(START, None).source == {}  # no longer what the file says


def test_times() -> None:
    assert time_ns("2020-01-01") == time_ns(datetime(2020, 1, 1)) == time_ns(START) == START
    assert time_ns(datetime(2020, 1, 1, 2, tzinfo=timezone(timedelta(hours=2)))) == START
    assert time_ns("2020-01-01T00:00:00.000001Z") == START + 1000
    assert time_ns(None) is None
    with pytest.raises(InputError, match="'01/02/2020' is no time"):
        time_ns("01/02/2020")


def test_the_lake_gives_what_was_recorded(tmp_path: Path) -> None:
    bars = [
        Bar(name, START + at * MINUTE_NS, START + (at + 1) * MINUTE_NS, 1.0 + at, 2.0 + at, 0.5 + at, 1.5 + at, 3.0)
        for at in range(40)
        for name in ("box:A", "box:B")
    ]
    lake = Lake(tmp_path / "lake")
    lake.append("bars.box", range(len(bars)), bars)
    found = ql.lake(tmp_path / "lake").bars("box:A", "1m", start="2020-01-01T00:10")
    assert [one.id for one in found.instruments] == ["box:A"]
    assert found.array["close"].tolist() == [11.5 + at for at in range(30)]
    assert found.source["kind"] == "lake"
    assert isinstance(found.source["version"], int)
    both = ql.lake(tmp_path / "lake").bars(["box:B", "box:A"], "1m")
    assert len(both) == 80
    with pytest.raises(InputError, match="no 5m bars"):
        ql.lake(tmp_path / "lake").bars("box:A", "5m")
    with pytest.raises(InputError, match="there is no lake in"):
        ql.lake(tmp_path / "none")
    assert not (tmp_path / "none").exists()
