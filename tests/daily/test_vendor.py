"""The rules for vendors' errors: yfinance's own collection of real ones, clean data, and errors made on purpose."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.daily.yahoo_csv import read_yahoo_csv
from tests.rows import columns

from quantlytic.daily.vendor import RULES, judged
from quantlytic.venues.daily import DAILY

DAY_NS = 86_400_000_000_000
PAYOUTS = ("dividend-double", "dividend-unit", "capital-gain", "dividend-factor")
# What a file's name says is wrong with it -> the rules that are about it. As in yfinance's own tests, a case is about one error:
# some files hold others besides, which its expected repair leaves alone.
KINDS = {
    "100x-error": ("unit",),
    "bad-unit": ("unit",),
    "bad-stock-split": ("split",),
    "bad-div": PAYOUTS,
    "missing-div-adjust": PAYOUTS,
    "cg-double-count": ("capital-gain",),
    "no-bad-divs": PAYOUTS,
}
# Refused, each for a reason that can be read: the expected repair is a guess, or worse.
REFUSED = {
    "AV-L-1wk-bad-stock-split": "rows of more than a day cannot be judged",
    "KME-MI-1d-bad-div": "the price did not fall by the dividend of 0.21723, 22% of it",  # paid to another share class
    "SCR-TO-1d-bad-div": "the price did not fall by the dividend of 0.441, 15% of it",  # prices before a merger, 14.7 times off
}
# Repaired further than expected: adjusted closes, up to these rows, differ from the expected ones by no more than this share.
FURTHER = {
    "SAND-1d-bad-div": (510, 0.0033),  # the phantom's step is taken out of the adjusted closes, too
    "SSNLF-1d-bad-div": (2066, 0.0003),  # two dividends of a year without prices are allowed for, too
}


def cases() -> list[str]:
    folder = Path(__file__).resolve().parents[3] / "shared" / "data" / "dirty_daily_yfinance"
    return sorted(path.stem for path in folder.glob("*.csv") if "-fixed" not in path.stem)


def currency_of(case: str) -> str:
    return "GBp" if "-L-" in case else "USD"


def rules_of(case: str) -> tuple[str, ...]:
    return next(rules for kind, rules in KINDS.items() if case.endswith(kind))


def different(one: NDArray[Any], other: NDArray[Any], name: str) -> NDArray[np.bool_]:
    """Rows whose values differ by more than the rounding of the collection's files. Volumes are not kept by all of them."""
    if name == "volume":
        told = np.isfinite(one[name]) & np.isfinite(other[name])
        return told & ~np.isclose(one[name], other[name], rtol=1e-4, atol=0.6)
    return ~np.isclose(one[name], other[name], rtol=5e-5 if name == "adj_close" else 1e-6, equal_nan=True)


@pytest.mark.parametrize("case", cases())
def test_a_real_error_is_repaired_as_expected_or_refused(case: str, market_data: Path) -> None:
    folder = market_data / "dirty_daily_yfinance"
    rows = read_yahoo_csv(folder / f"{case}.csv")
    path = folder / f"{case}-fixed.csv"
    expected = read_yahoo_csv(path) if path.exists() else rows
    before = rows.copy()
    found = judged(rows, currency_of(case), rules_of(case))
    assert columns(rows) == columns(before)
    if case in REFUSED:
        assert found.repairs == ()
        assert any(REFUSED[case] in doubt.reason for doubt in found.doubts)
        assert columns(found.rows) == columns(rows)
        return
    for name in DAILY.names or ():
        off = different(found.rows, expected, name)
        if name == "adj_close" and case in FURTHER:
            last, share = FURTHER[case]
            assert not off[last:].any()
            there = np.isfinite(expected[name][:last])
            assert np.abs(found.rows[name][:last][there] / expected[name][:last][there] - 1.0).max() <= share
            continue
        assert not off.any(), f"{name} of {int(off.sum())} rows from row {int(np.argmax(off))} on"
    assert bool(found.repairs) == path.exists()
    assert found.doubts == ()
    for repair in found.repairs:
        assert repair.reason
        assert repair.first <= repair.last


