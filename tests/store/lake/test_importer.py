"""Files into the lake: checked, once, and out again as they came."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from tests.rows import columns
from tests.store.lake.events import T0, trades

from quantlytic.model.errors import DataError, InputError
from quantlytic.store.barfile import read_bars
from quantlytic.store.lake import Lake
from quantlytic.store.lake.exporter import export
from quantlytic.store.lake.importer import import_bars, import_trades
from quantlytic.store.tradefile import read_trades

MINUTE = 60 * 10**9


def bars_frame(first: int, count: int, symbols: tuple[str, ...] = ("BTCUSDT",)) -> pl.DataFrame:
    steps = [(first + i, symbol) for i in range(count) for symbol in symbols]
    return pl.DataFrame(
        {
            "ts": [T0 + step * MINUTE for step, _ in steps],
            "symbol": [symbol for _, symbol in steps],
            "open": [100.0 + step for step, _ in steps],
            "high": [103.1 + step for step, _ in steps],
            "low": [99.0 + step for step, _ in steps],
            "close": [100.1 + step for step, _ in steps],
            "volume": [0.1 * step for step, _ in steps],
        }
    )


def trades_frame(count: int, with_ids: bool = True) -> pl.DataFrame:
    frame = pl.DataFrame(
        {
            "ts": [T0 + i * 10**6 for i in range(count)],
            "trade_id": list(range(1, count + 1)),
            "price": [100.1 + i for i in range(count)],
            "quantity": [0.3] * count,
            "side": ["buy" if i % 2 else "SELL" for i in range(count)],
        }
    )
    return frame if with_ids else frame.drop("trade_id")


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_the_same_bars_twice_are_there_once(tmp_path: Path, ending: str) -> None:
    lake, path = Lake(tmp_path / "lake"), tmp_path / f"bars.{ending}"
    frame = bars_frame(0, 30, ("BTCUSDT", "ETHUSDT"))
    frame.write_csv(path) if ending == "csv" else frame.write_parquet(path)
    first = import_bars(lake, path, "binance")
    assert (first.rows, first.added, first.skipped) == (60, 60, 0)
    assert first.instruments == ["binance:BTCUSDT", "binance:ETHUSDT"]
    for again in (lake, Lake(tmp_path / "lake")):
        repeated = import_bars(again, path, "binance")
        assert (repeated.added, repeated.skipped) == (0, 60)
    array, instruments = lake.bars(["binance:BTCUSDT", "binance:ETHUSDT"], "1m")
    expected, _ = read_bars(path)
    assert columns(array) == columns(expected)
    assert [one.symbol for one in instruments] == ["BTCUSDT", "ETHUSDT"]


def test_a_file_that_overlaps_adds_what_is_new(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    for first, count, added in ((0, 20, 20), (10, 30, 20), (5, 10, 0)):
        bars_frame(first, count).write_parquet(path := tmp_path / f"{first}.parquet")
        done = import_bars(lake, path, "binance")
        assert (done.added, done.skipped) == (added, count - added)
    assert len(lake.bars("binance:BTCUSDT", "1m")[0]) == 40


def test_a_file_that_contradicts_the_lake_is_refused_whole(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    bars_frame(0, 20).write_parquet(path := tmp_path / "a.parquet")
    import_bars(lake, path, "binance")
    wrong = bars_frame(10, 20).with_columns(
        close=pl.when(pl.col("ts") == T0 + 12 * MINUTE).then(112.2).otherwise("close")
    )
    wrong.write_parquet(path := tmp_path / "b.parquet")
    with pytest.raises(
        DataError, match=r"1 of the file's bars differ.*00:12:00.000000Z: close is 112.2, the lake has 112.1"
    ):
        import_bars(lake, path, "binance")
    assert len(lake.bars("binance:BTCUSDT", "1m")[0]) == 20


def test_bad_bars_are_named_and_nothing_is_taken(tmp_path: Path) -> None:
    lake, path = Lake(tmp_path / "lake"), tmp_path / "bars.csv"
    frame = bars_frame(0, 20)
    frame.with_columns(low=pl.when(pl.col("ts") == T0 + 7 * MINUTE).then(500.0).otherwise("low")).write_csv(path)
    with pytest.raises(DataError, match="row 8"):
        import_bars(lake, path, "binance")
    assert lake.tables() == []


def test_forecasts_are_not_lost_in_silence(tmp_path: Path) -> None:
    lake, path = Lake(tmp_path / "lake"), tmp_path / "bars.parquet"
    bars_frame(0, 20).with_columns(forecast=pl.lit(0.5)).write_parquet(path)
    with pytest.raises(DataError, match="has forecasts, which the lake's bars do not hold"):
        import_bars(lake, path, "binance")
    assert lake.tables() == []


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@pytest.mark.parametrize("with_ids", [True, False])
def test_trades_come_in_once_and_go_out_as_they_came(tmp_path: Path, ending: str, with_ids: bool) -> None:
    lake, path = Lake(tmp_path / "lake"), tmp_path / f"trades.{ending}"
    frame = trades_frame(50, with_ids)
    frame.write_csv(path) if ending == "csv" else frame.write_parquet(path)
    assert import_trades(lake, path, "binance", "BTCUSDT").added == 50
    assert import_trades(lake, path, "binance", "BTCUSDT").added == 0
    out = tmp_path / f"out.{ending}"
    assert export(lake, "trades", out, instrument="binance:BTCUSDT") == 50
    assert read_trades(out).equals(read_trades(path, "BTCUSDT"))
    if with_ids:  # what came out adds nothing when it comes in again
        assert import_trades(lake, out, "binance").added == 0


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("price", "nan", "row 4: price is nan, but must be a price above 0"),
        ("price", "-1", "row 4: price is -1, but must be"),
        ("price", "", "row 4: price is empty, but must be"),
        ("quantity", "0", "row 4: quantity is 0, but must be"),
        ("side", "up", "row 4: side is up, but must be buy or sell"),
        ("ts", "5", "row 4: ts 5 does not follow"),
        ("ts", "soon", "row 4: ts is soon, but must be"),
        ("trade_id", "2", "row 4: trade_id 2 does not follow"),
        ("trade_id", "x", "row 4: trade_id is x, but must be a whole number"),
    ],
)
def test_bad_trades_are_named_by_row_and_column(tmp_path: Path, column: str, value: str, words: str) -> None:
    texts = trades_frame(8).cast(pl.String).with_row_index()
    broken = texts.with_columns(pl.when(pl.col("index") == 3).then(pl.lit(value)).otherwise(column).alias(column))
    broken.drop("index").write_csv(path := tmp_path / "trades.csv")
    with pytest.raises(DataError, match=words):
        read_trades(path, "BTCUSDT")


def test_files_that_are_no_trades(tmp_path: Path) -> None:
    path = tmp_path / "trades.csv"
    with pytest.raises(InputError, match="does not exist"):
        read_trades(path)
    path.write_text("")
    with pytest.raises(DataError, match="is empty"):
        read_trades(path)
    path.write_text("ts,price,quantity,side\n")
    with pytest.raises(DataError, match="only a header"):
        read_trades(path)
    path.write_text("ts,price,side\n1,2,buy\n")
    with pytest.raises(DataError, match="no column 'quantity'"):
        read_trades(path)
    trades_frame(5).write_parquet(parquet := tmp_path / "trades.parquet")
    parquet.write_bytes(parquet.read_bytes()[:-20])
    with pytest.raises(DataError, match="not a whole CSV or Parquet file"):
        read_trades(parquet)
    trades_frame(5).with_columns(symbol=pl.lit("A")).write_parquet(parquet)
    with pytest.raises(InputError, match="no symbol 'B'"):
        read_trades(parquet, "B")


def test_export_of_a_range_in_order_of_time(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    lake.append("market.box", range(20), trades(0, 20)[::-1])
    rows = export(lake, "trades", path := tmp_path / "x.parquet", start_ns=T0 + 5 * 10**6, end_ns=T0 + 9 * 10**6)
    assert rows == 4
    assert pl.read_parquet(path)["trade_id"].to_list() == [5, 6, 7, 8]


def test_exports_that_cannot_be(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    for table, name, options, words in (
        ("trades", "x.txt", {}, "ending must be .csv or .parquet"),
        ("trades", "x.csv", {}, "no such trades"),
        ("book", "x.csv", {}, "hold lists"),
        ("deliveries", "x.csv", {"instrument": "a:b"}, "belong to no instrument"),
        ("x", "x.csv", {}, "no table 'x'"),
    ):
        with pytest.raises(InputError, match=words):
            export(lake, table, tmp_path / name, **options)
    assert list(tmp_path.glob("*x.*")) == []
