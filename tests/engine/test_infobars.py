"""Bars by activity: by hand, against a plain NumPy reading of the definitions, and the same however they are fed."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.engine.market import same_rows

from quantlytic.engine.data.bars import check_bars
from quantlytic.engine.data.infobars import KINDS, BarRule, InfoBars, bars_from_trades
from quantlytic.model.errors import DataError, InputError
from quantlytic.model.instrument import Instrument
from quantlytic.model.side import Side
from quantlytic.model.trade import TRADE, Trade


def trades_of(*rows: tuple[int, float, float], sides: list[int] | None = None, instrument: int = 0) -> NDArray[Any]:
    array = np.zeros(len(rows), TRADE)
    array["instrument"] = instrument
    array["event_time"], array["price"], array["quantity"] = zip(*rows, strict=True) if rows else ((), (), ())
    if sides is not None:
        array["side"] = sides
    return array


def fields(bars: NDArray[Any], *names: str) -> list[Any]:
    return [tuple(row[name] for name in names) if len(names) > 1 else row[names[0]].item() for row in bars]


def plain(trades: NDArray[Any], rule: BarRule) -> NDArray[Any]:
    return bars_from_trades(trades, rule, instruments=int(trades["instrument"].max(initial=0)) + 1, compiled=False)


# ---- by hand

FIVE = trades_of((10, 100.0, 1.0), (20, 102.0, 2.0), (30, 99.0, 4.0), (40, 101.0, 1.0), (50, 103.0, 9.0))


def test_tick_bars_count_trades() -> None:
    bars = plain(FIVE, BarRule("tick", 2))
    assert fields(
        bars, "open_time", "close_time", "open", "high", "low", "close", "volume", "quote_volume", "trades"
    ) == [
        (10, 21, 100.0, 102.0, 100.0, 102.0, 3.0, 304.0, 2),
        (30, 41, 99.0, 101.0, 99.0, 101.0, 5.0, 497.0, 2),
    ]  # the fifth trade's bar has not ended


@pytest.mark.parametrize(
    ("kind", "size", "volumes"),
    [
        ("volume", 3, [3.0, 4.0, 10.0]),
        ("volume", 4, [7.0, 10.0]),  # a trade is never divided
        ("volume", 0.5, [1.0, 2.0, 4.0, 1.0, 9.0]),
        ("volume", 100, []),
        ("dollar", 300, [3.0, 4.0, 10.0]),
        ("dollar", 305, [7.0, 10.0]),
    ],
)
def test_volume_and_dollar_bars_end_with_the_trade_that_reaches_the_size(
    kind: str, size: float, volumes: list[float]
) -> None:
    assert fields(plain(FIVE, BarRule(kind, size)), "volume") == volumes


def test_imbalance_bars_by_hand() -> None:
    """The first bar takes its 4 trades: b is + + + -, the mean 0.5. From then on a bar ends at |theta| >= 4 * 0.5, if
    nothing else changes: E[T] stays 4 as the second bar has 2 trades only with span 1 (decay 1: E[T] becomes 2)."""
    sides = [1, 1, 1, -1, 1, 1, -1, -1, 1, 1]
    trades = trades_of(*((10 * k, 100.0, 1.0) for k in range(1, 11)), sides=sides)
    bars = plain(trades, BarRule("tick_imbalance", 4, bars_span=1, limit=4))
    assert fields(bars, "trades")[:2] == [4, 2]
    # a bar later: E[b] = 0.5 + 2/5 * (1 - 0.5) = 0.7, then + 2/5 * 0.3 = 0.82; E[T] = 2: |theta| >= 1.64 at the second trade
    assert fields(bars, "trades")[2] == 2


def test_the_tick_rule_stands_in_for_a_side_that_is_not_known() -> None:
    known = trades_of(*((k, p, 1.0) for k, p in enumerate([10, 11, 11, 10, 10, 12])), sides=[1, 1, 1, -1, -1, 1])
    unknown = known.copy()
    unknown["side"] = 0
    first = trades_of((0, 9.0, 1.0), sides=[1])
    rule = BarRule("tick_imbalance", 2, limit=2)
    a = plain(np.concatenate((first, known)), rule)
    b = plain(np.concatenate((first, unknown)), rule)
    assert same_rows(a, b)


def test_one_time_stamp_many_bars() -> None:
    bars = plain(trades_of(*((1000, 10.0, 1.0) for _ in range(4)), (1002, 10.0, 1.0)), BarRule("tick", 1))
    assert fields(bars, "open_time", "close_time") == [
        (1000, 1001),
        (1001, 1002),
        (1002, 1003),
        (1003, 1004),
        (1004, 1005),
    ]


def test_instruments_have_bars_of_their_own() -> None:
    one, two = trades_of((10, 5.0, 1.0), (30, 6.0, 1.0)), trades_of((20, 7.0, 1.0), (40, 8.0, 1.0), instrument=1)
    both = np.concatenate((one, two))[[0, 2, 1, 3]]
    assert fields(plain(both, BarRule("tick", 2)), "instrument", "open", "close") == [(0, 5.0, 6.0), (1, 7.0, 8.0)]


# ---- against the definitions


def reference(trades: NDArray[Any], rule: BarRule) -> list[int]:
    """The index of each bar's last trade, by the definitions, without state."""
    price, quantity = trades["price"], trades["quantity"]
    amount = {"tick": np.ones(len(trades)), "volume": quantity, "dollar": price * quantity}[rule.kind.split("_")[0]]
    if not rule.is_imbalance:
        ends, start = [], 0
        while True:
            full = np.flatnonzero(np.cumsum(amount[start:]) >= rule.size)
            if not len(full):
                return ends
            ends.append(start + int(full[0]))
            start = ends[-1] + 1
    change = np.sign(np.diff(price, prepend=price[0]))
    rows = np.maximum.accumulate(np.where(change != 0, np.arange(len(change)), 0))
    signed = change[rows] * amount
    ends, start, length = [int(rule.size) - 1], int(rule.size), rule.size
    mean = float(signed[:start].mean())
    while True:
        threshold, theta, found = length * abs(mean), 0.0, -1
        for k in range(start, len(signed)):
            theta += signed[k]
            mean += 2.0 / (rule.bars_span * rule.size + 1.0) * (signed[k] - mean)
            count = k - start + 1
            if count >= rule.size / rule.limit and (abs(theta) >= threshold or count >= rule.size * rule.limit):
                found = k
                break
        if found < 0:
            return ends
        ends.append(found)
        length += 2.0 / (rule.bars_span + 1.0) * (found - start + 1 - length)
        length = min(max(length, rule.size / rule.limit), rule.size * rule.limit)
        start = found + 1


