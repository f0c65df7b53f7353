"""Real companies in LEAN's formats: the right rows, the right actions, the adjusted returns that Yahoo has."""

from __future__ import annotations

import zipfile
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from quantlytic.model.action import ActionKind
from quantlytic.model.errors import DataError, InputError
from quantlytic.model.time import iso
from quantlytic.research.data.equities import Equity, load_equities, load_equity
from quantlytic.store.equities.factorfile import read_factors

# Days on which adjusted returns differ from Yahoo's by more than 1 %: none. GOOG: see below.
UNEQUAL_DAYS: dict[str, list[str]] = {"AAPL": [], "BAC": []}
KNOWN_SPLITS = {
    "AAPL": [("2000-06-21", 2.0), ("2005-02-28", 2.0), ("2014-06-09", 7.0), ("2020-08-31", 4.0)],
    "BAC": [("2004-08-30", 2.0)],
    "IBM": [("1999-05-27", 2.0)],
    "QQQ": [("2000-03-20", 2.0)],
    "EEM": [("2005-06-09", 3.0), ("2008-07-24", 3.0)],
}


def dates_of(equity: Equity) -> list[date]:
    return list(equity.bars.array["open_time"].astype("datetime64[ns]").astype("datetime64[D]").tolist())


@pytest.mark.parametrize("ticker", UNEQUAL_DAYS)
def test_adjusted_returns_are_yahoos(market_data: Path, ticker: str) -> None:
    equity = load_equity(market_data, ticker)
    ours = pl.DataFrame({"date": dates_of(equity), "ours": equity.adjusted.array["close"]})
    yahoo = pl.read_parquet(market_data / "equity_daily_stocknet.parquet").filter(pl.col("symbol") == ticker)
    both = ours.join(yahoo.select(date=pl.col("ts").dt.date(), yahoo="adj_close"), on="date").sort("date")
    assert both.height == 1258
    step = both.with_columns((pl.col("ours").pct_change() - pl.col("yahoo").pct_change()).abs().alias("difference"))
    assert [str(day) for day in step.filter(pl.col("difference") > 0.01)["date"]] == UNEQUAL_DAYS[ticker]
    assert both.select((pl.col("ours") / pl.col("yahoo")).log().std()).item() < 0.002


def test_adjusted_closes_of_goog_are_yahoos(market_data: Path) -> None:
    """Single days, copied from stocknet-dataset's GOOG.csv (MIT), which is not in the file: one ratio, before the stock
    dividend of 2015-04-27 as at the start; Yahoo's has another last digit of that dividend."""
    yahoo = {
        "2014-04-03": 568.180054, "2014-04-04": 541.652893, "2014-04-07": 536.676575, "2014-05-05": 526.364868,
        "2014-05-06": 513.729553, "2014-10-16": 523.073914, "2014-10-17": 509.770416, "2014-12-15": 512.393250,
        "2014-12-16": 494.033630, "2015-01-28": 508.603638, "2015-01-29": 509.261810,
    }  # fmt: skip
    equity = load_equity(market_data, "GOOG")
    rows = np.searchsorted([str(day) for day in dates_of(equity)], list(yahoo))
    ratio = equity.adjusted.array["close"][rows] / np.array(list(yahoo.values()))
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-6)
    assert abs(ratio[0] - 1) < 1e-4


@pytest.mark.parametrize("ticker", KNOWN_SPLITS)
def test_splits_are_whole_and_on_their_ex_dates(market_data: Path, ticker: str) -> None:
    equity = load_equity(market_data, ticker)
    splits = equity.actions[equity.actions["kind"] == ActionKind.SPLIT]
    assert [(iso(row["event_time"])[:10], row["value"]) for row in splits] == KNOWN_SPLITS[ticker]
    times = equity.bars.array["close_time"]
    for row in splits:  # the last close before and the first open after, in new units, are a few percent apart
        after = int(np.searchsorted(times, row["event_time"]))
        before = equity.bars.array["close"][after - 1] / row["value"]
        assert abs(equity.bars.array["open"][after] / before - 1) < 0.1


