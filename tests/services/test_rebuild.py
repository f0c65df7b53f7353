"""Tables made anew from raw objects: the same rows, bit for bit, and differences that are seen."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from tests.store.lake.events import trades
from tests.venues.captures import CAPTURES, frames_of, kind_of, market_of

from quantlytic.model.errors import StoreError
from quantlytic.model.frame import RawFrame
from quantlytic.services.archiver import Archiver
from quantlytic.services.rebuild import REBUILT, Comparison, compare, rebuild, replace
from quantlytic.store.lake import Lake
from quantlytic.store.lake.columns import TABLES
from quantlytic.store.log import open_log
from quantlytic.venues.binance.market import spot
from quantlytic.venues.binance.normaliser import BinanceNormaliser
from quantlytic.venues.port import STARTED


def record(
    home: Path, frames: list[RawFrame], venue: str, normalisers: list[BinanceNormaliser], tamper: int = 0
) -> Lake:
    """What recorder and archiver leave of these frames; with several normalisers the recorder is restarted in between.

    `tamper`: leave out each frame whose number that divides, so that there are gaps.
    """
    log = open_log("sqlite", folder=home / "log")
    writer = log.writer("recorder")
    state = b""
    size = len(frames) // len(normalisers) + 1
    for number, normaliser in enumerate(normalisers):
        if number:
            normaliser.restore(state)
        part = frames[number * size : (number + 1) * size]
        part = [RawFrame("recorder", part[0].receive_time, STARTED, b""), *part]
        for start in range(0, len(part), 777):
            batch = [one for index, one in enumerate(part[start : start + 777]) if not tamper or index % tamper]
            events = [event for frame in batch for event in normaliser.feed(frame)]
            writer.commit({f"raw.{venue}": batch, f"market.{venue}": events})
        state = normaliser.save()
    lake = Lake(home / "lake")
    Archiver(log, lake, batch_rows=5000).close()
    log.close()
    return lake


def all_equal(comparisons: list[Comparison]) -> bool:
    return all(one.differences == 0 and one.rebuilt == one.recorded for one in comparisons)


@pytest.mark.parametrize("name", CAPTURES)
def test_a_capture_is_kept_to_the_last_message_and_rebuilt_identically(
    market_data: Path, tmp_path: Path, name: str
) -> None:
    keep_and_rebuild(market_data, tmp_path, name, 15_000)


@pytest.mark.slow
@pytest.mark.parametrize("name", CAPTURES)
def test_a_whole_capture_is_kept_and_rebuilt_identically(market_data: Path, tmp_path: Path, name: str) -> None:
    keep_and_rebuild(market_data, tmp_path, name, 10**9)


def keep_and_rebuild(market_data: Path, tmp_path: Path, name: str, limit: int) -> None:
    frames, market = frames_of(market_data, name, limit), market_of(name)
    lake = record(tmp_path, frames, market.venue, [BinanceNormaliser(market)])
    assert [frame for _, frame in lake.raw.frames(market.venue)][1:] == frames
    kinds = [kind_of(frame) for frame in frames]
    for table, kind in (("trades", "trade"), ("quotes", "bookTicker")):
        assert lake.table(table).size()[0] == kinds.count(kind)
    assert lake.table("book").size()[0] == sum(kind.startswith(("depth", "snapshot")) for kind in kinds)
    fresh = Lake(tmp_path / "fresh")
    assert rebuild(lake, market.venue, BinanceNormaliser(market), fresh) == len(frames) + 1
    assert all_equal(compare(lake, fresh, market.venue))
    for table in REBUILT:  # the embedded log's offsets, too
        assert table_of(lake, table).equals(table_of(fresh, table))


def table_of(lake: Lake, name: str) -> pl.DataFrame:
    return lake.scan(name).sort("offset").collect()


def test_gaps_duplicates_and_restarts_are_rebuilt_identically(market_data: Path, tmp_path: Path) -> None:
    frames = frames_of(market_data, CAPTURES[0], 9000)
    market = spot("binance")
    lake = record(tmp_path, frames + frames[-500:], "binance", [BinanceNormaliser(market) for _ in range(3)], tamper=50)
    assert lake.table("ledger").size()[0] > 10
    fresh = Lake(tmp_path / "fresh")
    rebuild(lake, "binance", BinanceNormaliser(market), fresh)
    assert all_equal(compare(lake, fresh, "binance"))


@pytest.fixture
def recorded(market_data: Path, tmp_path: Path) -> tuple[Lake, Lake]:
    """A lake and what is rebuilt from it."""
    market = spot("binance")
    lake = record(tmp_path, frames_of(market_data, CAPTURES[0], 3000), "binance", [BinanceNormaliser(market)])
    fresh = Lake(tmp_path / "fresh")
    rebuild(lake, "binance", BinanceNormaliser(market), fresh)
    return lake, fresh


THIRD = pl.col("offset").rank("ordinal") == 4


def put(lake: Lake, rows: pl.DataFrame) -> None:
    lake.table("trades").replace("market.binance", "binance", rows.lazy(), 0)


def differences(lake: Lake, fresh: Lake) -> dict[str, int]:
    return {one.table: one.differences for one in compare(lake, fresh, "binance") if one.differences}


@pytest.mark.parametrize(("damage", "count"), [("changed", 2), ("missing", 1), ("moved", 4)])
def test_differences_are_counted_and_mended(recorded: tuple[Lake, Lake], damage: str, count: int) -> None:
    lake, fresh = recorded
    good = table_of(lake, "trades")
    put(
        lake,
        {
            "changed": good.with_columns(price=pl.when(THIRD).then(1.0).otherwise("price")),
            "missing": good.filter(~THIRD),
            "moved": good.with_columns(offset=pl.when(THIRD).then(-1).otherwise("offset").cast(pl.Int64)),
        }[damage],
    )
    assert differences(lake, fresh) == {"trades": count}
    replace(lake, fresh, "binance")
    assert differences(lake, fresh) == {}
    assert table_of(lake, "trades").equals(good)


def test_the_sign_of_zero_is_a_difference(recorded: tuple[Lake, Lake]) -> None:
    lake, fresh = recorded
    good = table_of(lake, "trades")
    for target, zero in ((lake, 0.0), (fresh, -0.0)):
        put(target, good.with_columns(quantity=pl.when(THIRD).then(zero).otherwise("quantity")))
    assert differences(lake, fresh) == {"trades": 2}


def test_rows_that_raw_objects_do_not_give_are_not_thrown_away(recorded: tuple[Lake, Lake]) -> None:
    lake, fresh = recorded
    good = table_of(lake, "trades")
    later = good.tail(1).with_columns(offset=pl.lit(10**9, pl.Int64))
    put(lake, pl.concat([good, later]))
    assert differences(lake, fresh) == {"trades": 1}
    with pytest.raises(StoreError, match="raw objects of binance give events up to offset"):
        replace(lake, fresh, "binance")
    assert lake.table("trades").size()[0] == good.height + 1


def test_imported_rows_stay(recorded: tuple[Lake, Lake]) -> None:
    lake, fresh = recorded
    lake.append("import.x", range(5), trades(10**12, 5, "binance:BTCUSDT"))
    replace(lake, fresh, "binance")
    rows = lake.scan("trades").collect()
    assert rows.filter(pl.col("source") == "import.x").height == 5
    assert all_equal(compare(lake, fresh, "binance"))
    assert list(rows.columns) == list(TABLES["trades"].schema)