@pytest.mark.parametrize("case", cases())
def test_what_was_repaired_needs_no_repair(case: str, market_data: Path) -> None:
    rows = read_yahoo_csv(market_data / "dirty_daily_yfinance" / f"{case}.csv")
    once = judged(rows, currency_of(case))
    twice = judged(once.rows, currency_of(case))
    assert twice.repairs == ()
    assert columns(twice.rows) == columns(once.rows)


def history(frame: pl.DataFrame, **names: str) -> NDArray[Any]:
    rows = np.zeros(frame.height, DAILY)
    rows["time"] = frame["ts"].cast(pl.Datetime("ns")).to_physical().to_numpy()
    rows["adj_close"] = np.nan
    for name in ("open", "high", "low", "close", "volume"):
        rows[name] = frame[name].cast(pl.Float64).fill_null(np.nan).to_numpy()
    for name, column in names.items():
        rows[name] = frame[column].to_numpy()
    return rows


def with_implied_dividends(rows: NDArray[Any]) -> NDArray[Any]:
    factor = rows["adj_close"] / rows["close"]
    share = 1.0 - factor[:-1] / factor[1:]
    rows["dividend"][1:] = np.where(share > 5e-4, rows["close"][:-1] * share, 0.0)
    return rows


@pytest.mark.parametrize("currency", ["USD", "GBp"])
def test_clean_data_is_left_alone(market_data: Path, currency: str) -> None:
    """72,704 rows of 59 companies with their dividends, 13,853 of crypto: no repair, no doubt."""
    stocks = pl.read_parquet(market_data / "equity_daily_stocknet.parquet").sort("symbol", "ts")
    crypto = pl.read_parquet(market_data / "binance_spot_1d_staticklines.parquet").sort("symbol", "ts")
    series = [
        (symbol, with_implied_dividends(history(own, adj_close="adj_close")))
        for (symbol,), own in stocks.group_by("symbol")
    ]
    series += [(symbol, history(own)) for (symbol,), own in crypto.group_by("symbol")]
    for symbol, rows in series:
        found = judged(rows, currency)
        assert (found.repairs, found.doubts) == ((), ()), symbol


def test_splits_of_raw_prices_that_were_adjusted_are_left_alone(market_data: Path) -> None:
    """Apple's 7:1 of 2014 as Yahoo would give it: prices in new units, the split stated."""
    frame = (
        pl.read_parquet(market_data / "equity_daily_quandl_archive_2014.parquet")
        .filter(pl.col("symbol") == "AAPL")
        .sort("ts")
    )
    rows = history(frame, split="split_ratio")
    rows["split"][rows["split"] == 1.0] = 0.0
    after = np.arange(len(rows)) >= int(np.argmax(rows["split"] == 7.0))
    adjusted = rows.copy()
    for name in ("open", "high", "low", "close"):
        adjusted[name][~after] /= 7.0
    adjusted["volume"][~after] *= 7.0
    assert judged(adjusted, "USD").repairs == ()
    found = judged(rows, "USD")  # the same with the adjustment left out
    assert [one.rule for one in found.repairs] == ["split"]
    assert np.allclose(found.rows["close"], adjusted["close"])
    assert np.allclose(found.rows["volume"], adjusted["volume"])


