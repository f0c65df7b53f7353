"""Bars made of nothing but a seed, to try things on: no file, no network, the same for everybody."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from quantlytic.engine.data.bars import Bars
from quantlytic.model.errors import InputError
from quantlytic.model.instrument import Instrument
from quantlytic.model.time import duration_ns

START_NS = 1_704_067_200_000_000_000
"""When the first bar opens: 2024-01-01 UTC, a Monday."""

_YEAR_NS = 31_557_600 * 1_000_000_000
_ECHO = 40  # bars for which a passing fancy of the price is remembered
_MOODS = np.array([-0.13, -0.04, 0.02, 0.07, 0.18])  # drift of a stretch, in standard deviations a bar
_NAMES = ("ALPHA", "BETA", "GAMMA", "DELTA", "EPSILON", "ZETA", "ETA", "THETA", "IOTA", "KAPPA", "LAMBDA", "OMEGA")


def demo_bars(n: int = 2000, seed: int = 1, instruments: int = 1, size: str = "1h") -> Bars:
    """`n` bars of each of `instruments` invented instruments, from 2024-01-01 on, without holes.

    Prices walk at random, 60 % a year, a third of the variance common to all; the walk has stretches of trend and of calm,
    and noise around it that fades. So rules of every kind find something to do, and none of it means anything. About five
    million units trade in a bar of any size, so that a million in cash is a small part of it. Shorter series are the
    beginning of longer ones, and an instrument's bars do not depend on how many there are.

    n: 1 or more. seed: 0 or more. size: of a bar, such as "1m", "1h", "1d". Raises InputError for what cannot be.
    """
    for name, value, low in (("n", n, 1), ("seed", seed, 0), ("instruments", instruments, 1)):
        if isinstance(value, bool) or not isinstance(value, int) or value < low:
            raise InputError(f"demo_bars: {name} is a whole number, {low} or more, not {value!r}")
    size_ns = duration_ns(size)
    sigma = 0.6 * np.sqrt(size_ns / _YEAR_NS)
    market = np.random.default_rng([seed, 0]).standard_normal(n)
    return Bars.merge([_one(k, n, seed, size_ns, sigma, market) for k in range(instruments)], label="demo")


def name_of(index: int) -> str:
    """ALPHA, BETA, ... and ALPHA2 after the last."""
    again, which = divmod(index, len(_NAMES))
    return _NAMES[which] + (str(again + 1) if again else "")


def _one(index: int, n: int, seed: int, size_ns: int, sigma: float, market: NDArray[np.float64]) -> Bars:
    streams = [np.random.default_rng([seed, index + 1, part]) for part in range(8)]  # apart, so that n changes no draw
    drift = _MOODS[_stretches(streams[0], streams[1], n, 90, len(_MOODS))]
    wild = np.array([0.5, 1.0, 1.8])[_stretches(streams[2], streams[3], n, 150, 3)]
    own, fancy, inside = (
        streams[4].standard_normal(n),
        streams[5].standard_normal(n),
        streams[6].standard_normal((n, 3)),
    )
    walk = np.cumsum(sigma * wild * (drift + np.sqrt(1 / 3) * market + np.sqrt(2 / 3) * own))
    noise = np.zeros(n)
    for lag in range(min(_ECHO, n)):
        noise[lag:] += 0.9**lag * fancy[: n - lag]
    close = 100.0 * (1.0 + index % 7) * np.exp(walk + 0.4 * sigma * noise)
    gap, up, down = sigma * wild * inside.T * np.array([[0.1], [0.5], [0.5]])
    opened = np.append(100.0 * (1.0 + index % 7), close[:-1]) * np.exp(gap)
    high = np.maximum(opened, close) * np.exp(np.abs(up))
    low = np.minimum(opened, close) * np.exp(-np.abs(down))
    volume = 5e6 * np.exp(streams[7].standard_normal(n) * 0.6) * wild
    opened, high, low, close = (np.maximum(np.round(prices, 2), 0.01) for prices in (opened, high, low, close))
    times = START_NS + np.arange(n, dtype=np.int64) * size_ns
    name = name_of(index)
    return Bars.of(
        Instrument(f"demo:{name}", name, "USD"),
        open_time=times, close_time=times + size_ns,
        open=opened, high=high, low=low, close=close, volume=np.round(volume),
    )  # fmt: skip


def _stretches(
    ends: np.random.Generator, which: np.random.Generator, n: int, mean: int, kinds: int
) -> NDArray[np.int64]:
    """For each bar which of `kinds` it is; stretches of `mean` bars, on average."""
    begins = ends.random(n) < 1.0 / mean
    begins[0] = False
    return np.floor(which.random(n) * kinds).astype(np.int64)[np.cumsum(begins)]
