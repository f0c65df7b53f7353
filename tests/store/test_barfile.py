"""Bars from files: every way to write a time, and one clear line for everything that is wrong."""

from __future__ import annotations

import gzip
import os
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.engine.market import same_rows

from quantlytic.model.bar import BAR
from quantlytic.model.errors import DataError, InputError
from quantlytic.store.barfile import count_holes, most_frequent, read_bars

START = 1_704_067_200_000_000_000  # 2024-01-01
MINUTE = 60_000_000_000
HEADER = "ts,open,high,low,close,volume"


def frame(rows: int = 4, start: int = START, symbol: str | None = None) -> pl.DataFrame:
    close = 100.0 + np.arange(rows)
    columns = {
        "ts": start + MINUTE * np.arange(rows),
        "open": close - 0.5,
        "high": close + 1,
        "low": close - 1,
        "close": close,
        "volume": np.arange(rows) * 1.5,
    }
    table = pl.DataFrame(columns)
    return table if symbol is None else table.with_columns(symbol=pl.lit(symbol))


def csv(tmp_path: Path, *lines: str, header: str = HEADER) -> Path:
    path = tmp_path / "bars.csv"
    path.write_text("\n".join((header, *lines)) + "\n")
    return path


def test_parquet_gives_records_with_times_in_ns(tmp_path: Path) -> None:
    path = tmp_path / "BTCUSDT.parquet"
    frame().write_parquet(path)
    bars, instruments = read_bars(path)
    assert bars.dtype == BAR
    assert bars["open_time"].tolist() == [START + MINUTE * i for i in range(4)]
    assert bars["close_time"].tolist() == [START + MINUTE * (i + 1) for i in range(4)]
    assert bars["close"].tolist() == [100, 101, 102, 103]
    assert bars["volume"].tolist() == [0, 1.5, 3, 4.5]
    assert [instrument.id for instrument in instruments] == ["file:BTCUSDT"]
    assert instruments[0].symbol == "BTCUSDT"


@pytest.mark.parametrize(
    "kind",
    [
        pl.Datetime("ns", "UTC"),
        pl.Datetime("us"),
        pl.Datetime("ms", "Europe/Zurich"),
        pl.Datetime("us", "UTC"),
        pl.UInt64,
    ],
)
def test_timestamps_of_any_unit_and_zone(tmp_path: Path, kind: pl.DataType) -> None:
    path = tmp_path / "bars.parquet"
    table = frame()
    if isinstance(kind, pl.Datetime):
        stamps = table["ts"].cast(pl.Datetime("ns", "UTC" if kind.time_zone else None))
        if kind.time_zone:
            stamps = stamps.dt.convert_time_zone(kind.time_zone)
        table = table.with_columns(ts=stamps.dt.cast_time_unit(kind.time_unit))
    else:
        table = table.with_columns(pl.col("ts").cast(kind))
    table.write_parquet(path)
    assert read_bars(path)[0]["open_time"].tolist() == frame()["ts"].to_list()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("1704067200000000000", "1704067260000000000"),
        ("2024-01-01T00:00:00Z", "2024-01-01T00:01:00Z"),
        ("2024-01-01 00:00:00", "2024-01-01 00:01:00"),
        ("2024-01-01 00:00", "2024-01-01 00:01"),
        ("2024-01-01T01:00:00+01:00", "2024-01-01T01:01:00+01:00"),
        ("2024-01-01T00:00:00.000", "2024-01-01T00:01:00.000"),
        ("2024-01-01T00:00:00.000000000Z", "2024-01-01T00:01:00.000000000Z"),
    ],
)
def test_iso_text_in_csv(tmp_path: Path, first: str, second: str) -> None:
    bars, _ = read_bars(csv(tmp_path, f"{first},1,2,1,2,5", f"{second},2,3,2,3,6"))
    assert bars["open_time"].tolist() == [START, START + MINUTE]
    assert bars["close_time"].tolist() == [START + MINUTE, START + 2 * MINUTE]


def test_nanoseconds_of_text_survive(tmp_path: Path) -> None:
    bars, _ = read_bars(
        csv(tmp_path, "2024-01-01T00:00:00.123456789Z,1,2,1,2,5", "2024-01-01T00:01:00.123456789Z,2,3,2,3,6")
    )
    assert bars["open_time"][0] == START + 123_456_789