def test_dividends_are_what_was_paid(market_data: Path) -> None:
    equity = load_equity(market_data, "AAPL")
    paid = equity.actions[equity.actions["kind"] == ActionKind.DIVIDEND]
    rows = [(iso(row["event_time"])[:10], round(float(row["value"]), 2)) for row in paid]
    assert rows[:2] == [("2012-08-09", 2.65), ("2012-11-07", 2.65)]
    assert ("2014-08-07", 0.47) in rows
    assert rows[-1] == ("2021-02-05", 0.2) or rows[-1] == ("2021-02-05", 0.21)
    assert len(rows) == 35
    assert (np.diff(equity.actions["event_time"]) >= 0).all()


@pytest.mark.parametrize("ticker", ["AAPL", "BAC", "GOOG", "IBM", "SPY", "EEM", "WM", "AAA.1"])
def test_actions_say_what_the_factors_say(market_data: Path, ticker: str) -> None:
    equity = load_equity(market_data, ticker)
    factors = read_factors(market_data, equity.company.name)
    assert factors is not None
    price, split = factors.on(np.array(dates_of(equity), "datetime64[D]"))
    lean = equity.bars.array["close"] * price * split
    ours = equity.adjusted.array["close"]
    np.testing.assert_allclose(ours / ours[-1], lean / lean[-1], rtol=1e-5)  # factors have seven digits


@pytest.mark.parametrize(
    ("ticker", "name", "first", "last", "bars"),
    [
        ("GOOG", "GOOG", "2014-04-03", "2021-03-31", 1761),  # earlier rows are of what is GOOGL now
        ("GOOCV", "GOOG", "2014-04-03", "2021-03-31", 1761),
        ("BAC", "BAC", "1998-10-01", "2021-03-31", 5661),  # before, it was NB, and BAC another bank
        ("WM", "WM", "2009-08-05", "2021-03-31", 2934),  # before, it was WMI, and WM was Washington Mutual
        ("EEM", "EEM", "2003-04-14", "2021-03-31", 4523),
        ("AAA.1", "AAA.1", "2002-05-22", "2007-05-18", 1230),
        ("AAA", "AAA", "2020-09-09", "2021-03-31", 141),
    ],
)
def test_no_row_of_another_company(market_data: Path, ticker: str, name: str, first: str, last: str, bars: int) -> None:
    equity = load_equity(market_data, ticker)
    days = dates_of(equity)
    assert equity.company.name == name
    assert equity.bars.instruments[0].id == f"usa:{name}"
    assert str(days[-1]) == last
    assert len(days) == bars
    assert abs((days[0] - date.fromisoformat(first)).days) <= 4
    assert not any("the factor file has a close" in note for note in equity.notes)  # its closes are this company's


def test_what_is_missing_or_left_out_is_said(market_data: Path) -> None:
    assert load_equity(market_data, "AAPL").notes == ()
    assert load_equity(market_data, "GOOG").notes == (
        "no bars of GOOCV, its ticker from 2014-03-27 to 2014-04-02",
        "2,422 bars of GOOG left out: they are of days when it was another company's ticker",
    )
    with pytest.raises(DataError, match="has no bars of TWX: no bars of AOL"):
        load_equity(market_data, "TWX")


def test_hours_follow_a_company_over_its_tickers(market_data: Path) -> None:
    sunpower = load_equity(market_data, "SPWRA", "1h")
    assert sunpower.company.name == "SPWR"
    assert [(one.ticker, str(one.last)) for one in sunpower.company.listings] == [
        ("SPWR", "2008-09-29"), ("SPWRA", "2011-11-16"), ("SPWR", "2050-12-31"),
    ]  # fmt: skip
    source = pl.read_parquet(market_data / "equity_hour_lean.parquet").filter(pl.col("symbol").is_in(["SPWR", "SPWRA"]))
    assert 0 < len(sunpower.bars) <= source.height
    assert (np.diff(sunpower.bars.array["open_time"]) > 0).all()


def test_a_delisting_comes_the_day_after(market_data: Path) -> None:
    old = load_equity(market_data, "AAA.1")
    last = old.actions[-1]
    assert (last["kind"], iso(last["event_time"])) == (ActionKind.DELISTING, "2007-05-19T04:00:00.000000Z")
    assert np.isnan(last["value"])
    assert last["event_time"] > old.bars.array["close_time"][-1]


def test_daily_bars_have_the_hours_of_the_exchange(market_data: Path) -> None:
    array = load_equity(market_data, "SPY").bars.array
    assert (iso(array["open_time"][0]), iso(array["close_time"][0])) == (
        "1998-01-02T14:30:00.000000Z", "1998-01-02T21:00:00.000000Z",
    )  # fmt: skip
    summer = array[np.searchsorted(array["open_time"], np.datetime64("2020-07-01", "ns").astype("i8"))]
    assert iso(summer["open_time"]) == "2020-07-01T13:30:00.000000Z"


