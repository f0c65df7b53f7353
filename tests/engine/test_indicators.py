"""What holds for every indicator: `ready`, NaN, halves, flat prices, compiled and plain the same."""

from __future__ import annotations

import copy
import inspect
import math
from typing import Any

import numpy as np
import pytest
import talib
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.engine.indicator_cases import CLASSES, NAMES, Columns, arrays_of, inputs_of, make, random_bars, run_plain
from tests.engine.market import workload_bars

from quantlytic.engine.compiler.record import layout_of, pack
from quantlytic.engine.compiler.vectorise import run_over
from quantlytic.engine.param import Whole
from quantlytic.indicators import ATR, EMA, KAMA, MACD, RSI, SMA, WMA, BollingerBands, Indicator, Stochastic, Sum, Var
from quantlytic.model.errors import InputError

ROWS = 320
BARS = random_bars(ROWS, seed=11)
PERIODIC = [cls for cls in CLASSES if "period" in inspect.signature(cls.__init__).parameters]
UNDEFINED_WHEN_FLAT = {"Cointegration", "HalfLife"}
every_indicator = pytest.mark.parametrize("cls", CLASSES, ids=NAMES)


@every_indicator
def test_ready_from_the_first_value_on(cls: Any) -> None:
    indicator = make(cls)
    assert not indicator.ready
    seen = False
    traded = {**BARS, "volume": BARS["volume"] + 1.0}
    for row in zip(*arrays_of(indicator, traded), strict=True):
        value = indicator.update(*(float(x) for x in row))
        assert indicator.ready is not math.isnan(value)
        assert indicator.ready or not seen, "it was ready before"
        seen = indicator.ready
    assert seen


@every_indicator
def test_a_saved_state_goes_on_as_if_nothing_had_been(cls: Any) -> None:
    arrays = [array[:220] for array in arrays_of(cls, BARS)]
    whole, first = make(cls), make(cls)
    expected = run_plain(whole, arrays)
    run_plain(first, [array[:110] for array in arrays])
    layout = layout_of(first)
    assert layout is layout_of(whole), "the layout must not depend on what came in"
    state = np.zeros(1, layout.dtype)
    pack(first, layout, state[0])
    view = layout.view(state.view(np.uint8))
    np.testing.assert_array_equal(run_plain(view, [array[110:] for array in arrays]), expected[:, 110:])


@every_indicator
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_missing_input_does_no_lasting_harm(cls: Any, bad: float) -> None:
    """Recursive indicators skip that bar. The others have no number while it matters, and never a wrong one."""
    holes = [5, 150, 151]
    for name in sorted(set(inputs_of(cls)) - {"time"}):
        arrays = [BARS[column].copy() for column in inputs_of(cls)]
        arrays[inputs_of(cls).index(name)][holes] = bad
        results = run_plain(make(cls), arrays)
        if cls.on_nan == "skip":
            kept = np.setdiff1d(np.arange(ROWS), holes)
            expected = run_plain(make(cls), [array[kept] for array in arrays])
            np.testing.assert_array_equal(results[:, kept], expected)
            np.testing.assert_array_equal(results[:, holes], results[:, [4, 149, 149]])
        else:
            clean = run_plain(make(cls), arrays_of(cls, BARS))
            np.testing.assert_allclose(results[:, -40:], clean[:, -40:], rtol=1e-9, atol=1e-9)
            known = np.isfinite(results)
            np.testing.assert_allclose(results[known], clean[known], rtol=1e-9, atol=1e-9)
            assert not known[:, 150:252].all(), "NaN in, a number out"