@pytest.mark.parametrize(
    ("symbol", "days"),
    [
        ("AAPL", ["2000-06-21", "2005-02-28", "2014-06-09", "2020-08-31"]), ("BAC", ["2004-08-30"]),
        ("EEM", ["2003-04-11", "2005-06-09", "2008-07-24"]), ("GOOG", ["2014-04-03"]), ("IBM", ["1999-05-27"]),
        ("QQQ", ["2000-03-20"]), ("WM", ["2008-09-26"]), ("SPY", []),
    ],
)  # fmt: skip
def test_real_splits_that_nobody_states_are_doubted(market_data: Path, symbol: str, days: list[str]) -> None:
    """Raw prices of LEAN's sample data, whose splits lie in files of their own. EEM's of 2003 is another security of that
    name, WM's a crash of 91 % in a night: nothing but a person can tell."""
    frame = pl.read_parquet(market_data / "equity_daily_lean.parquet").filter(pl.col("symbol") == symbol).sort("ts")
    found = judged(history(frame), "USD")
    told = [str(datetime.date(1970, 1, 1) + datetime.timedelta(days=one.time // DAY_NS)) for one in found.doubts]
    assert (told, found.repairs) == (days, ())


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), at=st.integers(5, 294), ratio=st.sampled_from([0.1, 0.5, 2.0, 3.0, 4.0, 7.0]))
def test_a_split_is_doubted_until_it_is_stated(seed: int, at: int, ratio: float) -> None:
    rows = walk(seed)
    rows["dividend"] = 0.0
    for name in ("open", "high", "low", "close", "adj_close"):
        rows[name][at:] /= ratio
    (doubt,) = [one for one in judged(rows, "USD").doubts if one.about == "prices"]
    assert doubt.time == rows["time"][at]
    rows["split"][at] = ratio
    assert not [one for one in judged(rows, "USD").doubts if one.about == "prices"], (
        "the rows before it are brought to the new units"
    )


def walk(seed: int, count: int = 300, noise: float = 0.015) -> NDArray[Any]:
    """A random walk with quarterly dividends, adjusted as a vendor would."""
    random = np.random.default_rng(seed)
    rows = np.zeros(count, DAILY)
    first = (datetime.date(2020, 1, 1) - datetime.date(1970, 1, 1)).days
    rows["time"] = (first + np.arange(count)) * DAY_NS
    close = 50.0 * np.exp(np.cumsum(random.normal(0.0, noise, count)))
    opens = np.append(50.0, close[:-1]) * np.exp(random.normal(0.0, noise / 3, count))
    rows["open"], rows["close"] = opens, close
    rows["high"] = np.maximum(opens, close) * (1.0 + np.abs(random.normal(0.0, noise / 3, count)))
    rows["low"] = np.minimum(opens, close) * (1.0 - np.abs(random.normal(0.0, noise / 3, count)))
    rows["volume"] = random.integers(1_000, 1_000_000, count)
    for at in range(40, count, 63):
        cash = 0.01 * rows["close"][at - 1]
        for name in ("open", "high", "low", "close"):
            rows[name][at:] *= 1.0 - 0.01
        rows["dividend"][at] = cash
    steps = np.ones(count)
    paid = np.flatnonzero(rows["dividend"])
    steps[paid - 1] = 1.0 - rows["dividend"][paid] / rows["close"][paid - 1]
    rows["adj_close"] = rows["close"] * np.cumprod(steps[::-1])[::-1]
    return rows


def equal(one: NDArray[Any], other: NDArray[Any]) -> bool:
    return all(np.allclose(one[name], other[name], rtol=1e-9) for name in DAILY.names or ())


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), noise=st.floats(0.003, 0.04), currency=st.sampled_from(["USD", "GBp"]))
def test_a_market_without_errors_is_never_changed(seed: int, noise: float, currency: str) -> None:
    rows = walk(seed, noise=noise)
    found = judged(rows, currency)
    assert found.repairs == ()
    assert equal(found.rows, rows)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), first=st.integers(5, 250), length=st.integers(1, 25))
