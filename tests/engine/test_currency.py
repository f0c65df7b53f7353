"""Prices in another currency: by stated rates, known at the time, or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.rows import columns

from quantlytic import Bars, Instrument
from quantlytic.engine.data.bars import check_bars
from quantlytic.engine.data.currency import WEEK_NS, Rates, check_one_currency, convert_actions, convert_bars
from quantlytic.model.action import ACTION, ActionKind
from quantlytic.model.errors import DataError, InputError

SAP = Instrument("xetra:SAP", "SAP", "EUR", tick_size=0.01, lot_size=1.0, min_notional=5.0)
EURUSD = Instrument("fx:EURUSD", "EUR", "USD")
DOLLARS = Rates.of("USD", {"EUR": ([0, 10, 20, 30], [1.0, 1.25, 1.5, 2.0])})


def bars_of(instrument: Instrument, *rows: tuple[float, float, float, float], start: int = 0) -> Bars:
    times = start + 10 * np.arange(len(rows))
    o, h, low, c = zip(*rows, strict=True)
    return Bars.of(
        instrument,
        open_time=times,
        close_time=times + 10,
        open=o,
        high=h,
        low=low,
        close=c,
        volume=np.full(len(rows), 7.0),
    )


def test_open_and_close_by_the_rates_of_their_times() -> None:
    found = convert_bars(bars_of(SAP, (100, 110, 90, 104), (104, 104, 80, 84)), DOLLARS)
    row = found.array[0]  # opens at 0 (rate 1), closes at 10 (1.25)
    assert (row["open"], row["high"], row["low"], row["close"]) == (100.0, 130.0, 100.0, 130.0)
    row = found.array[
        1
    ]  # opens at 10 (1.25), closes at 20 (1.5): the high of 104 by the smaller rate, the low of 80 by the larger
    assert (row["open"], row["high"], row["low"], row["close"]) == (130.0, 130.0, 120.0, 126.0)
    assert found.array["volume"].tolist() == [7.0, 7.0]
    assert found.instruments == (Instrument("xetra:SAP", "SAP", "USD", lot_size=1.0),)
    assert found.label == "in USD"


def test_own_currency_is_left_alone() -> None:
    own = bars_of(Instrument("nyse:X", "X", "USD", tick_size=0.01), (10, 11, 9, 10))
    both = Bars.merge([own, bars_of(SAP, (100, 100, 100, 100))])
    found = convert_bars(both, DOLLARS)
    assert columns(found.array[:1]) == columns(both.array[:1])
    assert found.instruments[0] == own.instruments[0]
    assert found.array[1]["close"] == 125.0


def test_a_rate_is_known_when_its_bar_has_closed_and_not_before() -> None:
    pair = bars_of(EURUSD, (1.0, 1.3, 0.9, 1.2), (1.2, 1.4, 1.1, 1.4))  # close at 10 and 20
    assert Rates.from_bars("USD", pair).at("EUR", [10, 19, 20]).tolist() == [1.2, 1.2, 1.4]
    np.testing.assert_allclose(Rates.from_bars("EUR", pair).at("USD", [10, 20]), [1 / 1.2, 1 / 1.4])
    with pytest.raises(DataError, match="no rate of EUR in USD at 1970-01-01T00:00:00"):
        Rates.from_bars("USD", pair).at("EUR", [10, 9])


def test_an_old_rate_is_no_rate() -> None:
    assert DOLLARS.at("EUR", [30 + WEEK_NS]).tolist() == [2.0]
    with pytest.raises(DataError, match="nor 604,800 s before"):
        DOLLARS.at("EUR", [31 + WEEK_NS])


def test_dividends_by_the_rate_of_their_time() -> None:
    rows = [(0, 15, ActionKind.DIVIDEND, 2.0), (0, 15, ActionKind.SPLIT, 2.0), (1, 25, ActionKind.DIVIDEND, 3.0)]
    rows += [(0, 30, ActionKind.DELISTING, np.nan), (0, 30, ActionKind.DELISTING, 8.0)]
    found = convert_actions(np.array(rows, ACTION), (SAP, Instrument("nyse:X", "X", "USD")), DOLLARS)
    np.testing.assert_array_equal(found["value"], [2.5, 2.0, 3.0, np.nan, 16.0])


def test_nothing_is_implicit() -> None:
    yen = bars_of(Instrument("tse:7203", "7203", "JPY"), (10, 10, 10, 10))
    with pytest.raises(InputError, match="no rate of JPY in USD"):
        convert_bars(yen, DOLLARS)
    with pytest.raises(InputError, match="no rate of an unnamed currency in USD"):
        convert_bars(bars_of(Instrument("file:X"), (10, 10, 10, 10)), DOLLARS)
    with pytest.raises(InputError, match="SAP in EUR, tse:7203 in JPY; convert them"):
        check_one_currency([SAP, yen.instruments[0], Instrument("file:X")])
    check_one_currency([SAP, SAP, Instrument("file:X")])
    with pytest.raises(InputError, match="are no rate in JPY"):
        Rates.from_bars("JPY", bars_of(EURUSD, (1, 1, 1, 1)))
    with pytest.raises(InputError, match="rates of EUR in USD already"):
        Rates.from_bars(
            "USD", bars_of(EURUSD, (1, 1, 1, 1)), bars_of(Instrument("b:USDEUR", "USD", "EUR"), (1, 1, 1, 1))
        )
    with pytest.raises(InputError, match="need the currency of the account"):
        Rates.of("", {})


@pytest.mark.parametrize(
    ("times", "values", "what"),
    [
        ([0, 1], [1.0, 0.0], "row 1 .* is 0, not above 0"),
        ([0, 1], [1.0, np.nan], "row 1 .* is nan, not above 0"),
        ([0, 1], [np.inf, 1.0], "row 0 .* is inf, not above 0"),
        ([0, 0], [1.0, 1.0], "row 1 .* is not after the one before"),
        ([0], [1.0, 1.0], "must be as many"),
        ([], [], "at least one"),
    ],
)
def test_rates_that_cannot_be(times: list[int], values: list[float], what: str) -> None:
    with pytest.raises(DataError, match=what):
        Rates.of("USD", {"EUR": (times, values)})


@given(st.lists(st.tuples(st.floats(0.5, 2.0), st.floats(50, 150), st.floats(0.8, 1.2)), min_size=1, max_size=20))
def test_converted_bars_are_bars_and_returns_multiply(rows: list[tuple[float, float, float]]) -> None:
    rates = Rates.of("USD", {"EUR": (np.arange(len(rows) + 1) * 10, [1.0, *(rate for rate, _, _ in rows)])})
    raw = bars_of(SAP, *((p, max(p, p * f) * 1.01, min(p, p * f) * 0.99, p * f) for _, p, f in rows))
    found = convert_bars(raw, rates)
    check_bars(found.array, found.instruments)
    np.testing.assert_allclose(found.array["close"], raw.array["close"] * [rate for rate, _, _ in rows], rtol=1e-15)


def test_real_rates(market_data: Path) -> None:
    """EURGBP must be what EURUSD and GBPUSD say, to a tenth of a percent or so: converting is right way round."""
    frame = pl.read_parquet(market_data / "fx_daily_oanda_lean.parquet").with_columns(
        ((pl.col("bid_close") + pl.col("ask_close")) / 2).alias("mid"), pl.col("ts").dt.epoch("ns").alias("ns")
    )

    def pair(name: str) -> Bars:
        rows = frame.filter(pl.col("symbol") == name).unique("ns").sort("ns")
        flat, day = rows["mid"].to_numpy(), 86_400_000_000_000
        times = rows["ns"].to_numpy()
        prices = {"open": flat, "high": flat, "low": flat, "close": flat, "volume": np.ones(len(flat))}
        return Bars.of(
            Instrument(f"oanda:{name}", name[:3], name[3:]), open_time=times, close_time=times + day, **prices
        )

    pounds = Rates.from_bars("GBP", pair("EURGBP"), pair("GBPUSD"))
    times = pair("EURUSD").array["close_time"][10:-10]
    dollars_for_a_euro = pounds.at("EUR", times) / pounds.at("USD", times)
    direct = Rates.from_bars("USD", pair("EURUSD")).at("EUR", times)
    assert np.median(np.abs(dollars_for_a_euro / direct - 1)) < 1e-3


def test_a_session_has_one_currency() -> None:
    from quantlytic import Session
    from quantlytic.strategies.buy_and_hold import BuyAndHold

    with pytest.raises(InputError, match="one account has one currency, and these have several: xetra:SAP in EUR"):
        Session(BuyAndHold(), [SAP, Instrument("nyse:X", "X", "USD")], 1e6, compiled=False)
    converted = convert_bars(bars_of(SAP, (100, 110, 90, 104)), DOLLARS)
    Session(BuyAndHold(), [*converted.instruments, Instrument("nyse:X", "X", "USD")], 1e6, compiled=False)