def test_several_companies_are_one_stream(market_data: Path) -> None:
    both = load_equities(market_data, ["AAPL", "GOOG"])
    assert [one.id for one in both.bars.instruments] == ["usa:AAPL", "usa:GOOG"]
    assert (np.diff(both.actions["event_time"]) >= 0).all()
    assert np.bincount(both.actions["instrument"]).tolist() == [39, 1]
    assert both.notes[0].startswith("GOOG: no bars of GOOCV")


def test_leans_own_files_give_the_same(market_data: Path, tmp_path: Path) -> None:
    """AAPL's rows written as LEAN has them: CSV map and factor files, prices times 10,000 in a zip."""
    source = load_equity(market_data, "AAPL")
    for kind, key, names in (
        ("factor_files", "symbol", ["date", "price_factor", "split_factor", "reference_price"]),
        ("map_files", "map_file", ["date", "mapped_ticker", "exchange"]),
    ):
        (tmp_path / kind).mkdir()
        frame = pl.read_parquet(market_data / f"lean_{kind}.parquet").filter(pl.col(key) == "AAPL").select(names)
        frame.write_csv(tmp_path / kind / "aapl.csv", include_header=False)
    (tmp_path / "daily").mkdir()
    daily = pl.read_parquet(market_data / "equity_daily_lean.parquet").filter(pl.col("symbol") == "AAPL")
    scaled = daily.select(
        pl.col("ts").dt.strftime("%Y%m%d 00:00"),
        *((pl.col(name) * 10_000).round().cast(pl.Int64) for name in ("open", "high", "low", "close")),
        "volume",
    )
    with zipfile.ZipFile(tmp_path / "daily" / "aapl.zip", "w") as archive:
        archive.writestr("aapl.csv", scaled.write_csv(include_header=False))
    copy = load_equity(tmp_path, "aapl")
    for name in source.bars.array.dtype.names or ():
        np.testing.assert_allclose(copy.bars.array[name], source.bars.array[name], rtol=1e-15)
    for name in source.actions.dtype.names or ():
        np.testing.assert_allclose(copy.actions[name], source.actions[name], rtol=1e-15)


def test_bad_requests_are_told_in_one_line(market_data: Path, tmp_path: Path) -> None:
    for ticker, what in (("NOSUCH", "is or was called NOSUCH"), ("../x", "not the name"), ("NWSA2", "called NWSA2")):
        with pytest.raises(InputError, match=what):
            load_equity(market_data, ticker)
    with pytest.raises(InputError, match="a ticker alone names no company"):
        load_equity(tmp_path, "AAPL")
    with pytest.raises(InputError, match="no equity bars of size '5m'"):
        load_equity(market_data, "AAPL", "5m")


@pytest.mark.parametrize(
    ("rows", "what"),
    [
        ("20140101,1,1,10\n20130101,1,1,10\n", "not in the order of their dates"),
        ("20140101,1,1,10\n20140101,1,1,10\n", "not in the order of their dates"),
        ("someday,1,1,10\n", "does not begin with a date"),
        ("20140101,0,1,10\n20501231,1,1,0\n", "price_factor on 2014-01-01 is not a number above 0"),
        ("20140101,1,x,10\n20501231,1,1,0\n", "split_factor on 2014-01-01 is not a number above 0"),
    ],
)
def test_damaged_factor_files(tmp_path: Path, rows: str, what: str) -> None:
    (tmp_path / "factor_files").mkdir()
    (tmp_path / "factor_files" / "abc.csv").write_text(rows)
    with pytest.raises(DataError, match=what):
        read_factors(tmp_path, "ABC")


def test_an_ambiguous_ticker_is_refused(tmp_path: Path) -> None:
    (tmp_path / "map_files").mkdir()
    (tmp_path / "map_files" / "one.csv").write_text("19980102,old\n20050101,old\n20501231,one\n")
    (tmp_path / "map_files" / "two.csv").write_text("20060102,old\n20100101,old\n20501231,two\n")
    with pytest.raises(InputError, match="OLD was the ticker of several companies: name one of ONE, TWO"):
        load_equity(tmp_path, "OLD")