@every_indicator
@pytest.mark.parametrize(("price", "volume"), [(7.3, 2.0), (7.3, 0.0), (0.0, 0.0), (-3.0, 1.0)])
def test_flat_prices_and_zeros_never_raise(cls: Any, price: float, volume: float) -> None:
    """Nor does a result become infinite; where prices are above 0 and something is traded, all become ready."""
    indicator = make(cls)
    row = [{"volume": volume, "time": 0.0}.get(name, price) for name in inputs_of(cls)]
    results = run_plain(indicator, [np.full(200, value) for value in row])
    if cls.__name__ in UNDEFINED_WHEN_FLAT:
        return
    assert not np.isinf(results).any()
    if price > 0.0 and volume > 0.0:
        assert indicator.ready
        assert len(np.unique(results[:, -20:].round(9), axis=1).T) <= 20
    if set(indicator.outputs) == {"upper", "middle", "lower"} and price > 0.0:
        assert results[:, -1].round(12).tolist() == [price] * 3


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 40),
    st.lists(st.floats(-1e6, 1e6, allow_subnormal=False), min_size=1, max_size=40),
)
def test_windows_by_definition(period: int, values: list[float]) -> None:
    arrays = [np.array(values)]
    scale = 1e-9 * (1 + max(map(abs, values)))
    total, mean, weighted = (run_plain(make(cls, period), arrays)[0] for cls in (Sum, SMA, WMA))
    variance = run_plain(make(Var, period), arrays)[0]
    weights = np.arange(1, period + 1) / (period * (period + 1) / 2)
    for i in range(len(values)):
        window = np.array(values[max(i - period + 1, 0) : i + 1])
        if len(window) < period:
            assert all(math.isnan(a[i]) for a in (total, mean, weighted, variance))
            continue
        assert total[i] == pytest.approx(math.fsum(window), abs=scale * period)
        assert mean[i] == pytest.approx(math.fsum(window) / period, abs=scale)
        assert weighted[i] == pytest.approx(float(weights @ window), abs=scale)
        # what has left the window leaves the rounding of its square in the sums, until they are added up afresh
        left = 2e-12 * max(map(abs, values)) ** 2
        assert variance[i] == pytest.approx(window.var(), rel=1e-9, abs=scale * scale + left)


@pytest.mark.parametrize("rows", [1, 2, 20])
def test_a_period_as_long_as_the_data(rows: int) -> None:
    for cls in (Sum, SMA, EMA, WMA, Var):
        results = run_plain(make(cls, rows), [BARS["close"][:rows]])[0]
        assert np.isnan(results).tolist() == [True] * (rows - 1) + [False]
        assert np.isnan(run_plain(make(cls, rows + 1), [BARS["close"][:rows]])).all()


@pytest.mark.parametrize(
    "cls",
    PERIODIC,
    ids=lambda cls: cls.__name__,
)
def test_one_layout_serves_a_sweep(cls: Any) -> None:
    """Buffers take what the parameter's `high` needs: nothing is compiled again for another period."""
    layouts = {layout_of(cls(period=Whole(period, high=100))) for period in (10, 16, 33, 100)}
    assert len(layouts) == 1
    results = [run_plain(cls(period=period), arrays_of(cls, BARS)) for period in (33, Whole(33, high=100))]
    np.testing.assert_array_equal(*results)


def test_an_indicator_of_another_one() -> None:
    """The first results are NaN: a window waits for numbers, a recursive one begins with them."""
    strength = run_plain(RSI(14), [BARS["close"]])[0]
    for cls, theirs in ((SMA, talib.SMA), (EMA, talib.EMA), (WMA, talib.WMA)):
        results = run_plain(cls(9), [strength])[0]
        expected = np.concatenate((strength[:14], theirs(strength[14:], 9)))
        np.testing.assert_allclose(results, expected, rtol=1e-9)


def everything(classes: list[Any]) -> Any:
    """One indicator that updates all of these and copies their results: one function to compile."""
    made = {f"i{k}": make(cls) for k, cls in enumerate(classes)}
    lines = [f"    self.{name}.update({', '.join(inputs_of(one))})" for name, one in made.items()]
    results = [(f"{name}_{output}", f"self.{name}.{output}") for name, one in made.items() for output in one.outputs]
    lines += [f"    self.{result} = {source}" for result, source in results]
    scope: dict[str, Any] = {"__name__": __name__}
    code = "def update(self, open, high, low, close, volume):\n    x, y, time = close, open, volume\n"
    exec(code + "\n".join(lines) + "\n    return self.value", scope)
    members = {"update": scope["update"], "outputs": tuple(name for name, _ in results), "__module__": __name__}
    whole = type("Everything", (Indicator,), members)()
    for name, value in {"value": math.nan, **made, **dict.fromkeys(members["outputs"], math.nan)}.items():
        setattr(whole, name, value)
    return whole


def assert_compiled_is_plain(whole: Any, bars: Columns) -> None:
    columns = tuple(bars[name] for name in ("open", "high", "low", "close", "volume"))
    compiled = run_over(whole, columns)
    plain = run_plain(whole, list(columns))
    for output, ours, theirs in zip(whole.outputs, compiled, plain, strict=True):
        np.testing.assert_array_equal(ours, theirs, err_msg=output)


COMPILED = [SMA, EMA, RSI, ATR, KAMA, MACD, BollingerBands, Stochastic]
TEMPLATE = everything(COMPILED)
"""One class, so that what is compiled for one example serves the next."""
anything = st.one_of(
    st.floats(1e-6, 1e6), st.floats(-1e6, -1e-6), st.sampled_from([0.0, 1.0, -1.0, math.nan, math.inf])
)