def test_dates_are_days(tmp_path: Path) -> None:
    path = tmp_path / "bars.parquet"
    frame(2).with_columns(ts=pl.Series([date(2024, 1, 1), date(2024, 1, 2)])).write_parquet(path)
    bars, _ = read_bars(path)
    assert bars["close_time"][0] == bars["open_time"][1] == START + 86_400_000_000_000


def test_several_symbols_are_merged_by_close_time_and_instrument(tmp_path: Path) -> None:
    path = tmp_path / "bars.parquet"
    pl.concat([frame(3, symbol="ETH"), frame(4, symbol="BTC")]).write_parquet(path)
    bars, instruments = read_bars(path)
    assert [instrument.symbol for instrument in instruments] == ["BTC", "ETH"]
    assert bars["instrument"].tolist() == [0, 1, 0, 1, 0, 1, 0]
    assert (np.diff(bars["close_time"]) >= 0).all()
    one, picked = read_bars(path, "ETH")
    assert len(one) == 3
    assert [instrument.symbol for instrument in picked] == ["ETH"]
    assert one["close"].tolist() == [100, 101, 102]


def test_order_of_rows_between_symbols_does_not_matter(tmp_path: Path) -> None:
    grouped, mixed = tmp_path / "grouped.parquet", tmp_path / "mixed.parquet"
    table = pl.concat([frame(3, symbol="ETH"), frame(3, symbol="BTC")])
    table.write_parquet(grouped)
    table.sort("ts", "symbol", descending=[False, True]).write_parquet(mixed)
    assert same_rows(read_bars(grouped)[0], read_bars(mixed)[0])


def test_venue_in_the_symbol_and_extra_columns(tmp_path: Path) -> None:
    path = tmp_path / "bars.parquet"
    table = frame(symbol="binance:BTCUSDT").with_columns(trades=pl.lit(7), quote_volume=pl.lit(2.5), note=pl.lit("x"))
    table.write_parquet(path)
    bars, instruments = read_bars(path)
    assert instruments[0].id == "binance:BTCUSDT"
    assert set(bars["trades"]) == {7}
    assert set(bars["quote_volume"]) == {2.5}


def test_unknown_symbol_lists_the_ones_present(tmp_path: Path) -> None:
    path = tmp_path / "bars.parquet"
    pl.concat([frame(symbol="ETH"), frame(symbol="BTC")]).write_parquet(path)
    with pytest.raises(InputError, match=r"no symbol 'DOGE'; it has BTC, ETH$"):
        read_bars(path, "DOGE")


def test_holes_are_counted_and_never_filled(tmp_path: Path) -> None:
    path = tmp_path / "bars.parquet"
    table = frame(10).filter(~pl.col("ts").is_in([START + 3 * MINUTE, START + 4 * MINUTE, START + 7 * MINUTE]))
    table.write_parquet(path)
    bars, _ = read_bars(path)
    assert len(bars) == 7
    assert count_holes(bars) == 3
    assert (bars["close_time"] - bars["open_time"] == MINUTE).all()


def test_bars_never_overlap(tmp_path: Path) -> None:
    bars, _ = read_bars(csv(tmp_path, *(f"{START + at * MINUTE},1,1,1,1,1" for at in (0, 2, 4, 5, 7, 9))))
    assert bars["close_time"].tolist() == [START + at * MINUTE for at in (2, 4, 5, 7, 9, 11)]


def test_stated_bar_size_wins(tmp_path: Path) -> None:
    path = tmp_path / "bars.parquet"
    frame(1).write_parquet(path)
    with pytest.raises(InputError, match="one bar"):
        read_bars(path)
    assert read_bars(path, size_ns=MINUTE)[0]["close_time"][0] == START + MINUTE


