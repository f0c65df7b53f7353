"""Indicators that TA-Lib does not have, against their definitions written out with NumPy, bar by bar."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import talib
from numpy.typing import NDArray
from tests.engine.indicator_cases import INSTRUMENTS, Columns, arrays_of, load_bars, run_plain

from quantlytic import indicators as q

Array = NDArray[np.float64]
Windowed = Callable[[dict[str, Array]], float]


def rolling(bars: Columns, rows: int, rule: Windowed) -> Array:
    """The rule over the last `rows` bars, NaN until there are so many."""
    count = len(bars["close"])
    out = np.full(count, np.nan)
    for i in range(rows - 1, count):
        out[i] = rule({name: column[i - rows + 1 : i + 1] for name, column in bars.items()})
    return out


def typical(w: dict[str, Array]) -> Array:
    return (w["high"] + w["low"] + w["close"]) / 3


def chop(w: dict[str, Array]) -> float:
    last = w["close"][:-1]
    path = np.maximum(w["high"][1:], last) - np.minimum(w["low"][1:], last)
    spread = w["high"][1:].max() - w["low"][1:].min()
    return float(100 * math.log10(path.sum() / spread) / math.log10(len(path)))


def rogers_satchell(w: dict[str, Array]) -> float:
    o, h, low, c = (w[name] for name in ("open", "high", "low", "close"))
    return float(np.mean(np.log(h / c) * np.log(h / o) + np.log(low / c) * np.log(low / o)))


def yang_zhang(w: dict[str, Array]) -> float:
    n = len(w["close"]) - 1
    today = {name: column[1:] for name, column in w.items()}
    k = 0.34 / (1.34 + (n + 1) / (n - 1))
    gaps = np.log(today["open"] / w["close"][:-1])
    bodies = np.log(today["close"] / today["open"])
    return math.sqrt(gaps.var(ddof=1) + k * bodies.var(ddof=1) + (1 - k) * rogers_satchell(today))


def garman_klass(w: dict[str, Array]) -> float:
    spread, body = np.log(w["high"] / w["low"]), np.log(w["close"] / w["open"])
    return math.sqrt(np.mean(spread**2 / 2 - (2 * math.log(2) - 1) * body**2))


def alma(w: dict[str, Array]) -> float:
    weights = np.exp(-((np.arange(9) - 0.85 * 8) ** 2) / (2 * (9 / 6) ** 2))
    return float(weights @ w["close"] / weights.sum())


def ease(w: dict[str, Array]) -> float:
    middle = (w["high"] + w["low"]) / 2
    return float(np.mean(np.diff(middle) * ((w["high"] - w["low"]) * 1e8 / w["volume"])[1:]))


# ours, the rows its rule needs, the rule
WINDOWED: list[tuple[Any, int, Windowed]] = [
    (q.ZScore(20), 20, lambda w: (w["close"][-1] - w["close"].mean()) / w["close"].std()),
    (q.ZScore(20, ddof=1), 20, lambda w: (w["close"][-1] - w["close"].mean()) / w["close"].std(ddof=1)),
    (q.Var(10, ddof=1), 10, lambda w: w["close"].var(ddof=1)),
    (q.ALMA(), 9, alma),
    (q.Lag(5), 6, lambda w: w["close"][0]),
    (q.ArgMax(9), 9, lambda w: np.argmax(w["close"][::-1])),
    (q.ArgMin(9), 9, lambda w: np.argmin(w["close"][::-1])),
    (q.RollingVWAP(12), 12, lambda w: (typical(w) * w["volume"]).sum() / w["volume"].sum()),
    (q.EaseOfMovement(14), 15, ease),
    (q.RealisedVolatility(20), 21, lambda w: np.diff(np.log(w["close"])).std(ddof=1)),
    (q.RealisedVolatility(20, bars_per_year=252), 21, lambda w: np.diff(np.log(w["close"])).std(ddof=1) * math.sqrt(252)),
    (q.Parkinson(20), 20, lambda w: math.sqrt(np.mean(np.log(w["high"] / w["low"]) ** 2) / (4 * math.log(2)))),
    (q.GarmanKlass(20), 20, garman_klass),
    (q.RogersSatchell(20), 20, lambda w: math.sqrt(rogers_satchell(w))),
    (q.YangZhang(20), 21, yang_zhang),
    (q.Choppiness(14), 15, chop),
    (q.UlcerIndex(2), 3, lambda w: math.sqrt(np.mean(np.minimum(100 * np.diff(w["close"]) / w["close"][:-1], 0) ** 2))),
]  # fmt: skip


@pytest.fixture(scope="module", params=INSTRUMENTS)
def bars(request: pytest.FixtureRequest, market_data: Path) -> Columns:
    return load_bars(market_data, request.param, 800)


@pytest.mark.parametrize(("ours", "rows", "rule"), WINDOWED, ids=[type(case[0]).__name__ for case in WINDOWED])
def test_by_definition(bars: Columns, ours: Any, rows: int, rule: Windowed) -> None:
    import copy

    expected = rolling(bars, rows, rule)
    result = run_plain(copy.deepcopy(ours), arrays_of(ours, bars))[0]
    np.testing.assert_array_equal(np.isnan(result), np.isnan(expected))
    np.testing.assert_allclose(result, expected, rtol=1e-9, atol=1e-12)


def test_bollinger_width_and_place(bars: Columns) -> None:
    upper, middle, lower = talib.BBANDS(bars["close"], 20, 2.0, 2.0)
    _, _, _, bandwidth, percent_b = run_plain(q.BollingerBands(), [bars["close"]])
    np.testing.assert_allclose(bandwidth, (upper - lower) / middle, rtol=1e-9)
    np.testing.assert_allclose(percent_b, (bars["close"] - lower) / (upper - lower), rtol=1e-9, atol=1e-12)


def test_chandelier(bars: Columns) -> None:
    high, low, close = bars["high"], bars["low"], bars["close"]
    reach = 3 * talib.ATR(high, low, close, 22)
    long, short = run_plain(q.ChandelierExit(), [high, low, close])
    np.testing.assert_allclose(long, talib.MAX(high, 22) - reach, rtol=1e-9)
    np.testing.assert_allclose(short, talib.MIN(low, 22) + reach, rtol=1e-9)


def test_connors_rsi(bars: Columns) -> None:
    close = bars["close"]
    streak = [0.0]
    for move in np.sign(np.diff(close)):
        streak.append(move + streak[-1] if move * streak[-1] > 0 else move)
    changes = close[1:] / close[:-1] - 1
    rank = np.full(len(close), np.nan)
    for i in range(101, len(close)):
        rank[i] = 100 * np.mean(changes[i - 101 : i - 1] < changes[i - 1])
    expected = (talib.RSI(close, 3) + talib.RSI(np.array(streak), 2) + rank) / 3
    np.testing.assert_allclose(run_plain(q.ConnorsRSI(), [close])[0], expected, rtol=1e-9)


def test_fisher(bars: Columns) -> None:
    middle = (bars["high"] + bars["low"]) / 2
    top, bottom = talib.MAX(middle, 10), talib.MIN(middle, 10)
    place = fisher = 0.0
    expected = np.full(len(middle), np.nan)
    for i in range(9, len(middle)):
        raw = 2 * ((middle[i] - bottom[i]) / (top[i] - bottom[i]) - 0.5) if top[i] > bottom[i] else 0.0
        place = np.clip(0.33 * raw + 0.67 * place, -0.999, 0.999)
        fisher = np.arctanh(place) + 0.5 * fisher
        expected[i] = fisher
    value, signal = run_plain(q.FisherTransform(), [bars["high"], bars["low"]])
    np.testing.assert_allclose(value, expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(signal[1:], expected[:-1], rtol=1e-9, atol=1e-12)


def test_ichimoku(bars: Columns) -> None:
    middles = {rows: (talib.MAX(bars["high"], rows) + talib.MIN(bars["low"], rows)) / 2 for rows in (9, 26, 52)}
    conversion, base, span_a, span_b = run_plain(q.Ichimoku(), [bars["high"], bars["low"]])
    np.testing.assert_allclose(conversion, middles[9])
    np.testing.assert_allclose(base, middles[26])
    np.testing.assert_allclose(span_a[26:], ((middles[9] + middles[26]) / 2)[:-26])
    np.testing.assert_allclose(span_b[26:], middles[52][:-26])


def test_supertrend_turns_only_when_a_close_crosses_the_band(bars: Columns) -> None:
    value, trend = run_plain(q.Supertrend(), [bars["high"], bars["low"], bars["close"]])
    assert set(trend[10:]) == {-1.0, 1.0}
    assert (trend[:10] == 0).all()
    turned = np.flatnonzero(np.diff(trend[10:])) + 11
    assert len(turned) > 5
    assert all((bars["close"][i] - value[i - 1]) * trend[i] > 0 for i in turned)


def test_session_vwap_begins_anew_each_day(bars: Columns) -> None:
    day = bars["time"] // 86_400e9
    flow, volume = typical(bars) * bars["volume"], bars["volume"]
    expected = [
        flow[: i + 1][day[: i + 1] == d].sum() / volume[: i + 1][day[: i + 1] == d].sum() for i, d in enumerate(day)
    ]
    np.testing.assert_allclose(run_plain(q.SessionVWAP(), arrays_of(q.SessionVWAP, bars))[0], expected, rtol=1e-9)


def test_an_anchored_vwap_forgets_what_was_before(bars: Columns) -> None:
    arrays = arrays_of(q.VWAP, bars)
    anchored = q.VWAP()
    run_plain(anchored, [array[:300] for array in arrays])
    anchored.reset()
    assert not anchored.ready
    np.testing.assert_array_equal(
        run_plain(anchored, [array[300:] for array in arrays]), run_plain(q.VWAP(), [array[300:] for array in arrays])
    )