def es_trades(market_data: Path, count: int) -> NDArray[Any]:
    frame = pl.read_parquet(market_data / "trades_es_2013-09_mlfinpy.parquet").head(count)
    array = np.zeros(frame.height, TRADE)
    array["event_time"] = frame["ts"].cast(pl.Datetime("ns")).to_physical()
    array["price"], array["quantity"] = frame["price"], frame["size"]
    return array


RULES = [
    BarRule("tick", 100), BarRule("volume", 500.0), BarRule("dollar", 1e6),
    BarRule("tick_imbalance", 200), BarRule("volume_imbalance", 200, limit=4), BarRule("dollar_imbalance", 300, bars_span=5),
]  # fmt: skip


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.kind)
def test_real_trades_by_the_definitions(market_data: Path, rule: BarRule) -> None:
    trades = es_trades(market_data, 40_000)
    bars = bars_from_trades(trades, rule)
    ends = reference(trades, rule)
    assert len(bars) == len(ends) > 30
    assert np.cumsum(bars["trades"]).tolist() == [end + 1 for end in ends]
    starts = [0, *(end + 1 for end in ends[:-1])]
    np.testing.assert_array_equal(bars["open"], trades["price"][starts])
    np.testing.assert_array_equal(bars["close"], trades["price"][ends])
    np.testing.assert_array_equal(bars["high"], np.maximum.reduceat(trades["price"][: ends[-1] + 1], starts))
    np.testing.assert_allclose(bars["volume"], np.add.reduceat(trades["quantity"][: ends[-1] + 1], starts))
    check_bars(bars, [Instrument("x:ES")])
    assert (bars["close_time"] > trades["event_time"][ends]).all()  # never closed before its last trade
    assert (bars["open_time"] >= trades["event_time"][starts]).all()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.kind)
def test_real_sides_and_sizes(market_data: Path, rule: BarRule) -> None:
    """Binance's trades: whole and in uneven chunks, saved and restored between, one by one: the same bars."""
    frame = pl.read_parquet(market_data / "l2_binance" / "binance_usdm_btcusdt_20240808_trades.parquet")
    trades = np.zeros(frame.height, TRADE)
    trades["event_time"], trades["trade_id"] = frame["trade_ms"] * 1_000_000, frame["trade_id"]
    trades["price"], trades["quantity"] = frame["price"], frame["qty"]
    trades["side"] = np.where(frame["buyer_is_maker"], -1, 1)
    trades = np.sort(trades[trades["price"] > 0], order=["event_time", "trade_id"], kind="stable")
    rule = BarRule(rule.kind, 5.0, rule.bars_span) if rule.kind == "volume" else rule
    whole = bars_from_trades(trades, rule)
    assert len(whole) > 10
    builder, pieces = InfoBars(rule, ["0"]), []
    for chunk in np.array_split(trades, [1, 2, 700, 701, 9_000]):
        pieces.append(builder.on_trades(chunk))
        state, builder = builder.save(), InfoBars(rule, ["0"])
        builder.restore(state)
    assert same_rows(np.concatenate(pieces), whole)
    single = InfoBars(rule, ["0"], compiled=False)
    events = [Trade("0", *row[1:6], Side(row[6])) for row in trades[:2_000].tolist()]
    one_by_one = [bar for event in events if (bar := single.on_trade(event))]
    assert [tuple(getattr(bar, name) for name in ("close_time", "close", "volume")) for bar in one_by_one] == fields(
        whole[: len(one_by_one)], "close_time", "close", "volume"
    )


