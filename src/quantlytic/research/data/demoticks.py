"""Quotes and trades made of nothing but a seed, of one market: what is asked of both for one seed fits together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from quantlytic.engine.data.tape import Ticks
from quantlytic.model.errors import InputError
from quantlytic.model.instrument import Instrument
from quantlytic.model.quote import QUOTE
from quantlytic.model.trade import TRADE
from quantlytic.research.data.demo import START_NS

TICK = 0.01
_INSTRUMENT = Instrument("demo:ALPHA", "ALPHA", "USD", TICK, 0.001)


def demo_quotes(n: int = 5000, seed: int = 1) -> Ticks:
    """`n` quotes of an invented instrument, about four a second from 2024-01-01 on, with a tick of 0.01.

    The middle walks at random around 100, and a little in the direction of the quantities' imbalance, which comes and goes
    over seconds; the spread is mostly one tick or two. None of it means anything. Raises InputError for what cannot be.
    """
    _check("demo_quotes", n, seed)
    rows = np.zeros(n, QUOTE)
    rows["event_time"] = rows["receive_time"] = _times(n, seed)
    rows["sequence"] = np.arange(1, n + 1)
    imbalance = _imbalance(n, seed)
    low = np.floor(10_000 + np.cumsum(1.2 * _normal(n, seed, 1) + 0.4 * imbalance) - imbalance)
    spread = np.array([1, 1, 2, 2, 3])[np.floor(_uniform(n, seed, 2) * 5).astype(np.int64)]
    rows["bid"], rows["ask"] = np.round(low * TICK, 2), np.round((low + spread) * TICK, 2)
    depth = np.exp(0.5 * _normal(n, seed, 3))
    rows["bid_quantity"] = np.round(10.0 * depth * (1.0 + imbalance), 3)
    rows["ask_quantity"] = np.round(10.0 * depth * (1.0 - imbalance), 3)
    return Ticks(rows, (_INSTRUMENT,), "demo quotes")


def demo_trades(n: int = 5000, seed: int = 1) -> Ticks:
    """`n` trades on `demo_quotes(n, seed)`: one before each quote but the first, at the bid or the ask of the one in force;
    one in ten goes a tick or two further. Raises InputError for what cannot be."""
    _check("demo_trades", n, seed)
    quotes = demo_quotes(n + 1, seed).array
    rows = np.zeros(n, TRADE)
    before, after = quotes["event_time"][:-1], quotes["event_time"][1:]
    rows["event_time"] = rows["receive_time"] = before + ((after - before) * _uniform(n, seed, 4)).astype(np.int64)
    rows["trade_id"] = np.arange(1, n + 1)
    buys = _uniform(n, seed, 5) < 0.5 * (1.0 + 0.5 * _imbalance(n, seed))
    rows["side"] = np.where(buys, 1, -1)
    further = np.floor(np.maximum(_uniform(n, seed, 6) - 0.9, 0.0) * 20.0 + 0.999) * TICK
    rows["price"] = np.round(np.where(buys, quotes["ask"][:-1] + further, quotes["bid"][:-1] - further), 2)
    rows["quantity"] = np.maximum(np.round(np.exp(_normal(n, seed, 7)), 3), 0.001)
    return Ticks(rows, (_INSTRUMENT,), "demo trades")


def _check(name: str, n: int, seed: int) -> None:
    for word, value, low in (("n", n, 1), ("seed", seed, 0)):
        if isinstance(value, bool) or not isinstance(value, int) or value < low:
            raise InputError(f"{name}: {word} is a whole number, {low} or more, not {value!r}")


def _times(n: int, seed: int) -> NDArray[np.int64]:
    return START_NS + np.cumsum(1_000_000 + (-np.log1p(-_uniform(n, seed, 0)) * 249e6).astype(np.int64))


def _imbalance(n: int, seed: int) -> NDArray[np.float64]:
    """From -0.9 to 0.9: shocks that fade over some ten quotes."""
    shocks, found = _normal(n, seed, 8), np.zeros(n)
    for lag in range(min(60, n)):
        found[lag:] += 0.93**lag * shocks[: n - lag]
    return 0.9 * np.tanh(0.35 * found)


def _normal(n: int, seed: int, part: int) -> NDArray[np.float64]:
    return np.random.default_rng([seed, 77, part]).standard_normal(n)


def _uniform(n: int, seed: int, part: int) -> NDArray[np.float64]:
    return np.random.default_rng([seed, 77, part]).random(n)
