"""What the trial ledger says of some data: how much was tried on it, and how far the results lie apart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from quantlytic.engine.bars import Bars
from quantlytic.research.tried import Tried
from quantlytic.store.control.finished import trials_like
from quantlytic.store.control.records import Trial


def trials_on(home: Path, bars: Bars, data: str) -> Tried:
    """What the ledger in the data folder `home` has on the data with the hash `data` (`Result.data_hash`), and on any of
    the instruments over a range that overlaps the bars'. One trial when it has none. Raises StoreError."""
    array = bars.array
    like = Trial(
        strategy="", params={}, data=data, time_ns=0,
        instruments=tuple(one.id for one in bars.instruments),
        start_ns=int(array["open_time"].min()), end_ns=int(array["close_time"][-1]),
    )  # fmt: skip
    return tried(trials_like(home, like))


def tried(trials: Sequence[Trial]) -> Tried:
    """The count of different strategies and parameters, and the variance of their annualised Sharpe ratios.

    The newest of each is taken. The variance is over those on at least half the bars of the longest, for short stretches
    spread more than long ones; None for fewer than two.
    """
    latest = {(one.strategy, tuple(sorted(one.params.items()))): one for one in trials}
    longest = max((one.bars for one in latest.values()), default=0)
    ratios = [one.sharpe for one in latest.values() if one.sharpe is not None and 2 * one.bars >= longest]
    return Tried(max(len(latest), 1), float(np.var(ratios, ddof=1)) if len(ratios) > 1 else None)