def test_rows_in_the_wrong_unit_come_back(seed: int, first: int, length: int) -> None:
    rows, wrong = walk(seed), walk(seed)
    chosen = slice(first, min(first + length, 295))
    for name in ("open", "high", "low", "close", "adj_close"):
        wrong[name][chosen] /= 100.0
    found = judged(wrong, "GBp", ("unit",))
    assert equal(found.rows, rows)
    assert found.repairs[0].rows == chosen.stop - chosen.start


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), at=st.integers(5, 294), name=st.sampled_from(["open", "high", "low", "close"]))
def test_a_cell_in_the_wrong_unit_comes_back(seed: int, at: int, name: str) -> None:
    rows, wrong = walk(seed), walk(seed)
    wrong[name][at] *= 100.0
    if name == "close":
        wrong["adj_close"][at] *= 100.0
    found = judged(wrong, "USD", ("unit",))
    assert equal(found.rows, rows)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    at=st.integers(20, 280),
    ratio=st.sampled_from([2.0, 3.0, 4.0, 10.0, 20.0, 0.1, 0.05, 0.5]),
)
def test_history_that_misses_a_split_is_brought_to_the_new_units(seed: int, at: int, ratio: float) -> None:
    rows, wrong = walk(seed), walk(seed)
    rows["split"][at] = wrong["split"][at] = ratio
    for name in ("open", "high", "low", "close", "adj_close"):
        wrong[name][:at] *= ratio
    wrong["volume"][:at] /= ratio
    assert judged(rows, "USD", ("split",)).repairs == ()
    found = judged(wrong, "USD", ("split",))
    assert equal(found.rows, rows)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10_000), place=st.integers(0, 3), how=st.sampled_from(["missing", "hundredth", "hundredfold"])
)
def test_a_dividend_that_is_adjusted_wrongly_is_adjusted_right(seed: int, place: int, how: str) -> None:
    """Repaired exactly, or left alone with a doubt: nothing else."""
    rows, wrong = walk(seed), walk(seed)
    at = int(np.flatnonzero(rows["dividend"])[place])
    cash, price = float(rows["dividend"][at]), float(rows["close"][at - 1])
    if how == "hundredfold":
        wrong["dividend"][at] = 100.0 * cash
    else:
        taken = 0.0 if how == "missing" else cash / 100.0
        wrong["adj_close"][:at] *= (1.0 - taken / price) / (1.0 - cash / price)
    found = judged(wrong, "GBp")
    if found.repairs:
        assert equal(found.rows, rows)
    else:
        assert found.doubts
        assert equal(found.rows, wrong)


def test_two_payments_that_the_price_fell_by_are_two() -> None:
    rows = walk(3, noise=0.004)
    rows = rows[:60]
    at = int(np.flatnonzero(rows["dividend"])[0])
    for name in ("open", "high", "low", "close", "adj_close"):
        rows[name][at + 3 :] *= 0.96
        rows[name][at:] *= 0.97
    rows["dividend"][at] = 0.04 * rows["close"][at - 1]
    rows["dividend"][at + 3] = 0.04 * rows["close"][at + 2]
    factors = np.ones(len(rows))
    for row in (at, at + 3):
        factors[row - 1] = 1.0 - rows["dividend"][row] / rows["close"][row - 1]
    rows["adj_close"] = rows["close"] * np.cumprod(factors[::-1])[::-1]
    found = judged(rows, "USD")
    assert found.repairs == ()
    assert [doubt.rule for doubt in found.doubts] == ["dividend-double"]
    rows["open"][at + 3 :] /= 0.96  # the second leaves no trace
    for name in ("high", "low", "close", "adj_close"):
        rows[name][at + 3 :] /= 0.96
    assert [one.rule for one in judged(rows, "USD").repairs] == ["dividend-double"]


def test_the_rules_say_what_they_do() -> None:
    rows = walk(1)
    rows["high"][7], rows["volume"][9] = rows["close"][7] * 0.9, np.nan
    found = judged(rows, "USD")
    assert [(one.rule, one.fields) for one in found.repairs] == [("whole", ("high",)), ("whole", ("volume",))]
    assert found.repairs[0].reason == "the high is below open or close"
    assert set(RULES) >= {"split", "unit", *PAYOUTS, "whole"}
