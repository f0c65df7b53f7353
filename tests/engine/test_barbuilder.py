"""Bars from trades: by the events' own times, the same for any batching, with nothing invented and nothing lost unseen."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantlytic.engine.data.barbuilder import DAY_NS, Placement, TimeBars
from quantlytic.model.bar import Bar
from quantlytic.model.errors import InputError
from quantlytic.model.side import Side
from quantlytic.model.trade import Trade

SIZE = 1_000


def trade(time: int, price: float = 10.0, quantity: float = 1.0, instrument: str = "v:A", trade_id: int = 0) -> Trade:
    return Trade(instrument, time, time, trade_id, price, quantity, Side.BUY)


def build(builder: TimeBars, trades: Sequence[Trade]) -> list[Bar]:
    return [bar for one in trades for bar in builder.on_trade(one)[0]]


def test_a_bar_holds_its_trades() -> None:
    builder = TimeBars(SIZE)
    assert build(builder, [trade(0, 10), trade(400, 12, 2), trade(500, 9, 3), trade(999, 11, 4)]) == []
    closed, refused = builder.on_trade(trade(1000, 50))
    assert closed == [Bar("v:A", 0, 1000, 10, 12, 9, 11, 10.0, 10 + 24 + 27 + 44, 4)]
    assert not refused


def test_a_watermark_closes_after_the_grace() -> None:
    builder = TimeBars(SIZE, grace_ns=100)
    builder.on_trade(trade(10))
    assert builder.on_watermark(1099) == []
    assert [bar.close_time for bar in builder.on_watermark(1100)] == [1000]
    assert builder.on_watermark(9_999) == []  # nothing traded, no bar


def test_a_trade_of_another_instrument_closes_too() -> None:
    builder = TimeBars(SIZE)
    builder.on_trade(trade(10, instrument="v:B"))
    builder.on_trade(trade(20, instrument="v:A"))
    closed, _ = builder.on_trade(trade(2500, instrument="v:C"))
    assert [(bar.close_time, bar.instrument) for bar in closed] == [(1000, "v:A"), (1000, "v:B")]


def test_late_trades_are_refused_and_change_nothing() -> None:
    builder = TimeBars(SIZE, grace_ns=100)
    builder.on_trade(trade(10, 10))
    assert builder.on_trade(trade(1050, 20))[1] is Placement.TAKEN
    closed, placement = builder.on_trade(trade(999, 5))  # within the grace: still taken
    assert (closed, placement) == ([], Placement.TAKEN)
    closed, placement = builder.on_trade(trade(1100, 20))
    assert placement is Placement.TAKEN
    assert (closed[0].low, closed[0].close) == (5, 5)
    assert builder.on_trade(trade(999, 1)) == ([], Placement.LATE)
    assert builder.on_trade(trade(0, 1, instrument="v:NEW")) == ([], Placement.LATE)
    assert [(bar.instrument, bar.trades) for bar in builder.on_watermark(5000)] == [("v:A", 2)]


def test_order_within_the_grace_does_not_matter() -> None:
    trades = [
        trade(t, 10 + k, instrument=i, trade_id=k) for k, (t, i) in enumerate([(5, "v:A"), (5, "v:A"), (700, "v:A")])
    ]
    for seed in range(20):
        mixed = trades[:]
        random.Random(seed).shuffle(mixed)
        builder = TimeBars(SIZE, grace_ns=1000)
        build(builder, mixed)
        (bar,) = builder.on_watermark(2000)
        assert (bar.open, bar.close, bar.high, bar.low, bar.trades) == (10, 12, 12, 10, 3)


def test_after_an_interruption_a_bar_waits_for_what_was_missed() -> None:
    builder = TimeBars(SIZE)
    builder.on_trade(trade(10, 10))
    builder.on_trade(trade(20, 10, instrument="v:B"))
    builder.on_interruption()
    closed, _ = builder.on_trade(trade(3500, 20, instrument="v:B"))  # caught up: its own bar closes, not v:A's
    assert [(bar.instrument, bar.close_time) for bar in closed] == [("v:B", 1000)]
    resumed = TimeBars(SIZE)
    resumed.restore(builder.save())
    for one in (builder, resumed):
        assert one.on_trade(trade(500, 12)) == ([], Placement.TAKEN)
        closed, placement = one.on_trade(trade(1500, 13))
        assert (closed[0].close, placement) == (12, Placement.TAKEN)
        closed, placement = one.on_trade(trade(3600, 14))
        assert [(bar.instrument, bar.close_time) for bar in closed] == [("v:A", 2000)]
        assert one.on_trade(trade(2500, 14)) == ([], Placement.LATE)


@pytest.mark.parametrize(
    ("price", "quantity"), [(float("nan"), 1), (0, 1), (-1, 1), (float("inf"), 1), (1, 0), (1, -1)]
)
def test_nonsense_is_refused(price: float, quantity: float) -> None:
    builder = TimeBars(SIZE)
    assert builder.on_trade(trade(5, price, quantity)) == ([], Placement.INVALID)
    assert builder.watermark is None


def test_one_lying_time_closes_nothing() -> None:
    builder = TimeBars(SIZE)
    builder.on_trade(trade(10))
    lie = 10 + DAY_NS + 1
    assert builder.on_trade(trade(lie)) == ([], Placement.LEAP)
    assert builder.on_trade(trade(20, 11)) == ([], Placement.TAKEN)
    assert builder.on_watermark(50 * DAY_NS) == []
    assert builder.on_trade(trade(30, 12)) == ([], Placement.TAKEN)
    assert builder.on_trade(trade(40 * DAY_NS)) == ([], Placement.LEAP)
    (bar,) = builder.on_watermark(1000)
    assert (bar.close, bar.trades) == (12, 3)


def test_a_long_pause_is_believed_once_the_next_event_agrees() -> None:
    builder = TimeBars(SIZE)
    builder.on_trade(trade(10))
    assert builder.on_trade(trade(5 * DAY_NS, 20)) == ([], Placement.LEAP)
    closed, placement = builder.on_trade(trade(5 * DAY_NS + 7, 21))
    assert [bar.close_time for bar in closed] == [1000]
    assert placement is Placement.TAKEN
    assert builder.watermark == 5 * DAY_NS + 7


def test_a_first_event_that_lied_is_forgotten() -> None:
    builder = TimeBars(SIZE)
    builder.on_trade(trade(9 * DAY_NS, 99))
    assert builder.on_trade(trade(10, 10)) == ([], Placement.TAKEN)
    builder.on_trade(trade(20, 11))
    assert builder.on_watermark(1000) == [Bar("v:A", 0, 1000, 10, 11, 10, 11, 2.0, 21.0, 2)]
    assert builder.on_watermark(DAY_NS) == []


def test_settings_are_checked() -> None:
    for size, grace in ((0, 0), (-1, 0), (1, -1)):
        with pytest.raises(InputError, match="bars need a size above 0"):
            TimeBars(size, grace)
    with pytest.raises(InputError, match="is for bars of 1000 ns"):
        TimeBars(SIZE + 1).restore(TimeBars(SIZE).save())
    with pytest.raises(InputError, match="cannot be read"):
        TimeBars(SIZE).restore(b"\x00\x01")


steps = st.lists(
    st.tuples(
        st.sampled_from(["v:A", "v:B", "v:C"]),
        st.integers(-1500, 2500),
        st.integers(1, 100),
        st.booleans(),
    ),
    max_size=80,
)


@given(steps, st.integers(0, 1500), st.randoms(use_true_random=False))
def test_always(events: list[tuple[str, int, int, bool]], grace: int, cuts: random.Random) -> None:
    """Saved and restored anywhere: the same bars. Every trade is in one bar or refused. Bars are in order, none twice."""
    whole, resumed = TimeBars(SIZE, grace), TimeBars(SIZE, grace)
    time, taken, bars, again = 10_000_000, [], [], []
    for number, (instrument, step, price, is_trade) in enumerate(events):
        if cuts.random() < 0.2:
            fresh = TimeBars(SIZE, grace)
            fresh.restore(resumed.save())
            resumed = fresh
        time += step
        if is_trade:
            one = trade(time, price, 1.0, instrument, number)
            closed, placement = whole.on_trade(one)
            again += resumed.on_trade(one)[0]
            if placement is Placement.TAKEN:
                taken.append(one)
            else:
                assert placement is Placement.LATE
                assert whole.watermark is not None
                assert time // SIZE * SIZE + SIZE + grace <= whole.watermark
        else:
            closed = whole.on_watermark(time)
            again += resumed.on_watermark(time)
        bars += closed
    time = (whole.watermark or 0) + SIZE + grace
    bars += whole.on_watermark(time)
    again += resumed.on_watermark(time)
    assert bars == again
    assert [(bar.close_time, bar.instrument) for bar in bars] == sorted(
        {(bar.close_time, bar.instrument) for bar in bars}
    )
    assert sum(bar.trades for bar in bars) == len(taken)
    for bar in bars:
        mine = [t for t in taken if t.instrument == bar.instrument and bar.open_time <= t.event_time < bar.close_time]
        mine.sort(key=lambda t: (t.event_time, t.trade_id))
        assert (bar.open, bar.close) == (mine[0].price, mine[-1].price)
        assert (bar.high, bar.low) == (max(t.price for t in mine), min(t.price for t in mine))
        assert bar.volume == len(mine)


def test_real_trades_give_the_bars_that_polars_gives(market_data: Path) -> None:
    frame = pl.read_parquet(market_data / "l2_binance" / "binance_spot_btcusdt_20240809_trades.parquet")
    builder = TimeBars(1_000_000_000, 0)
    bars = []
    for time_ms, trade_id, price, quantity in frame.select("trade_ms", "trade_id", "price", "qty").iter_rows():
        closed, placement = builder.on_trade(trade(time_ms * 1_000_000, price, quantity, "v:A", trade_id))
        assert not placement
        bars += closed
    expected = (
        frame.sort("trade_ms", "trade_id")
        .group_by((pl.col("trade_ms") // 1000).alias("second"), maintain_order=True)
        .agg(
            pl.col("price").first().alias("open"), pl.col("price").max().alias("high"),
            pl.col("price").min().alias("low"), pl.col("price").last().alias("close"),
            pl.col("qty").sum().alias("volume"), pl.len().alias("trades"),
        )[:-1]
    )  # fmt: skip
    assert len(bars) == len(expected) > 200
    for bar, row in zip(bars, expected.iter_rows(), strict=True):
        assert (bar.open_time // 1_000_000_000, bar.open, bar.high, bar.low, bar.close, bar.trades) == (
            *row[:5],
            row[6],
        )
        assert bar.volume == pytest.approx(row[5], rel=1e-12)