def test_compiled_and_plain_give_the_same_bits() -> None:
    assert_compiled_is_plain(everything(COMPILED), BARS)


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 40), st.lists(anything, max_size=90))
def test_compiled_and_plain_give_the_same_bits_whatever_comes(period: int, values: list[float]) -> None:
    whole = copy.copy(TEMPLATE)
    for k, cls in enumerate(COMPILED):
        setattr(whole, f"i{k}", make(cls, Whole(period, high=40)))
    columns = np.roll(np.resize(np.array(values), (5, len(values))), 1, axis=0)
    assert_compiled_is_plain(whole, dict(zip(("open", "high", "low", "close", "volume"), columns, strict=True)))


@every_indicator
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_whatever_comes_nothing_is_raised(cls: Any, data: st.DataObject) -> None:
    width = len(inputs_of(cls))
    rows = data.draw(st.lists(st.lists(anything, min_size=width, max_size=width), min_size=1, max_size=60))
    indicator = make(cls, 10 if "period" in inspect.signature(cls.__init__).parameters else None)
    for row in rows:
        indicator.update(*row)  # type: ignore[attr-defined]
        assert indicator.ready in (True, False)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_compiled_and_plain_give_the_same_bits_for_all() -> None:
    assert_compiled_is_plain(everything(CLASSES), BARS)


def test_several_results_over_arrays() -> None:
    bands = BollingerBands.over(BARS["close"], period=20, width=2.0)
    assert bands._fields == ("upper", "middle", "lower", "bandwidth", "percent_b")
    for ours, theirs in zip(bands, talib.BBANDS(BARS["close"], 20, 2.0, 2.0), strict=False):
        assert ours.flags.c_contiguous
        np.testing.assert_allclose(ours, theirs, rtol=1e-9)
    assert np.isnan(bands.upper[:19]).all()


@pytest.mark.parametrize("period", [2, 50, 200, 399])
def test_the_moving_average_does_not_drift(period: int) -> None:
    close = workload_bars(1_000_000).array["close"]
    ours = SMA.over(close, period=period)
    for i in np.linspace(period - 1, len(close) - 1, 500).astype(int):
        assert ours[i] == pytest.approx(
            math.fsum(close[i - period + 1 : i + 1]) / period, rel=2e-14 * math.sqrt(period)
        )


def test_the_deviation_keeps_its_digits_at_large_prices() -> None:
    """Sums of squares would keep none of them: 1e9 squared has 18 digits."""
    values = 1e9 + np.random.default_rng(5).normal(0, 0.01, 3_000)
    ours = run_plain(Var(50), [values])[0]
    for i in range(49, 3_000, 50):
        assert ours[i] == pytest.approx((values[i - 49 : i + 1] - 1e9).var(), rel=1e-9)


def test_a_spike_leaves_with_the_window() -> None:
    values = np.array([1.0, 2, 3, 1e18, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14])
    assert run_plain(SMA(3), [values])[0][-1] == 13.0
    assert run_plain(WMA(3), [values])[0][-1] == pytest.approx((12 + 26 + 42) / 6)


def test_a_window_without_volume_has_no_average() -> None:
    """0.1 + 0.2 - 0.1 - 0.2 is not 0: what is left must not become a price."""
    from quantlytic.indicators import CMF, VWMA

    volumes = np.array([0.1, 0.2, 0.3, 0.7, 0, 0, 0, 0])
    assert np.isnan(run_plain(VWMA(3), [np.full(8, 5.0), volumes])[0][-2:]).all()
    flow = run_plain(CMF(3), [np.full(8, 6.0), np.full(8, 5.0), np.full(8, 5.9), volumes])[0]
    assert flow[-2:].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("period", [0, -1, 2.5, True])
@pytest.mark.parametrize("cls", PERIODIC, ids=lambda c: c.__name__)
def test_a_bad_period_is_refused(cls: Any, period: float) -> None:
    with pytest.raises(InputError, match=f"{cls.__name__}: the period is a whole number"):
        cls(period=period)


@pytest.mark.parametrize("width", [-1.0, math.nan, math.inf, True])
def test_a_bad_width_is_refused(width: float) -> None:
    with pytest.raises(InputError, match="BollingerBands: the width is a number, 0 or more"):
        BollingerBands(20, width)


def test_columns_must_fit() -> None:
    with pytest.raises(InputError, match=r"ATR\.over takes high, low, close: 3 arrays of one length"):
        ATR.over(np.ones(3), np.ones(3), np.ones(4), period=2)
    with pytest.raises(InputError, match=r"SMA\.over takes x: 1 arrays of one length, not shapes of none"):
        SMA.over(period=2)
    assert len(SMA.over(np.ones(0), period=2)) == 0