BAD_ROWS = {
    "nan": (
        f"{START + MINUTE},nan,2,1,2,5",
        r"row 2 \(2024-01-01T00:01:00.000000Z\): open is nan, but must be a price above 0",
    ),
    "inf": (f"{START + MINUTE},1,inf,1,2,5", "high is inf"),
    "empty": (f"{START + MINUTE},1,2,1,,5", "close is empty"),
    "word": (f"{START + MINUTE},1,2,1,n/a,5", "close is n/a"),
    "short row": (f"{START + MINUTE},1,2,1", "row 2 .*: close is empty"),
    "zero": (f"{START + MINUTE},1,2,0,2,5", "low is 0, but must be a price above 0"),
    "negative": (f"{START + MINUTE},-1,2,1,2,5", "open is -1"),
    "volume": (f"{START + MINUTE},1,2,1,2,-5", "volume is -5, but must be a number of at least 0"),
    "crossed": (f"{START + MINUTE},1,1,2,2,5", "high 1 is below low 2"),
    "open": (f"{START + MINUTE},9,2,1,2,5", "open 9 is above high 2"),
    "close": (f"{START + MINUTE},1,2,1,0.5,5", "close 0.5 is below low 1"),
    "repeat": (f"{START},1,2,1,2,5", "row 2 .*ts repeats that of row 1"),
    "back": (f"{START - MINUTE},1,2,1,2,5", "ts goes back from 2024-01-01T00:00:00.000000Z in row 1"),
    "time": ("yesterday,1,2,1,2,5", "row 2: ts is yesterday"),
}


