"""Labels by hand, and by a second way of computing them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.learn.made import MINUTE_NS, bars_of, made_bars, without

from quantlytic.engine.data.bars import Bars
from quantlytic.learn.labels.barriers import first_touch
from quantlytic.learn.labels.labels import Labels, labels_of
from quantlytic.learn.labels.labelspec import LabelSpec
from quantlytic.model.errors import DataError, InputError


def test_forward_returns_and_directions_by_hand() -> None:
    bars = bars_of([100.0, 110.0, 99.0, 99.0, 120.0])
    found = labels_of(bars, LabelSpec("forward_return", 2))
    assert np.allclose(found.value[:3], [-0.01, -0.1, 120 / 99 - 1])
    assert found.known.tolist() == [True, True, True, False, False]
    assert found.end_row.tolist() == [2, 3, 4, 3, 4]
    assert found.end_time[0] == bars.array["close_time"][2]
    assert math.isclose(labels_of(bars, LabelSpec("forward_return", 2, log=True)).value[0], math.log(0.99))
    direction = labels_of(bars, LabelSpec("direction", 2, dead_zone=0.02))
    assert np.array_equal(direction.value, [np.nan, 0.0, 1.0, np.nan, np.nan], equal_nan=True)
    assert direction.known.tolist() == [False, True, True, False, False]


def _touch(open_: list[float], high: list[float], low: list[float], close: list[float], side: float = 1.0) -> tuple:
    n = len(close)
    end, touch, result = np.arange(n), np.zeros(n, np.int8), np.full(n, np.nan)
    arrays = [np.array(one, np.float64) for one in (open_, high, low, close)]
    first_touch(*arrays, np.full(n, 0.05), np.full(n, side), 1.0, 1.0, n - 1, end, touch, result)
    return int(end[0]), int(touch[0]), float(result[0])


@pytest.mark.parametrize(
    ("bars", "side", "expected"),
    [
        (([100, 100, 101], [100, 104, 106], [100, 99, 100], [100, 101, 104]), 1, (2, 1, 0.05)),
        (([100, 100, 101], [100, 106, 106], [100, 94, 100], [100, 101, 104]), 1, (1, -1, -0.05)),  # both: the worse
        (
            ([100, 90, 101], [100, 106, 106], [100, 89, 100], [100, 101, 104]),
            1,
            (1, -1, -0.10),
        ),  # a gap through the stop
        (([100, 110, 101], [100, 110, 106], [100, 94, 100], [100, 101, 104]), 1, (1, 1, 0.10)),  # a gap to the profit
        (([100, 100, 101], [100, 101, 103], [100, 99, 100], [100, 101, 102]), 1, (2, 0, 0.02)),  # neither
        (([100, 100, 101], [100, 101, 106], [100, 99, 100], [100, 101, 102]), -1, (2, -1, -0.05)),  # short: up is loss
        (([100, 100, 97], [100, 101, 98], [100, 99, 94], [100, 99, 95]), -1, (2, 1, 0.05)),
    ],
)
def test_barriers_by_hand(bars: tuple, side: float, expected: tuple[int, int, float]) -> None:
    end, touch, result = _touch(*bars, side=side)
    assert (end, touch) == expected[:2]
    assert math.isclose(result, expected[2], abs_tol=1e-12)


def _naive_barriers(bars: Bars, spec: LabelSpec, compiled: bool) -> Labels:
    """The definition written out, for barriers that lie above and below."""
    array, n = bars.array, len(bars)
    returns = np.diff(np.log(array["close"]))
    expected = []
    for i in range(n - spec.horizon):
        if i < spec.volatility_window:
            expected.append(None)
            continue
        width = np.std(returns[i - spec.volatility_window : i]) * math.sqrt(spec.horizon)
        up, down = array["close"][i] * (1 + spec.profit * width), array["close"][i] * (1 - spec.stop * width)
        outcome = (i + spec.horizon, 0)
        for j in range(i + 1, i + spec.horizon + 1):
            hit_up, hit_down = array["high"][j] >= up, array["low"][j] <= down
            if hit_up or hit_down:
                opened_up = array["open"][j] >= up
                outcome = (j, 1 if hit_up and (opened_up or not hit_down) else -1)
                break
        expected.append(outcome)
    found = labels_of(bars, spec, compiled=compiled)
    for i, one in enumerate(expected):
        if one is None:
            assert not found.known[i]
        else:
            assert found.known[i], i
            assert (found.end_row[i], found.touch[i]) == one, i
    return found


@pytest.mark.parametrize("compiled", [False, True])
def test_triple_barriers_by_definition(compiled: bool) -> None:
    spec = LabelSpec("triple_barrier", 8, profit=0.8, stop=0.6, volatility_window=20)
    found = _naive_barriers(made_bars(300, seed=3), spec, compiled)
    assert {-1, 0, 1} == set(found.touch[found.known].tolist())
    assert set(found.value[found.known].tolist()) == {0.0, 1.0}
    assert (found.value[found.touch == 1] == 1.0).all()
    assert (found.value[found.touch == -1] == 0.0).all()
    dropped = labels_of(
        made_bars(300, seed=3),
        LabelSpec("triple_barrier", 8, profit=0.8, stop=0.6, volatility_window=20, at_end="drop"),
    )
    assert (dropped.touch[dropped.known] != 0).all()


def test_trends_by_regression() -> None:
    bars = made_bars(60, seed=5)
    found = labels_of(bars, LabelSpec("trend_scan", 12, shortest=4))
    x = np.log(bars.array["close"])
    for i in (0, 7, 20, 47):
        t_values = {}
        for ahead in range(4, 13):
            y = x[i : i + ahead + 1]
            time = np.arange(len(y)) - ahead / 2.0
            slope = time @ y / (time @ time)
            rest = y - y.mean() - slope * time
            t_values[ahead] = slope / math.sqrt(rest @ rest / (len(y) - 2) / (time @ time))
        best = max(t_values, key=lambda one: abs(t_values[one]))
        assert found.end_row[i] == i + best
        assert math.isclose(found.strength[i], abs(t_values[best]), rel_tol=1e-6)
        assert found.value[i] == (t_values[best] > 0)
    line = labels_of(bars_of(np.exp(np.arange(30) * 0.01)), LabelSpec("trend_scan", 10))
    assert (line.value[line.known] == 1.0).all()
    flat = labels_of(bars_of(np.full(30, 5.0)), LabelSpec("trend_scan", 10))
    assert not flat.known.any()


def test_meta_labels_judge_the_signals_side() -> None:
    bars = made_bars(200, seed=1)
    spec = LabelSpec("meta", 5, volatility_window=10)
    long = labels_of(bars, spec, signal=np.ones(200))
    short = labels_of(bars, spec, signal=-np.ones(200))
    signal = np.where(np.arange(200) % 3 == 0, 1.0, 0.0)
    some = labels_of(bars, spec, signal=signal)
    assert not some.known[signal == 0].any()
    assert np.array_equal(some.value[signal > 0], long.value[signal > 0], equal_nan=True)
    at_end = long.known & (long.touch == 0) & (short.touch == 0)
    assert np.allclose(long.result[at_end], -short.result[at_end])
    assert (long.value[long.known] == (long.result[long.known] > 0)).all()
    with pytest.raises(InputError, match="meta-labels judge a signal"):
        labels_of(bars, spec)
    with pytest.raises(InputError, match="one number a row"):
        labels_of(bars, spec, signal=np.ones(3))


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(["forward_return", "direction", "triple_barrier", "trend_scan"]),
    st.integers(0, 10**6),
    st.integers(5, 12),
)
def test_a_label_depends_on_its_own_time_alone(kind: str, seed: int, horizon: int) -> None:
    bars = made_bars(80, seed=seed)
    spec = LabelSpec(kind, horizon, volatility_window=10)
    whole = labels_of(bars, spec, compiled=False)
    cut = int(np.random.default_rng(seed).integers(30, 79))
    part = labels_of(Bars(bars.array[: cut + 1], bars.instruments), spec, compiled=False)
    assert (part.end_row[part.known] <= cut).all()
    assert np.array_equal(part.value[: cut + 1 - horizon], whole.value[: cut + 1 - horizon], equal_nan=True)
    assert not part.known[cut + 1 - horizon :].any()


def test_instruments_are_labelled_apart_and_holes_are_not_spanned() -> None:
    one, two = made_bars(50, "x:A", 1), made_bars(50, "x:B", 2)
    both = Bars.merge([one, two])
    together = labels_of(both, LabelSpec("direction", 3))
    for k, alone in enumerate((one, two)):
        rows = np.flatnonzero(both.array["instrument"] == k)
        apart = labels_of(alone, LabelSpec("direction", 3))
        assert np.array_equal(together.value[rows], apart.value, equal_nan=True)
        assert np.array_equal(together.end_row[rows], rows[apart.end_row])
    holed = labels_of(without(one, [20, 21]), LabelSpec("forward_return", 3), bar_size_ns=MINUTE_NS)
    assert holed.known[16]
    assert not holed.known[17:20].any()
    assert holed.known[20]


def test_says_what_is_wrong() -> None:
    bars = made_bars(20)
    with pytest.raises(DataError, match="x:A has 20 bars, and a label looks 20 bars ahead"):
        labels_of(bars, LabelSpec("direction", 20))
    with pytest.raises(InputError, match="did you mean 'triple_barrier'"):
        labels_of(bars, LabelSpec("tripple_barrier"))
    with pytest.raises(InputError, match="horizon is 1 bar or more"):
        labels_of(bars, LabelSpec(horizon=0))
    with pytest.raises(InputError, match="shortest is 2 bars or more"):
        labels_of(bars, LabelSpec("trend_scan", 4, shortest=5))
    with pytest.raises(InputError, match="take no signal"):
        labels_of(bars, LabelSpec(), signal=np.ones(20))