# ---- what must always hold

TRADES = st.lists(
    st.tuples(  # time step, instrument, price, quantity, side
        st.integers(0, 3), st.integers(0, 1), st.sampled_from([9.0, 10.0, 10.5]), st.floats(0.01, 50.0), st.integers(-1, 1)
    ),
    max_size=60,
)  # fmt: skip


@given(TRADES, st.sampled_from(KINDS), st.integers(1, 12), st.lists(st.integers(0, 60), max_size=4))
def test_nothing_is_lost_and_chunks_do_not_matter(
    rows: list[tuple[int, int, float, float, int]], kind: str, size: int, cuts: list[int]
) -> None:
    trades = np.zeros(len(rows), TRADE)
    if rows:
        steps, instruments, prices, quantities, sides = zip(*rows, strict=True)
        trades["event_time"], trades["instrument"] = np.cumsum(steps), instruments
        trades["price"], trades["quantity"], trades["side"] = prices, quantities, sides
    rule = BarRule(kind, size)
    bars = bars_from_trades(trades, rule, 2, compiled=False)
    for instrument in (0, 1):
        own, made = trades[trades["instrument"] == instrument], bars[bars["instrument"] == instrument]
        used = own[: int(made["trades"].sum())]  # the bars' trades are a beginning of all; the rest is in no bar yet
        assert math.isclose(made["volume"].sum(), used["quantity"].sum(), rel_tol=1e-12, abs_tol=1e-12)
        if kind == "volume":
            assert own["quantity"][len(used) :].sum() < size + 1e-9
            assert (made["volume"] >= size).all()
        assert (made["open_time"][1:] >= made["close_time"][:-1]).all()
    check_bars(bars, [Instrument("x:A"), Instrument("x:B")])
    assert same_rows(bars_from_trades(trades, rule, 2), bars)
    builder = InfoBars(rule, ["a", "b"])
    pieces = [
        builder.on_trades(part) for part in np.array_split(trades, sorted(cut for cut in cuts if cut <= len(trades)))
    ]
    assert same_rows(np.concatenate(pieces), bars)


# ---- what is refused


@pytest.mark.parametrize(
    ("kind", "size", "what"),
    [
        ("time", 5, "kind 'time' are not known"),
        ("tick", 0, "size above 0"),
        ("volume", -1.0, "size above 0"),
        ("volume", math.nan, "size above 0"),
        ("dollar", math.inf, "size above 0"),
        ("tick", 2.5, "whole number of trades"),
        ("volume_imbalance", 0.5, "whole number of trades"),
    ],
)
def test_a_rule_that_cannot_be(kind: str, size: float, what: str) -> None:
    with pytest.raises(InputError, match=what):
        BarRule(kind, size)


@pytest.mark.parametrize(
    ("field", "value", "what"),
    [
        ("price", 0.0, "not a number above 0"),
        ("price", np.nan, "not a number above 0"),
        ("quantity", -1.0, "not a number above 0"),
        ("quantity", np.inf, "not a number above 0"),
        ("event_time", 5, "is earlier than the one before it"),
        ("instrument", 1, "is of no instrument here"),
        ("instrument", -1, "is of no instrument here"),
    ],
)
def test_a_trade_that_cannot_be_is_named(field: str, value: float, what: str) -> None:
    trades = FIVE.copy()
    trades[field][2] = value
    with pytest.raises(DataError, match=r"trade 2 at .*" + what):
        bars_from_trades(trades, BarRule("tick", 2), compiled=False)


def test_other_input_is_refused() -> None:
    with pytest.raises(DataError, match="dtype TRADE"):
        bars_from_trades(np.zeros(3), BarRule("tick", 2))
    builder = InfoBars(BarRule("tick", 2), ["v:A"], compiled=False)
    with pytest.raises(DataError, match="none of the instruments"):
        builder.on_trade(Trade("v:B", 1, 1, 1, 1.0, 1.0, Side.BUY))
    with pytest.raises(InputError, match="saved state is of tick bars of 2"):
        InfoBars(BarRule("tick", 3), ["v:A"]).restore(builder.save())
    with pytest.raises(InputError, match="cannot be read"):
        builder.restore(b"\x93")