@pytest.mark.parametrize("case", BAD_ROWS)
def test_bad_rows_are_named(tmp_path: Path, case: str) -> None:
    row, message = BAD_ROWS[case]
    path = csv(tmp_path, f"{START},1,2,1,2,5", row, f"{START + 2 * MINUTE},1,2,1,2,5")
    with pytest.raises(DataError, match=message) as caught:
        read_bars(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_row_numbers_are_those_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "bars.parquet"
    bad = frame(3, symbol="ETH").with_columns(close=pl.Series([100.0, float("nan"), 102.0]))
    pl.concat([frame(4, symbol="BTC"), bad]).write_parquet(path)
    assert len(read_bars(path, "BTC")[0]) == 4
    for symbol in ("ETH", None):
        with pytest.raises(DataError, match=r"row 6 .*close is nan"):
            read_bars(path, symbol)


@pytest.mark.parametrize(
    ("stamp", "message"),
    [
        ("1704067200000", "too small for ns since 1970"),
        ("1704067200", "too small for ns since 1970"),
        ("01/02/2024", "row 1: ts is 01/02/2024"),
        ("", "row 1: ts is empty"),
        ("9223372036854775807", "row 1: ts is 9223372036854775807, outside the years"),
        ("9" * 5000, r"row 1: ts is 9{40}\.\.\., but must be"),
    ],
)
def test_times_that_could_mean_something_else_are_refused(tmp_path: Path, stamp: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_bars(csv(tmp_path, f"{stamp},1,2,1,2,5"), size_ns=MINUTE)


def test_years_that_nanoseconds_cannot_hold(tmp_path: Path) -> None:
    path = tmp_path / "bars.parquet"
    stamps = [datetime(2024, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)]
    frame(2).with_columns(ts=pl.Series(stamps)).write_parquet(path)
    with pytest.raises(DataError, match=r"row 2: ts is 9999.* outside the years"):
        read_bars(path)


@pytest.mark.parametrize("per_second", [1, 1_000, 1_000_000])
def test_units_that_change_within_a_file_are_refused(tmp_path: Path, per_second: int) -> None:
    """Such a file is still in order: the small numbers come first."""
    stamps = [(START + MINUTE * at) // 10**9 * per_second for at in range(2)] + [START + MINUTE * at for at in (2, 3)]
    path = csv(tmp_path, *(f"{stamp},1,2,1,2,5" for stamp in stamps))
    with pytest.raises(DataError, match=f"row 2: ts is {stamps[1]}, another unit"):
        read_bars(path)


def test_unsigned_times_beyond_int64_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "bars.parquet"
    frame().with_columns(pl.col("ts").cast(pl.UInt64) + 2**63).write_parquet(path)
    with pytest.raises(DataError, match=r"row 4: ts is 1092.* outside the years"):
        read_bars(path)


def test_an_empty_symbol_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bars.parquet"
    pl.concat([frame(symbol="A"), frame(symbol=" ")]).write_parquet(path)
    with pytest.raises(DataError, match=r"row 5.*: symbol is empty"):
        read_bars(path)


def test_missing_column_is_named_with_those_present(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no column 'close' .*it has: ts, open, high, low, volume\)"):
        read_bars(csv(tmp_path, "1,2,3,4,5", header="ts,open,high,low,volume"))
    path = tmp_path / "bars.parquet"
    frame().drop("ts").write_parquet(path)
    with pytest.raises(DataError, match="no column 'ts'"):
        read_bars(path)


def test_columns_of_the_wrong_kind(tmp_path: Path) -> None:
    path = tmp_path / "bars.parquet"
    frame().with_columns(close=pl.lit(value=True)).write_parquet(path)
    with pytest.raises(DataError, match="'close' must hold numbers, not Boolean"):
        read_bars(path)
    frame().with_columns(pl.col("ts").cast(pl.Float64)).write_parquet(path)
    with pytest.raises(DataError, match="ts must hold integer ns"):
        read_bars(path)


def test_files_that_are_no_files_of_bars(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        read_bars(tmp_path / "none.csv")
    with pytest.raises(InputError, match="is a folder"):
        read_bars(tmp_path)
    for endless in (tmp_path / "pipe", Path("/dev/zero")):
        if endless.parent == tmp_path:
            os.mkfifo(endless)
        with pytest.raises(InputError, match="a device or a pipe"):
            read_bars(endless)
    empty = tmp_path / "empty.parquet"
    empty.touch()
    with pytest.raises(DataError, match="is empty"):
        read_bars(empty)
    with pytest.raises(DataError, match="holds no bars"):
        read_bars(csv(tmp_path))
    frame(0).write_parquet(empty)
    with pytest.raises(DataError, match="holds no bars"):
        read_bars(empty)
    noise = tmp_path / "noise.csv"
    noise.write_bytes(np.random.default_rng(1).bytes(5000))
    with pytest.raises(DataError):
        read_bars(noise)


@pytest.mark.parametrize("share", [0.02, 0.5, 0.9, 0.999])
def test_truncated_files_are_refused(tmp_path: Path, share: float) -> None:
    whole = tmp_path / "whole.parquet"
    frame(500).write_parquet(whole)
    packed = gzip.compress(frame(500).write_csv().encode())
    for name, content in (("cut.parquet", whole.read_bytes()), ("cut.csv.gz", packed)):
        cut = tmp_path / name
        cut.write_bytes(content[: int(len(content) * share)])
        with pytest.raises(DataError, match="is not a whole") as caught:
            read_bars(cut)
        assert "\n" not in str(caught.value)


def test_damaged_bytes_never_pass_for_bars(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(frame(500).write_csv().encode()))
    packed[len(packed) // 2] ^= 0xFF
    path = tmp_path / "bars.csv.gz"
    path.write_bytes(packed)
    with pytest.raises(DataError):
        read_bars(path)


def test_gzip_and_blank_lines_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "bars.csv.gz"
    path.write_bytes(gzip.compress(frame().write_csv().encode() + b"\n\n"))
    assert len(read_bars(path)[0]) == 4


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 50), min_size=1, max_size=40))
def test_most_frequent_is_the_mode(steps: list[int]) -> None:
    best = max(steps.count(step) for step in steps)
    assert most_frequent(np.array(steps)) == min(step for step in steps if steps.count(step) == best)


def test_real_files_have_the_rows_and_holes_their_manifest_states(market_data: Path) -> None:
    bars, instruments = read_bars(market_data / "binance_spot_15m_staticklines.parquet")
    assert len(bars) == 233_365
    assert [instrument.symbol for instrument in instruments] == ["BTCUSDT", "DOGEUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT"]
    assert count_holes(bars) == 0
    assert count_holes(read_bars(market_data / "binance_spot_1h_staticklines.parquet")[0]) == 5
    assert count_holes(read_bars(market_data / "binance_spot_4h_staticklines.parquet")[0]) == 43


def test_real_nulls_are_refused(market_data: Path) -> None:
    with pytest.raises(DataError, match=r"row \d+ .* is (nan|empty)"):
        read_bars(market_data / "equity_daily_stocknet.parquet")
