"""The bars that the peers of benchmarks run on: a seeded random walk of minutes, made as their generator makes it."""

from __future__ import annotations

import numpy as np
import polars as pl

MINUTE_NS = 60_000_000_000


def peer_bars(count: int, seed: int = 7) -> pl.DataFrame:
    """`ts, open, high, low, close, volume`; a million of them, with workload A, must end at 694.847 after 6,397 fills."""
    random = np.random.default_rng(seed)
    step = 0.6 / np.sqrt(365 * 24 * 60)
    moves = random.standard_normal((count, 4)) * step / 2 - (step / 2) ** 2 / 2
    path = 30000 * np.exp(np.cumsum(moves.ravel())).reshape(count, 4)
    opens = np.append(30000.0, path[:-1, 3]) * np.exp(random.standard_normal(count) * step * 0.05)
    volume = np.maximum(np.round(random.lognormal(1.0, 1.0, count), 3), 0.001)
    return pl.DataFrame(
        {
            "ts": np.datetime64("2020-01-01", "ns").astype(np.int64) + MINUTE_NS * np.arange(count),
            "open": np.round(opens, 2),
            "high": np.round(np.maximum(opens, path.max(1)), 2),
            "low": np.round(np.minimum(opens, path.min(1)), 2),
            "close": np.round(path[:, 3], 2),
            "volume": volume,
        }
    )
