"""Patience: what does not come back in time is left, and not bought again before it has been near its mean."""

from __future__ import annotations

from typing import Any

import numpy as np
from tests.engine.market import BTC, rows

from quantlytic import Session
from quantlytic.strategies.zscore_reversion import ZscoreReversion


def run(closes: Any, **params: Any) -> list[tuple[int, int]]:
    session = Session(ZscoreReversion(period=20, **params), [BTC], 1e4, compiled=False)
    session.run(rows(*[(float(close),) * 4 for close in closes]))
    return [(int(row["bar_offset"]), int(row["side"])) for row in session.orders]


def test_sold_when_patience_ends() -> None:
    quiet = 100.0 + 0.1 * (np.arange(40) % 2)
    falling = 99.0 * 0.97 ** np.arange(30)  # the score stays below -1 for as long as it falls
    found = run(np.concatenate([quiet, falling]), patience=6, entry=1.5)
    assert found[0] == (40, 1)
    assert found[1] == (46, -1)  # bought at the open of 41: held for 6 bars at the close of 46
    assert len(found) == 2


def test_sold_near_the_mean() -> None:
    quiet = 100.0 + 0.1 * (np.arange(40) % 2)
    found = run(np.concatenate([quiet, [99.0, 99.5, 100.05, 100.1]]), patience=60)
    assert found == [(40, 1), (42, -1)]
