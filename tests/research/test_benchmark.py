"""Against a benchmark: by hand, against empyrical and quantstats, and without looking ahead."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from quantlytic.engine.data.bars import Bars
from quantlytic.model.errors import InputError
from quantlytic.model.instrument import Instrument
from quantlytic.research.figures.benchmark import benchmark_metrics, benchmark_of, hold
from quantlytic.research.figures.curve import DAY_NS, Curve

YEAR = 365.25


def daily(name: str, closes: list[float] | np.ndarray, first: int = 0) -> Bars:
    closes = np.asarray(closes, float)
    opens = np.append(closes[0], closes[:-1])
    times = DAY_NS * (first + np.arange(len(closes)))
    return Bars.of(
        Instrument(f"file:{name}"), open_time=times, close_time=times + DAY_NS, open=opens,
        high=np.maximum(opens, closes), low=np.minimum(opens, closes), close=closes, volume=np.ones(len(closes)),
    )  # fmt: skip


def curves(seed: int, count: int = 1500) -> tuple[Curve, Curve, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    b = random.normal(0.0004, 0.012, count)
    r = 0.6 * b + random.normal(0.0002, 0.008, count)
    times = DAY_NS * np.arange(count + 1)
    return (*(Curve(times, 1e6 * np.cumprod(np.append(1.0, 1.0 + one))) for one in (r, b)), r, b)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_agrees_with_empyrical_and_quantstats(seed: int) -> None:
    empyrical, pandas = pytest.importorskip("empyrical"), pytest.importorskip("pandas")
    curve, benchmark, r, b = curves(seed)
    figures = benchmark_metrics(curve, benchmark, 1e6)
    assert figures["beta"] == pytest.approx(empyrical.beta(r, b), rel=1e-9)
    assert figures["correlation"] == pytest.approx(np.corrcoef(r, b)[0, 1], rel=1e-9)
    assert figures["information_ratio"] == pytest.approx(empyrical.excess_sharpe(r, b) * np.sqrt(YEAR), rel=1e-9)
    assert figures["tracking_error"] == pytest.approx((r - b).std(ddof=1) * np.sqrt(YEAR), rel=1e-9)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        stats = pytest.importorskip("quantstats").stats
        index = pandas.to_datetime(curve.times[1:])
        greeks = stats.greeks(pandas.Series(r, index), pandas.Series(b, index), periods=YEAR)
        ratio = stats.information_ratio(pandas.Series(r, index), pandas.Series(b, index))
    assert figures["alpha"] == pytest.approx(greeks["alpha"], rel=1e-9)
    assert figures["beta"] == pytest.approx(greeks["beta"], rel=1e-9)
    assert figures["information_ratio"] == pytest.approx(ratio * np.sqrt(YEAR), rel=1e-9)


def test_against_itself_and_against_what_does_not_move() -> None:
    curve, _, _, _ = curves(4)
    same = benchmark_metrics(curve, curve, 1e6)
    assert same["beta"] == pytest.approx(1)
    assert same["alpha"] == pytest.approx(0, abs=1e-12)
    assert same["information_ratio"] is None
    flat = benchmark_metrics(curve, Curve(curve.times, np.full(len(curve), 1e6)), 1e6)
    assert flat["beta"] is flat["alpha"] is flat["correlation"] is None
    assert flat["benchmark_return"] == 0


def test_short_runs_have_a_beta_and_nothing_annualised() -> None:
    curve, benchmark, _, _ = curves(5, 15)
    figures = benchmark_metrics(curve, benchmark, 1e6)
    assert figures["beta"] is not None
    assert figures["alpha"] is figures["tracking_error"] is figures["information_ratio"] is None


def test_hold_buys_each_at_its_first_open_in_equal_parts() -> None:
    early, late = daily("A", [10.0, 11, 12, 15]), daily("B", [100.0, 50], first=2)
    both = Bars.merge([early, late])
    curve = hold(both.array, 2, 1000.0)
    assert curve.times.tolist() == [DAY_NS * day for day in (1, 2, 3, 4)]
    assert curve.values.tolist() == [1000, 1050, 600 + 500, 750 + 250]
    alone = hold(early.array, 1, 1000.0)
    assert alone.values.tolist() == [1000, 1100, 1200, 1500]
    assert hold(Bars.merge([early]).array, 1, 1000.0).values.tolist() == alone.values.tolist()


def test_a_benchmark_of_ones_own_is_taken_as_it_was_known() -> None:
    bars = daily("A", [10.0, 11, 12, 15], first=10)
    index = daily("I", [200.0, 220, 240, 260, 300], first=8)  # began earlier; its last bar is of the run's third day
    curve = benchmark_of(bars, 1000.0, index)
    assert curve.times.tolist() == np.unique(bars.array["close_time"]).tolist()
    assert np.allclose(curve.values, 1000 / 240 * np.array([240, 260, 300, 300]))
    level = Curve(DAY_NS * np.array([0, 12]), np.array([5.0, 6.0]))
    assert np.allclose(benchmark_of(bars, 1000.0, level).values, [1000, 1200, 1200, 1200])
    with pytest.raises(InputError, match="begins after"):
        benchmark_of(bars, 1000.0, daily("late", [1.0, 2.0], first=11))
