"""Each rule against its definition, written once more over whole arrays: when it enters, turns and leaves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import quantlytic as ql
from quantlytic import indicators as ind
from quantlytic.strategies import catalogue

Array = NDArray[Any]
Rule = tuple[Array, Array, Array, Array]  # goes long, goes short, leaves a long, leaves a short


def mirrored(above: Array, below: Array) -> Rule:
    """Long while above, short while below."""
    return above, below, below, above


def before(values: Array) -> Array:
    return np.append(np.nan, values[:-1])


def ema_cross(b: Any) -> Rule:
    fast, slow = ind.EMA.over(b["close"], period=20), ind.EMA.over(b["close"], period=100)
    return mirrored(fast > slow, fast < slow)


def macd(b: Any) -> Rule:
    found = ind.MACD.over(b["close"])
    return mirrored(found.value > found.signal, found.value < found.signal)


def donchian(b: Any) -> Rule:
    entry, leave = (ind.DonchianChannel.over(b["high"], b["low"], period=n) for n in (55, 20))
    ready = ~np.isnan(before(entry.upper))
    close = b["close"]
    long_in, short_in = close > before(entry.upper), close < before(entry.lower)
    return long_in, short_in, ready & (close < before(leave.lower)), ready & (close > before(leave.upper))


def supertrend(b: Any) -> Rule:
    trend = ind.Supertrend.over(b["high"], b["low"], b["close"]).trend
    ready = ~np.isnan(ind.Supertrend.over(b["high"], b["low"], b["close"]).value)
    return mirrored(ready & (trend > 0), ready & (trend < 0))


def parabolic(b: Any) -> Rule:
    sar = ind.SAR.over(b["high"], b["low"])
    return mirrored(b["close"] > sar.value, b["close"] < sar.value)


def adx(b: Any) -> Rule:
    found = ind.ADX.over(b["high"], b["low"], b["close"])
    up, down, strong = found.plus_di > found.minus_di, found.plus_di < found.minus_di, found.value > 25
    return up & strong, down & strong, down, up


def ichimoku(b: Any) -> Rule:
    high, low = b["high"], b["low"]

    def middle(n: int) -> Array:
        return (ind.Max.over(high, period=n) + ind.Min.over(low, period=n)) / 2

    conversion, base = middle(9), middle(26)
    spans = np.array([(conversion + base) / 2, middle(52)])
    spans = np.concatenate([np.full((2, 26), np.nan), spans[:, :-26]], axis=1)
    top, bottom = spans.max(axis=0), spans.min(axis=0)
    long_in, short_in = (b["close"] > top) & (conversion > base), (b["close"] < bottom) & (conversion < base)
    return long_in, short_in, b["close"] < bottom, b["close"] > top


def heikin_ashi(b: Any) -> Rule:
    candle = ind.HeikinAshi.over(b["open"], b["high"], b["low"], b["close"])
    up, down = (ind.Sum.over(side.astype(float), period=4) == 4 for side in _sides(candle))
    up_3, down_3 = (ind.Sum.over(side.astype(float), period=3) == 3 for side in _sides(candle))
    return up, down, down_3, up_3


def _sides(candle: Any) -> tuple[Array, Array]:
    return candle.close > candle.open, candle.close < candle.open


def keltner(b: Any) -> Rule:
    found = ind.KeltnerChannel.over(b["high"], b["low"], b["close"])
    close = b["close"]
    return close > found.upper, close < found.lower, close < found.middle, close > found.middle


def rsi(b: Any) -> Rule:
    strength = ind.RSI.over(b["close"])
    return strength < 30, strength > 70, strength > 55, strength < 45


def connors(b: Any) -> Rule:
    strength = ind.RSI.over(b["close"], period=2)
    trend, leave = (ind.SMA.over(b["close"], period=n) for n in (200, 5))
    close = b["close"]
    return (strength < 10) & (close > trend), (strength > 90) & (close < trend), close > leave, close < leave


def stochastic(b: Any) -> Rule:
    found = ind.Stochastic.over(b["high"], b["low"], b["close"], period=14)
    turns_up, turns_down = (found.k > found.d) & (found.d < 20), (found.k < found.d) & (found.d > 80)
    return turns_up, turns_down, found.d > 80, found.d < 20


def bollinger(b: Any) -> Rule:
    bands = ind.BollingerBands.over(b["close"])
    close = b["close"]
    return close < bands.lower, close > bands.upper, close > bands.middle, close < bands.middle


def vwap(b: Any) -> Rule:
    typical = (b["high"] + b["low"] + b["close"]) / 3
    sums = [ind.Sum.over(x, period=24) for x in (typical * b["volume"], b["volume"])]
    away = b["close"] * sums[1] / sums[0] - 1
    reach = 2 * ind.StdDev.over(away, period=24)
    ready = ~np.isnan(reach)
    return away < -reach, away > reach, ready & (away > 0), ready & (away < 0)


def obv(b: Any) -> Rule:
    flow = ind.OBV.over(b["close"], b["volume"])
    flow, move = flow - ind.EMA.over(flow, period=30), b["close"] - ind.EMA.over(b["close"], period=50)
    return mirrored((flow > 0) & (move > 0), (flow < 0) & (move < 0))


RULES: dict[str, Callable[[Any], Rule]] = {
    "ema-cross": ema_cross,
    "macd": macd,
    "donchian-breakout": donchian,
    "supertrend": supertrend,
    "parabolic-sar": parabolic,
    "adx-trend": adx,
    "ichimoku": ichimoku,
    "heikin-ashi": heikin_ashi,
    "keltner-breakout": keltner,
    "rsi-reversion": rsi,
    "connors-rsi2": connors,
    "stochastic-reversion": stochastic,
    "bollinger": bollinger,
    "vwap-reversion": vwap,
    "obv-trend": obv,
}
PATIENT = {"connors-rsi2"}  # leaves first, and turns only from flat


def sides_of(rule: Rule, short: bool, patient: bool) -> list[tuple[int, int]]:
    """(bar, position wanted) wherever it changes."""
    long_in, short_in, long_out, short_out = rule
    held, found = 0, []
    for k in range(len(long_in)):
        wanted = held
        if long_in[k] and (held == 0 if patient else held < 1):
            wanted = 1
        elif short and short_in[k] and (held == 0 if patient else held > -1):
            wanted = -1
        elif (held > 0 and long_out[k]) or (held < 0 and short_out[k]):
            wanted = 0
        if wanted != held:
            found.append((k, wanted))
            held = wanted
    return found


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("short", [False, True])
def test_does_what_its_definition_says(name: str, short: bool) -> None:
    bars = ql.demo_bars(500, seed=4)
    strategy = catalogue.find(name)(short=short)
    session = ql.Session(strategy, bars.instruments, 1e5, ql.Fees(10), compiled=False, allow_short=short)
    session.run(bars)
    signals = session.signals
    found = list(
        zip(signals["bar_offset"].tolist(), np.sign(signals["target_quantity"]).astype(int).tolist(), strict=True)
    )
    expected = sides_of(RULES[name](bars.array), short, name in PATIENT)
    assert found == expected
    assert len(expected) > 2
