"""The sums of a sweep against the whole arrays they stand for, wherever the blocks are cut."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.engine.market import MINUTE_NS, instruments_of, random_bars, workload_bars

import quantlytic as ql
from quantlytic.engine import sweep as engine_sweep
from quantlytic.engine.compiler.record import Address
from quantlytic.engine.run.curve import Curve
from quantlytic.engine.run.tally import TALLY, make_tally, reach_end, take_fills, with_more_lots
from quantlytic.engine.sweep import Block, Cells, Grid, sample_rows
from quantlytic.model.bar import blank_bars
from quantlytic.model.fill import FILL
from quantlytic.research.figures.positions import exposure
from quantlytic.research.figures.roundtrips import round_trips


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), count=st.integers(1, 200), block=st.integers(1, 60), drift=st.floats(-0.05, 0.05))
def test_a_curve_in_blocks_is_the_curve(seed: int, count: int, block: int, drift: float) -> None:
    random = np.random.default_rng(seed)
    steps = np.where(random.random(count) < 0.3, 0.0, random.normal(drift, 0.02, count))
    equity = 1e6 * np.exp(np.cumsum(steps))
    is_end = np.append(random.random(count - 1) < 0.8, True)
    curve = Curve()
    for start in range(0, count, block):
        stop = min(start + block, count)
        curve.take(equity[start:stop], np.flatnonzero(is_end[start:stop]), np.empty(stop - start))
    points = equity[is_end]
    returns = points[1:] / points[:-1] - 1.0
    assert (curve.bars, curve.points, curve.last) == (count, len(points), points[-1])
    assert curve.total == pytest.approx(equity.sum(), rel=1e-12)
    assert curve.lowest == points.min()
    assert curve.deepest - 1.0 == pytest.approx((points / np.maximum.accumulate(points) - 1.0).min(), abs=1e-15)
    if len(returns):
        assert curve.mean == pytest.approx(returns.mean(), rel=1e-12, abs=1e-17)
        assert curve.squares == pytest.approx(((returns - returns.mean()) ** 2).sum(), rel=1e-11, abs=1e-25)
        assert curve.losses == pytest.approx((np.minimum(returns, 0.0) ** 2).sum(), rel=1e-12)


def test_a_mean_far_from_zero_keeps_its_variance() -> None:
    """Growth of 10 % a bar with deviations of a billionth: sums of squares alone would lose them."""
    random = np.random.default_rng(1)
    equity = np.cumprod(1.1 + 1e-9 * random.standard_normal(2_000)) % 1e300
    equity = equity[: int(np.argmax(~np.isfinite(equity))) or 2_000]
    curve = Curve()
    for start in range(0, len(equity), 64):
        part = equity[start : start + 64]
        curve.take(part, np.arange(len(part)), np.empty(len(part)))
    returns = equity[1:] / equity[:-1] - 1.0
    assert np.sqrt(curve.squares / (len(returns) - 1)) == pytest.approx(returns.std(ddof=1), rel=1e-6)


def random_fills(seed: int, bars: int, instruments: int) -> np.ndarray[Any, Any]:
    random = np.random.default_rng(seed)
    count = int(random.integers(0, 60))
    fills = np.zeros(count, FILL)
    fills["bar_offset"] = np.sort(random.integers(0, bars, count))
    fills["event_time"] = fills["bar_offset"] * MINUTE_NS
    fills["instrument"] = random.integers(0, instruments, count)
    fills["side"] = random.choice([-1, 1], count)
    fills["quantity"] = random.choice([0.1, 0.2, 0.3, 1.0, 2.5], count)
    fills["price"] = random.uniform(50, 150, count)
    fills["fee"] = random.uniform(-0.1, 1.0, count)
    fills["slippage"] = random.uniform(0.0, 0.5, count)
    return fills


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), instruments=st.integers(1, 3), pieces=st.integers(1, 5))
def test_a_tally_is_what_the_fills_say(seed: int, instruments: int, pieces: int) -> None:
    bars = 80
    times = np.sort(np.random.default_rng(seed).integers(0, 40, bars)) * MINUTE_NS
    is_end = np.append(times[1:] != times[:-1], True)
    ends_before = np.append(0, np.cumsum(is_end))
    fills = random_fills(seed, bars, instruments)
    buffer = make_tally(instruments)
    for part in np.array_split(fills, pieces):
        raw = np.ascontiguousarray(part).view(np.uint8)
        assert take_fills(Address(buffer), Address(raw), 0, len(part), ends_before) == len(part)
    reach_end(Address(buffer), bars, ends_before)
    sums = buffer[: TALLY.size].view(TALLY.dtype)[0]
    trips = round_trips(fills)
    assert sums["fills"] == len(fills)
    assert sums["fees_paid"] == pytest.approx(fills["fee"].sum())
    assert sums["slippage_paid"] == pytest.approx(fills["slippage"].sum())
    assert sums["round_trips"] == len(trips)
    assert sums["wins"] == (trips["pnl"] > 0).sum()
    assert sums["won"] - sums["lost"] == pytest.approx(trips["pnl"].sum(), abs=1e-9)
    assert sums["held_ns"] == (trips["exit_time"] - trips["entry_time"]).sum()
    if len(trips):
        assert (sums["best"], sums["worst"]) == pytest.approx((trips["pnl"].max(), trips["pnl"].min()))
    assert sums["exposed"] / is_end.sum() == exposure(times, fills)


def test_lots_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is taken without room for its lot; a larger tally goes on where the smaller one stopped."""
    monkeypatch.setattr("quantlytic.engine.run.tally._FIRST_LOTS", 2)
    fills = np.zeros(9, FILL)
    fills["side"], fills["quantity"], fills["price"] = 1, 1.0, 10.0
    fills[8]["side"], fills[8]["quantity"], fills[8]["price"] = -1, 8.0, 11.0
    buffer, done, raw = make_tally(1), 0, Address(fills.view(np.uint8))
    while done < 9:
        stopped_at = done
        done = take_fills(Address(buffer), raw, done, 9, np.arange(2))
        if done < 9:
            assert done > stopped_at or not stopped_at
            buffer = with_more_lots(buffer)
    sums = buffer[: TALLY.size].view(TALLY.dtype)[0]
    assert (sums["round_trips"], sums["won"]) == (8, 8.0)
    assert sums["capacity"] == 16


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 1000), at_most=st.integers(1, 50), size=st.integers(1, 40))
def test_blocks_and_samples(seed: int, at_most: int, size: int) -> None:
    """Blocks end with a bar time and cover all bars once; samples are the last of their times, the very last among them."""
    array = random_bars(seed, 30, 3)
    bars = ql.Bars(array, tuple(instruments_of(3)))
    rows = sample_rows(bars, at_most)
    times = array["close_time"]
    assert len(rows) <= at_most
    assert rows[-1] == len(array) - 1
    assert all(row == len(array) - 1 or times[row + 1] > times[row] for row in rows)
    assert len(np.unique(np.diff(np.searchsorted(np.unique(times), times[rows])))) <= 1
    grid, start, seen = Grid(array, rows), 0, []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine_sweep, "BLOCK", size)
        while start < len(array):
            block = Block(grid, start)
            assert block.stop == len(array) or times[block.stop] > times[block.stop - 1]
            assert len(block.bars) >= min(size, len(array) - start)
            seen += [start + row for row in block.samples]
            start = block.stop
    assert seen == rows.tolist()


def test_days_are_sampled_where_there_are_enough() -> None:
    hourly = blank_bars(24 * 300)
    hourly["close_time"] = (np.arange(24 * 300) + 1) * 3_600_000_000_000
    rows = sample_rows(ql.Bars(hourly, (ql.Instrument("v:A"),)), 2_000)
    assert rows.tolist() == list(range(23, 24 * 300, 24))


def test_stopped_between_blocks() -> None:
    bars = workload_bars(20_000)
    grid = Grid(bars.array, sample_rows(bars, 100))
    from quantlytic.strategies.sma_cross import SmaCross

    cells = Cells(lambda strategy: ql.Session(strategy, bars.instruments, 1e6), grid, whole=False)
    cell = cells.add(SmaCross(fast=3, slow=9))
    asked: list[int] = []

    def stopped() -> bool:
        asked.append(1)
        return len(asked) > 1

    assert not cells.advance(stopped)
    assert cell.curve["bars"] == engine_sweep.BLOCK
