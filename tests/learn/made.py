"""Bars made by a seed."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from quantlytic.engine.data.bars import Bars
from quantlytic.model.instrument import Instrument

MINUTE_NS = 60 * 1_000_000_000
START_NS = 1_700_000_040 * 1_000_000_000


def made_bars(rows: int, symbol: str = "x:A", seed: int = 0, first: int = 0) -> Bars:
    """A random walk by the minute, from minute `first` on."""
    rng = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 1e-3, rows)))
    open_ = np.append(close[:1], close[:-1]) * np.exp(rng.normal(0.0, 1e-4, rows))
    high = np.maximum(open_, close) * (1.0 + 1e-3 * rng.random(rows))
    low = np.minimum(open_, close) * (1.0 - 1e-3 * rng.random(rows))
    bars = bars_of(close, open_, high, low, symbol, first, rng.random(rows) * 10.0 + 1.0)
    bars.array["trades"] = rng.integers(1, 50, rows)
    bars.array["quote_volume"] = bars.array["volume"] * close
    return bars


def bars_of(
    close: ArrayLike,
    open_: ArrayLike | None = None,
    high: ArrayLike | None = None,
    low: ArrayLike | None = None,
    symbol: str = "x:A",
    first: int = 0,
    volume: ArrayLike | None = None,
) -> Bars:
    """Minute bars of these prices; what is left away is the close."""
    close = np.asarray(close, np.float64)
    open_ = close if open_ is None else np.asarray(open_, np.float64)
    times = START_NS + (first + np.arange(len(close))) * MINUTE_NS
    return Bars.of(
        Instrument(symbol), open_time=times, close_time=times + MINUTE_NS, open=open_, close=close,
        high=np.maximum(open_, close) if high is None else high, low=np.minimum(open_, close) if low is None else low,
        volume=np.ones(len(close)) if volume is None else volume,
    )  # fmt: skip


def without(bars: Bars, rows: list[int]) -> Bars:
    """The bars less some."""
    return Bars(np.delete(bars.array, rows), bars.instruments, bars.label)
