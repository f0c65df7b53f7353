"""`bar.forecast`: carried wherever bars go, and without effect where there is none."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.engine.market import same_rows
from tests.rows import columns

import quantlytic as ql
from quantlytic.engine.data.adjust import adjust
from quantlytic.engine.data.bars import Bars
from quantlytic.engine.data.tape import Tape
from quantlytic.engine.fork import fork
from quantlytic.engine.session import Session
from quantlytic.engine.strategy import Strategy
from quantlytic.model.action import ACTION
from quantlytic.model.bar import BAR, Bar, bar_of, bar_row, blank_bars
from quantlytic.model.codec import decode, encode
from quantlytic.model.errors import DataError, InputError
from quantlytic.research.honesty.lookahead import detect_lookahead
from quantlytic.research.runs.manifest import data_hash
from quantlytic.research.search.sweep import sweep
from quantlytic.store.barfile import read_bars
from quantlytic.store.barwriter import write_bars


class Follow(Strategy):
    """Long at a forecast above the level, flat below; NaN is neither."""

    level: float = ql.param(0.5, low=0.0, high=1.0)

    def on_bar(self, bar: Any, broker: Any) -> None:
        if bar.forecast > self.level and broker.is_flat:
            broker.target_weight(0.4)
        elif bar.forecast < self.level and broker.is_long:
            broker.close()


class FollowAll(Strategy):
    """The same for all instruments at once."""

    def on_slice(self, slice: Any, broker: Any) -> None:
        for k in range(slice.instruments):
            one = broker.on(k)
            if slice.has(k) and slice.forecast(k) > 0.5 and one.is_flat:
                one.target_weight(0.4)
            elif slice.has(k) and slice.bar(k).forecast < 0.5 and one.is_long:
                one.close()


class FollowPlain(ql.PythonStrategy):
    """The same in any Python; the forecast of the bar before by a column."""

    def setup(self) -> None:
        self.told = self.column(lambda bars: bars["forecast"].copy())

    def on_bar(self, bar: Any, broker: Any) -> None:
        assert self.told.now == bar.forecast or math.isnan(bar.forecast)
        if bar.forecast > 0.5 and broker.is_flat:
            broker.target_weight(0.4)
        elif bar.forecast < 0.5 and broker.is_long:
            broker.close()


def told(bars: Bars, seed: int = 7) -> Bars:
    values = np.random.default_rng(seed).random(len(bars))
    values[::5] = np.nan
    return bars.with_forecasts(values)


BARS = ql.demo_bars(300, seed=2, instruments=2)
TOLD = told(BARS)


def run(strategy: Strategy, data: Any, like: Bars = TOLD, compiled: bool = False) -> Session:
    session = Session(strategy, like.instruments, 1e6, compiled=compiled)
    session.run(data)
    return session


def wanted() -> list[int]:
    """The bars at which Follow sends an order, by a loop over the columns."""
    found, held = [], [False, False]
    for row, (k, value) in enumerate(TOLD.array[["instrument", "forecast"]].tolist()):
        if value > 0.5 and not held[k]:
            held[k] = True
            found.append(row)
        elif value < 0.5 and held[k]:
            held[k] = False
            found.append(row)
    return found


def test_a_row_is_the_event_and_a_forecast() -> None:
    names = (*Bar.__struct_fields__, "forecast")
    assert BAR.names == names
    bar = Bar("x:A", 1, 2, 1.0, 2.0, 0.5, 1.5, 3.0, 4.0, 5)
    row = np.array([bar_row(bar, 0, 0.25)], BAR)[0]
    assert row.tolist() == (0, 1, 2, 1.0, 2.0, 0.5, 1.5, 3.0, 4.0, 5, 0.25)
    assert bar_of(row, "x:A") == bar
    assert decode(encode(bar)) == bar
    assert np.isnan(np.array([bar_row(bar, 0)], BAR)["forecast"]).all()
    assert np.isnan(blank_bars(3)["forecast"]).all()


def test_values_are_one_a_bar_and_finite() -> None:
    assert not BARS.has_forecasts
    assert TOLD.has_forecasts
    assert same_rows(BARS.array, blank(TOLD).array)
    assert TOLD.source is not None
    with pytest.raises(InputError, match="one a bar: 3 were given for 600 bars"):
        BARS.with_forecasts([1.0, 2.0, 3.0])
    with pytest.raises(InputError, match="row 4 is infinite"):
        BARS.with_forecasts([math.inf if k == 4 else 0.0 for k in range(600)])
    broken = TOLD.array.copy()
    broken["forecast"][9] = -math.inf
    with pytest.raises(DataError, match=r"row 9 .*infinite forecast"):
        Bars(broken, TOLD.instruments).check()


def blank(bars: Bars) -> Bars:
    return bars.with_forecasts(np.full(len(bars), np.nan))


def test_hashes_of_bars_without_forecasts_stay() -> None:
    """As they were before rows had forecasts."""
    assert data_hash(ql.demo_bars(3000, instruments=2))[:20] == "412c490497c4c8184f91"
    assert data_hash(blank(TOLD)) == data_hash(BARS) != data_hash(TOLD)
    signs = np.frombuffer(np.array([0xFFF8000000000001], np.uint64).tobytes(), np.float64)  # another NaN
    assert columns(BARS.with_forecasts(np.full(len(BARS), signs[0])).array) == columns(blank(BARS).array)


def test_every_way_of_running_sees_them() -> None:
    debug = run(Follow(), TOLD)
    assert debug.orders["bar_offset"].tolist() == wanted()
    pieces = Session(Follow(), TOLD.instruments, 1e6, compiled=False)
    pieces.run_chunks(np.array_split(TOLD.array, 7))
    assert pieces.digest == debug.digest
    tape = run(Follow(), Tape(bars=TOLD, actions=ql.Ticks(np.zeros(0, ACTION), TOLD.instruments)))
    assert columns(tape.fills) == columns(debug.fills)
    assert run(FollowPlain(), TOLD).digest == debug.digest
    assert len(run(Follow(), BARS).orders) == 0
    assert len(run(FollowAll(), BARS).orders) == 0
    assert len(run(FollowAll(), TOLD).orders) == len(wanted())


@pytest.mark.timeout(400)  # the engine may have to be compiled
def test_compiled_is_debug() -> None:
    debug = run(Follow(), TOLD)
    assert run(Follow(), TOLD, compiled=True).digest == debug.digest
    assert run(FollowPlain(), TOLD, compiled=True).digest == debug.digest
    assert run(FollowAll(), TOLD, compiled=True).digest == run(FollowAll(), TOLD).digest
    swept = sweep(Follow, TOLD, over={"level": [0.3, 0.5]}, jobs=1)
    cells = [run(Follow(level=one), TOLD) for one in (0.3, 0.5)]
    assert swept.table["fills"].to_list() == [len(one.fills) for one in cells]
    assert swept.table["final_equity"].to_list() == [one.equity[-1] for one in cells]


def test_merged_cut_and_adjusted_bars_keep_them() -> None:
    parts = []
    for k in range(2):
        array = TOLD.array[TOLD.array["instrument"] == k].copy()
        array["instrument"] = 0
        parts.append(Bars(array, TOLD.instruments[k : k + 1]))
    assert same_rows(Bars.merge(parts).array, TOLD.array)
    times = TOLD.array["close_time"]
    assert same_rows(TOLD.between(int(times[100]), int(times[200])).array, TOLD.array[100:200])
    split = np.zeros(1, ACTION)
    split["event_time"], split["kind"], split["value"] = times[301], 1, 2.0
    adjusted = adjust(TOLD.array, split)
    assert np.array_equal(adjusted["forecast"], TOLD.array["forecast"], equal_nan=True)


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_files_keep_them(tmp_path: Path, ending: str) -> None:
    for name, bars in (("told", TOLD), ("bare", BARS)):
        path = tmp_path / f"{name}.{ending}"
        write_bars(path, bars.array, bars.instruments)
        assert same_rows(read_bars(path)[0], bars.array)
        head = path.read_bytes()
        assert (b"forecast" in head) == bars.has_forecasts


def test_what_is_no_forecast_in_a_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    rows = "".join(f"2026-01-01T0{k}:00:00,1,1,1,1,1,{{}}\n" for k in range(4))
    for bad in ("up", "inf"):
        path.write_text("ts,open,high,low,close,volume,forecast\n" + rows.format("0.5", "", bad, "nan"))
        with pytest.raises(DataError, match=rf"row 3 .*forecast is {bad}, but must be a number, or empty for none"):
            read_bars(path)
    path.write_text("ts,open,high,low,close,volume,forecast\n" + rows.format("0.5", "", "-1e-3", "nan"))
    assert np.array_equal(read_bars(path)[0]["forecast"], [0.5, np.nan, -0.001, np.nan], equal_nan=True)


def test_a_fork_is_told_what_to_expect() -> None:
    """Of a bar of which nothing is known the forecast is given; a forming bar brings its own."""
    one = Bars(TOLD.array[TOLD.array["instrument"] == 0], TOLD.instruments[:1])
    session = Session(Follow(), one.instruments, 1e6, compiled=False)
    session.run(blank(one).array[:50])
    assert fork(session, "1h", steps=3) == []
    for forecast, orders in ((0.9, 1), (0.1, 0)):
        assert len(fork(session, "1h", steps=3, forecast=forecast)) == orders
        forming = one.array[50:51].copy()
        forming["forecast"] = forecast
        assert len(fork(session, "1h", steps=3, forming=forming[0])) == orders
    assert {one.horizon for one in fork(session, "1h", steps=3, horizons=2, forecast=0.9)} == {1}


def test_given_forecasts_are_no_leak_unless_they_know_the_next_bar() -> None:
    bars = Bars(TOLD.array[TOLD.array["instrument"] == 0], TOLD.instruments[:1])
    assert detect_lookahead(Follow, bars, samples=4, compiled=False) == []
    rises = np.append(np.diff(bars.array["close"]), 0.0)
    knowing = bars.with_forecasts(np.where(rises > 0, 0.6, 0.4) + np.random.default_rng(1).normal(0, 0.01, len(bars)))
    (leak,) = detect_lookahead(Follow, knowing, samples=4, compiled=False)
    assert (leak.field, leak.nearest) == ("forecast", 1)


def test_who_reads_a_later_forecast_is_named() -> None:
    """By the field that was read: a rule that looks one bar on in the column of forecasts."""
    bars = Bars(TOLD.array[TOLD.array["instrument"] == 0], TOLD.instruments[:1]).with_forecasts(
        np.random.default_rng(3).random(300)
    )
    leaks = detect_lookahead(lambda given: np.append(given.array["forecast"][1:] > 0.5, False), bars, samples=4)
    assert [leak.field for leak in leaks] == ["forecast"]
    assert leaks[0].nearest == leaks[0].bar + 1
