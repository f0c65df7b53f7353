"""yfinance itself, unmodified, against a server that speaks Yahoo's chart API."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from tests.venues.yahoo.chart_server import Charts, serving, session_to

from quantlytic.model.errors import InputError, VenueError
from quantlytic.venues.yahoo.daily import YahooDaily

DATE = datetime.date
NEW_YORK = "America/New_York"


def chart(
    zone: str, days: list[DATE], closes: list[float | None], events: dict[str, Any], currency: str = "USD"
) -> dict[str, Any]:
    """A chart of sessions that open at 9:30 local time, as Yahoo stamps them."""
    times = [int(datetime.datetime.combine(day, datetime.time(9, 30), ZoneInfo(zone)).timestamp()) for day in days]
    volumes = [None if close is None else 1000 for close in closes]
    return {
        "meta": {
            "currency": currency, "symbol": "X", "exchangeName": "NMS", "instrumentType": "EQUITY", "exchangeTimezoneName": zone,
            "timezone": "EST", "gmtoffset": -18000, "regularMarketPrice": closes[-1], "priceHint": 2, "dataGranularity": "1d",
            "regularMarketTime": times[-1], "range": "", "validRanges": ["1d", "5d", "1mo", "max"],
        },
        "timestamp": times,
        "events": events,
        "indicators": {
            "quote": [dict.fromkeys(("open", "high", "low", "close"), closes) | {"volume": volumes}],
            "adjclose": [{"adjclose": closes}],
        },
    }  # fmt: skip


def at(zone: str, day: DATE) -> int:
    return int(datetime.datetime.combine(day, datetime.time(9, 30), ZoneInfo(zone)).timestamp())


@pytest.fixture
def charts() -> Charts:
    return Charts()


@pytest.fixture
def yahoo(charts: Charts, tmp_path: Path) -> Iterator[YahooDaily]:
    from yfinance.data import YfData

    with serving(charts) as port:
        YfData._instances = {}  # its one session for everybody
        YfData.cache_get.cache_clear()
        yield YahooDaily(tmp_path / "cache", session_to(port), timeout_s=5.0)
    YfData._instances = {}


def days_of(rows: Any) -> list[str]:
    return [str(day) for day in rows["time"].astype("datetime64[ns]").astype("datetime64[D]")]


def test_rows_dividends_and_splits(yahoo: YahooDaily, charts: Charts) -> None:
    days = [DATE(2024, 3, 7), DATE(2024, 3, 8), DATE(2024, 3, 11), DATE(2024, 3, 12)]  # summer time began on the 10th
    split = {"date": at(NEW_YORK, days[3]), "numerator": 4, "denominator": 1, "splitRatio": "4:1"}
    paid = {"amount": 0.25, "date": at(NEW_YORK, days[1])}
    events = {"dividends": {"1": paid}, "splits": {"2": split}}
    charts.charts["AAPL"] = chart(NEW_YORK, days, [10.0, 10.5, 11.0, 11.5], events)
    found = yahoo.history("usa:AAPL", days[0], days[3])
    assert days_of(found.rows) == ["2024-03-07", "2024-03-08", "2024-03-11", "2024-03-12"]
    assert found.rows["close"].tolist() == [10.0, 10.5, 11.0, 11.5]
    assert found.rows["dividend"].tolist() == [0.0, 0.25, 0.0, 0.0]
    assert found.rows["split"].tolist() == [0.0, 0.0, 0.0, 4.0]
    assert (found.basis, found.currency, found.later_split) == ("split-adjusted", "USD", 1.0)


def test_a_split_after_the_last_day_is_known(yahoo: YahooDaily, charts: Charts) -> None:
    days = [DATE(2024, 3, 7), DATE(2024, 3, 8), DATE(2024, 3, 11)]
    split = {"date": at(NEW_YORK, days[2]), "numerator": 4, "denominator": 1, "splitRatio": "4:1"}
    charts.charts["AAPL"] = chart(NEW_YORK, days, [10.0, 10.5, 11.0], {"splits": {"2": split}})
    found = yahoo.history("usa:AAPL", days[0], days[1])
    assert days_of(found.rows) == ["2024-03-07", "2024-03-08"]
    assert found.later_split == 4.0


def test_the_date_is_the_exchanges_own(yahoo: YahooDaily, charts: Charts) -> None:
    days = [DATE(2024, 3, 7), DATE(2024, 3, 8)]
    charts.charts["4063.T"] = chart("Asia/Tokyo", days, [4000.0, 4100.0], {}, "JPY")
    charts.charts["VOD.L"] = chart("Europe/London", days, [70.0, 71.0], {}, "GBp")
    assert days_of(yahoo.history("yahoo:4063.T", days[0], days[1]).rows) == ["2024-03-07", "2024-03-08"]
    london = yahoo.history("yahoo:VOD.L", days[0], days[1])
    assert days_of(london.rows) == ["2024-03-07", "2024-03-08"]
    assert london.currency == "GBp"


def test_a_day_without_a_price_stays_one(yahoo: YahooDaily, charts: Charts) -> None:
    days = [DATE(2024, 3, 6), DATE(2024, 3, 7), DATE(2024, 3, 8)]
    charts.charts["AAPL"] = chart(NEW_YORK, days, [10.0, None, 11.0], {})
    found = yahoo.history("usa:AAPL", days[0], days[2])
    assert len(found.rows) == 3
    assert np.isnan(found.rows["close"][1])


def test_an_unknown_symbol_is_told(yahoo: YahooDaily) -> None:
    with pytest.raises(InputError, match=r"Yahoo has no daily history of 'NOPE'"):
        yahoo.history("usa:NOPE", DATE(2024, 3, 7), DATE(2024, 3, 8))


@pytest.mark.parametrize(
    ("status", "body"),
    [(200, b"<html>Will be right back...</html>"), (200, b"{}"), (500, b"oops"), (429, b"Too Many Requests")],
)
def test_trouble_is_told_in_one_line(yahoo: YahooDaily, charts: Charts, status: int, body: bytes) -> None:
    charts.charts["AAPL"] = chart(NEW_YORK, [DATE(2024, 3, 7)], [10.0], {})
    yahoo.history("usa:AAPL", DATE(2024, 3, 7), DATE(2024, 3, 7))  # its time zone is known now
    charts.status, charts.body = status, body
    with pytest.raises((VenueError, InputError)) as caught:
        yahoo.history("usa:AAPL", DATE(2024, 3, 1), DATE(2024, 3, 7))
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, VenueError) or body == b"{}"


def test_nobody_answers(charts: Charts, tmp_path: Path) -> None:
    from yfinance.data import YfData

    with serving(charts) as port:
        pass  # the port is free again
    YfData._instances = {}
    with pytest.raises(VenueError, match="Yahoo cannot be asked for 'MSFT'"):
        YahooDaily(tmp_path / "cache", session_to(port), timeout_s=1.0).history(
            "usa:MSFT", DATE(2024, 3, 7), DATE(2024, 3, 8)
        )
    YfData._instances = {}
