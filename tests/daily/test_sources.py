"""Where daily history comes from: files, candles of a venue, ccxt."""

from __future__ import annotations

import asyncio
import datetime
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import polars as pl
import pytest

from quantlytic.daily.calendar import DAY_NS, label_ns
from quantlytic.daily.sources.ccxtdaily import CcxtDaily
from quantlytic.daily.sources.choose import source_of
from quantlytic.daily.sources.files import FilesSource
from quantlytic.daily.sources.klines import KlinesDaily
from quantlytic.model.errors import DataError, InputError, VenueError
from quantlytic.venues.binance.market import spot
from quantlytic.venues.exchange.config import ExchangeConfig
from quantlytic.venues.exchange.server import ExchangeServer

DATE = datetime.date
FIRST, LAST = DATE(2025, 11, 3), DATE(2025, 11, 7)


def table(days: int = 5, **columns: Any) -> pl.DataFrame:
    dates = [FIRST + datetime.timedelta(days=k) for k in range(days)]
    prices = {name: [10.0 + k for k in range(days)] for name in ("open", "high", "low", "close")}
    return pl.DataFrame({"ts": dates, **prices, "volume": [5.0] * days, **columns})


# ---- files


def test_parquet_and_csv_by_symbol_and_by_name(tmp_path: Path) -> None:
    (tmp_path / "binance").mkdir()
    table(symbol=["AAPL"] * 5).write_parquet(tmp_path / "stocks.parquet")
    table().write_csv(tmp_path / "binance" / "BTCUSDT.csv")
    source = FilesSource(tmp_path)
    assert source.symbols() == ["AAPL", "binance:BTCUSDT"]
    found = source.history("usa:AAPL", DATE(2025, 11, 4), DATE(2025, 11, 6))
    assert found.rows["time"].tolist() == [label_ns(DATE(2025, 11, day)) for day in (4, 5, 6)]
    assert np.isnan(found.rows["adj_close"]).all()
    assert len(source.history("binance:BTCUSDT", FIRST, LAST).rows) == 5
    with pytest.raises(InputError, match=r"no file in .* has usa:BTCUSDT"):
        source.history("usa:BTCUSDT", FIRST, LAST)


def test_a_history_as_yfinance_writes_it(market_data: Path, tmp_path: Path) -> None:
    (tmp_path / "4063.csv").write_bytes(
        (market_data / "dirty_daily_yfinance" / "4063-T-1d-bad-stock-split.csv").read_bytes()
    )
    found = FilesSource(tmp_path, "JPY").history("yahoo:4063", DATE(2023, 3, 1), DATE(2023, 4, 30))
    assert found.rows["time"][0] == label_ns(DATE(2023, 3, 15))  # the exchange's own date
    split = found.rows[found.rows["split"] > 0.0]
    assert split[["time", "split", "dividend"]].tolist() == [(label_ns(DATE(2023, 3, 30)), 5.0, 55.0)]
    early = FilesSource(tmp_path).history("yahoo:4063", DATE(2023, 3, 1), DATE(2023, 3, 20))
    assert early.later_split == 5.0


def test_dividends_that_adjusted_closes_imply(tmp_path: Path) -> None:
    frame = table(symbol=["AAPL"] * 5)
    adjusted = frame["close"].to_numpy() * np.array([0.99, 0.99, 0.99, 1.0, 1.0])
    frame.with_columns(adj_close=pl.Series(adjusted)).write_parquet(tmp_path / "a.parquet")
    rows = FilesSource(tmp_path).history("usa:AAPL", FIRST, LAST).rows
    assert np.allclose(rows["dividend"], [0.0, 0.0, 0.0, 0.12, 0.0])


def test_raw_files_say_so_in_their_name(tmp_path: Path) -> None:
    table(symbol=["AAPL"] * 5, split_ratio=[1.0, 1.0, 2.0, 1.0, 1.0]).write_parquet(tmp_path / "prices_raw.parquet")
    found = FilesSource(tmp_path).history("usa:AAPL", FIRST, LAST)
    assert (found.basis, found.rows["split"].tolist()) == ("raw", [0.0, 0.0, 2.0, 0.0, 0.0])


def test_files_that_cannot_be_used_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no folder"):
        FilesSource(tmp_path / "none")
    table(symbol=["AAPL"] * 5).write_parquet(tmp_path / "a.parquet")
    table(symbol=["AAPL"] * 5).write_parquet(tmp_path / "b.parquet")
    with pytest.raises(InputError, match=r"is in several files \(a.parquet, b.parquet\)"):
        FilesSource(tmp_path).history("usa:AAPL", FIRST, LAST)
    (tmp_path / "b.parquet").write_bytes(b"no parquet")
    with pytest.raises(DataError, match=r"b\.parquet cannot be read"):
        FilesSource(tmp_path).history("usa:AAPL", FIRST, LAST)
    (tmp_path / "b.parquet").unlink()
    pl.DataFrame({"ts": [1], "close": [2.0]}).write_csv(tmp_path / "c.csv")
    with pytest.raises(DataError, match=r"c\.csv has no column 'open'"):
        FilesSource(tmp_path).history("usa:AAPL", FIRST, LAST)


