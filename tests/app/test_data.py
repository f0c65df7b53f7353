"""`quantlytic data`: what a person or a script gets, with exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from tests.app.conftest import Command, answer
from tests.store.lake.events import T0, trades
from tests.store.lake.test_importer import bars_frame, trades_frame
from tests.venues.captures import CAPTURES, frames_of

from quantlytic.model.frame import RawFrame
from quantlytic.model.ledger import LedgerEntry, LedgerKind
from quantlytic.store.lake import Lake
from quantlytic.venues.binance.market import spot
from quantlytic.venues.binance.normaliser import BinanceNormaliser
from quantlytic.venues.port import STARTED


def home_lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "home" / "lake")


def test_nothing_recorded_is_said_and_nothing_is_made(quantlytic: Command, tmp_path: Path) -> None:
    assert answer(quantlytic("data", "list", "--json")) == []
    assert answer(quantlytic("data", "check", "--json")) == []
    assert "nothing recorded" in quantlytic("data", "list")[1]
    assert "no market data" in quantlytic("data", "check")[1]
    for words in (("export", "--table", "bars", "-o", "x.csv"), ("rebuild",)):
        code, out, err = quantlytic("data", *words)
        assert (code, out) == (2, "")
        assert err.startswith("quantlytic: nothing recorded in ")
        assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_import_list_check_and_export(quantlytic: Command, tmp_path: Path) -> None:
    bars_frame(0, 30, ("BTCUSDT", "ETHUSDT")).write_csv(tmp_path / "bars.csv")
    done = answer(quantlytic("data", "import", "bars.csv", "--venue", "binance", "--json"))
    assert (done["added"], done["skipped"]) == (60, 0)
    assert "0 bars added, 60 were there already" in quantlytic("data", "import", "bars.csv", "--venue", "binance")[1]
    trades_frame(20).write_parquet(tmp_path / "t.parquet")
    words = ("--venue", "binance", "--symbol", "BTCUSDT", "--kind", "trades", "--json")
    assert answer(quantlytic("data", "import", "t.parquet", *words))["added"] == 20

    holdings = {one["table"]: one for one in answer(quantlytic("data", "list", "--json"))}
    assert set(holdings) == {"bars", "trades"}
    assert holdings["bars"]["rows"] == 60
    assert holdings["bars"]["instruments"] == ["binance:BTCUSDT", "binance:ETHUSDT"]
    assert (holdings["bars"]["first"], holdings["bars"]["last"]) == (
        "2024-08-09T00:00:00.000000Z",
        "2024-08-09T00:29:00.000000Z",
    )

    streams = answer(quantlytic("data", "check", "--json"))
    assert [one["stream"] for one in streams] == [
        "binance:BTCUSDT/trades", "binance:BTCUSDT/bars/1m", "binance:ETHUSDT/bars/1m",
    ]  # fmt: skip
    assert streams[1]["rows"] == 30
    assert {"rows", "first", "last", "gaps", "duplicates", "late"} <= set(streams[0])

    span = ("--start", "2024-08-09T00:10:00", "--end", "2024-08-09T02:20+02:00")
    words = ("--table", "bars", "--instrument", "binance:ETHUSDT", *span, "-o", "out.parquet", "--json")
    assert answer(quantlytic("data", "export", *words)) == {"table": "bars", "rows": 10, "file": "out.parquet"}
    assert pl.read_parquet(tmp_path / "out.parquet")["open"].to_list() == [110.0 + i for i in range(10)]
    assert answer(quantlytic("data", "import", "out.parquet", "--venue", "binance", "--json"))["skipped"] == 10


def test_tables_for_people(quantlytic: Command, tmp_path: Path) -> None:
    lake = home_lake(tmp_path)
    lake.append("market.box", range(8), [*trades(0, 5), *trades(7, 3)])
    lake.append("raw.box", range(3), [RawFrame("ws", T0 + i, "", b"{}") for i in range(3)])
    listed = quantlytic("data", "list")[1]
    assert "raw" in listed
    assert "2024-08-09T00:00:00" in listed
    checked = quantlytic("data", "check")[1]
    assert "box:BTCUSDT/trades" in checked
    assert "missing" in checked
    assert "reconnects" not in checked  # nothing but zeros in that column


def test_strict_check_tells_by_its_exit_code(quantlytic: Command, tmp_path: Path) -> None:
    lake = home_lake(tmp_path)
    lake.append("market.box", range(8), [*trades(0, 8)])
    assert quantlytic("data", "check", "--strict")[0] == 0
    gap = LedgerEntry("box:BTCUSDT", "trades", LedgerKind.GAP, T0, 8, 9, 2)
    lake.append("market.box", range(8, 13), [gap, *trades(10, 4)])
    (stream,) = answer(quantlytic("data", "check", "--json"))
    assert (stream["gaps"], stream["missing"], stream["unexplained"]) == (1, 2, 0)
    code, out, err = quantlytic("data", "check", "--strict", "--json")
    assert code == 6
    assert json.loads(out)[0]["gaps"] == 1
    assert err == "quantlytic: 1 of 1 streams have gaps or duplicates: box:BTCUSDT trades\n"


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("import", "nothing.csv"), 2, "nothing.csv does not exist"),
        (("import", "empty.csv"), 3, "empty.csv is empty"),
        (("import", "bars.csv", "--size", "fortnight"), 2, "'fortnight' is not a duration"),
        (("import", "bars.csv", "--kind", "trades", "--size", "1m"), 2, "--size is for bars"),
        (("import", "bars.csv", "--kind", "trades"), 3, "no column 'price'"),
        (("export", "--table", "bars", "-o", "x.csv", "--start", "yesterday"), 2, "'yesterday' is no time"),
        (("export", "--table", "trades", "-o", "x.csv", "--size", "1m"), 2, "--size is for bars"),
        (("export", "--table", "bars", "-o", "folder/x.csv"), 4, "cannot be written"),
        (("rebuild", "--venue", "kraken"), 2, "no raw messages of kraken"),
        (("rebuild", "--into", "."), 2, "is not empty"),
    ],
)
def test_bad_input_is_one_line(
    quantlytic: Command, tmp_path: Path, words: tuple[str, ...], code: int, text: str
) -> None:
    (tmp_path / "empty.csv").write_text("")
    bars_frame(0, 5).write_csv(tmp_path / "bars.csv")
    quantlytic("data", "import", "bars.csv")
    home_lake(tmp_path).append("raw.box", [0], [RawFrame("ws", T0, "", b"{}")])
    found, out, err = quantlytic("data", *words)
    assert (found, out) == (code, "")
    assert text in err
    assert "Traceback" not in err
    assert len([line for line in err.splitlines() if text in line]) == 1


def test_rebuild_compares_mends_and_writes_elsewhere(quantlytic: Command, tmp_path: Path, market_data: Path) -> None:
    frames = frames_of(market_data, CAPTURES[0], 1500)
    frames = [RawFrame("recorder", frames[0].receive_time, STARTED, b""), *frames]
    normaliser = BinanceNormaliser(spot("binance"))
    events = [event for frame in frames for event in normaliser.feed(frame)]
    lake = home_lake(tmp_path)
    lake.append("raw.binance", range(len(frames)), frames)
    lake.append("market.binance", range(len(events)), events)

    (result,) = answer(quantlytic("data", "rebuild", "--verify", "--json"))
    assert result["frames"] == len(frames)
    assert [(one["table"], one["differences"]) for one in result["tables"]] == [
        ("trades", 0), ("quotes", 0), ("book", 0), ("news", 0), ("ledger", 0),
    ]  # fmt: skip
    assert sum(one["recorded"] for one in result["tables"]) == len(events)

    quotes = lake.table("quotes")
    damaged = quotes.scan().with_columns(
        bid=pl.when(pl.col("offset") == pl.col("offset").min()).then(1.0).otherwise("bid")
    )
    quotes.replace("market.binance", "binance", damaged.collect().lazy(), 0)
    code, out, err = quantlytic("data", "rebuild", "--verify", "--json")
    assert (code, json.loads(out)[0]["tables"][1]["differences"]) == (6, 2)
    assert "2 rows differ" in err

    assert "differ" in quantlytic("data", "rebuild", "--into", "new")[1]
    assert quantlytic("data", "rebuild", "--verify")[0] == 6  # the lake was left alone
    assert quantlytic("data", "rebuild")[0] == 0
    assert quantlytic("data", "rebuild", "--verify")[0] == 0
    new, old = (Lake(folder).scan("quotes").sort("offset").collect() for folder in (tmp_path / "new", lake.address))
    assert new.equals(old)