# ---- candles


@contextmanager
def binance(candles: list[list[Any]], body: bytes = b"") -> Iterator[str]:
    """A server that has these candles; pages of at most 1,000, as Binance gives them."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            query = parse_qs(urlsplit(self.path).query)
            first, last, limit = (int(query[name][0]) for name in ("startTime", "endTime", "limit"))
            page = [one for one in candles if first <= one[0] <= last][:limit]
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body or json.dumps(page).encode())

        def log_message(self, *_args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def candle(day: DATE) -> list[Any]:
    opens = label_ns(day) // 10**6
    return [opens, "1.5", "2", "1", "1.75", "10", opens + DAY_NS // 10**6 - 1, "15", 7, "5", "7", "0"]


def test_more_days_than_a_page_holds() -> None:
    days = [DATE(2020, 1, 1) + datetime.timedelta(days=k) for k in range(2300)]
    with binance([candle(day) for day in days]) as url:
        found = KlinesDaily(spot("binance", url)).history("binance:BTCUSDT", days[0], days[-2])
    assert found.rows["time"].tolist() == [label_ns(day) for day in days[:-1]]
    assert found.rows[["open", "high", "low", "close", "volume"]][0].tolist() == (1.5, 2.0, 1.0, 1.75, 10.0)


def test_an_answer_that_is_no_candles() -> None:
    with (
        binance([], b"<html>maintenance</html>") as url,
        pytest.raises(VenueError, match="something that is no candles"),
    ):
        KlinesDaily(spot("binance", url)).history("binance:BTCUSDT", FIRST, LAST)


def test_the_exchange_in_a_box() -> None:
    today = datetime.datetime.now(datetime.UTC).date()
    with ExchangeServer(ExchangeConfig(port=0)) as server:
        source = source_of("venue", cache=Path(), equities=["usa"], rest_urls={"box": server.rest_url})("box:BTCUSDT")
        until_s = time.monotonic() + 20.0
        while not len(found := source.history("box:BTCUSDT", today, today + datetime.timedelta(days=1)).rows):
            assert time.monotonic() < until_s, "no trade in 20 s"
            time.sleep(0.1)
        assert found["close"][-1] > 0.0
        with pytest.raises(InputError, match="box has no symbol 'NOPE'"):
            source.history("box:NOPE", today, today)


class Exchange:
    """What `CcxtDaily` needs of ccxt's exchange: three rows a page, a day that has no price."""

    id = "kraken"

    def __init__(self) -> None:
        self.days = [DATE(2025, 11, 1) + datetime.timedelta(days=k) for k in range(10)]

    async def fetch_ohlcv(self, symbol: str, _size: str, since: int, limit: int) -> list[list[Any]]:
        import ccxt

        await asyncio.sleep(0)
        if symbol != "BTC/USD":
            raise ccxt.BadSymbol(f"kraken does not have market symbol {symbol}")
        rows = [[label_ns(day) // 10**6, 1.0, 2.0, 0.5, None if day.day == 5 else 1.5, 9.0] for day in self.days]
        return [row for row in rows if row[0] >= since][:3]


def test_ccxt_page_by_page() -> None:
    found = CcxtDaily(Exchange()).history("kraken:BTC/USD", FIRST, LAST)
    assert found.rows["time"].tolist() == [label_ns(DATE(2025, 11, day)) for day in (3, 4, 5, 6, 7)]
    assert np.isnan(found.rows["close"][2])
    with pytest.raises(InputError, match="kraken has no daily candles of 'X/Y'"):
        CcxtDaily(Exchange()).history("kraken:X/Y", FIRST, LAST)


def test_the_choice_of_a_source(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'bloomberg' is no source"):
        source_of("bloomberg", cache=tmp_path, equities=["usa"])
    with pytest.raises(InputError, match="usa gives no daily history itself"):
        source_of("venue", cache=tmp_path, equities=["usa"])("usa:AAPL")
    auto = source_of("auto", cache=tmp_path, equities=["usa", "yahoo"])
    assert (auto("usa:AAPL").name, auto("binance:BTCUSDT").name, auto("kraken:BTC/USD").name) == (
        "Yahoo",
        "binance",
        "kraken",
    )
    assert auto("usa:MSFT") is auto("yahoo:VOD.L")
    assert source_of("yahoo", cache=tmp_path, equities=["usa"])("binance:BTC-USD").name == "Yahoo"
