"""What the trial ledger says of some data: how much was tried on it, and how far the results lie apart."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from types import CodeType

import numpy as np
from numpy.typing import NDArray

from quantlytic.engine.data.bars import Bars
from quantlytic.engine.strategy import Strategy
from quantlytic.research.honesty.tried import Tried
from quantlytic.store.control.finished import trials_like
from quantlytic.store.control.records import Trial
from quantlytic.strategies.catalogue import source_hash

_SKETCHED = ("open_time", "open", "high", "low", "close")
_LINES = 16
_ODD = np.uint64(0x9E3779B97F4A7C15)


def trials_on(home: Path, bars: Bars, data: str) -> Tried:
    """What the ledger in the data folder `home` has on the data with the hash `data` (`Result.data_hash`), on data that
    shares rows with the bars, and on any of the instruments over a range that overlaps theirs. One trial when it has none.
    Raises StoreError."""
    array = bars.array
    like = Trial(
        strategy="", params={}, data=data, time_ns=0,
        instruments=tuple(one.id for one in bars.instruments),
        start_ns=int(array["open_time"].min()), end_ns=int(array["close_time"][-1]), sketch=sketch_of(bars),
    )  # fmt: skip
    return tried(trials_like(home, like))


def tried(trials: Sequence[Trial]) -> Tried:
    """The count of different rules and parameters (an edited rule is another one, however it is called), and the variance of
    their annualised Sharpe ratios.

    The newest of each is taken. The variance is over those on at least half the bars of the longest, for short stretches
    spread more than long ones; None for fewer than two.
    """
    latest = {one.tried: one for one in trials}
    longest = max((one.bars for one in latest.values()), default=0)
    ratios = [one.sharpe for one in latest.values() if one.sharpe is not None and 2 * one.bars >= longest]
    return Tried(max(len(latest), 1), float(np.var(ratios, ddof=1)) if len(ratios) > 1 else None)


def sketch_of(bars: Bars) -> tuple[str, ...]:
    """The 16 rows (time and prices) with the smallest hashes, a bottom-k sketch (Broder 1997): bars under another name, with
    some more days or without the first half, share rows with it; two histories of different markets never do."""
    mixed = np.zeros(len(bars.array), np.uint64)
    for name in _SKETCHED:
        mixed = _mix(mixed ^ np.ascontiguousarray(bars.array[name]).view(np.uint64))
    mixed = np.unique(np.partition(mixed, _LINES)[:_LINES] if len(mixed) > _LINES else mixed)
    return tuple(f"{int(one) >> 4:015x}" for one in mixed)


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Each bit of the result hangs on all bits of the value (the end of SplitMix64, Steele et al. 2014)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (values ^ (values >> np.uint64(31))) + _ODD


def code_of(strategy: type[Strategy], bars: Bars | None = None) -> str:
    """SHA-256 of the strategy's source and its class's name; of its functions' code where it was typed into a shell. Forecasts of
    the bars are part of what is tried."""
    digest = hashlib.sha256(strategy.__qualname__.encode())
    source = source_hash(strategy)
    digest.update(source.encode())
    if not source:
        for owner in strategy.__mro__:
            for name, value in sorted(vars(owner).items(), key=lambda one: one[0]):
                code = getattr(value, "__code__", None)
                if issubclass(owner, Strategy) and owner is not Strategy and isinstance(code, CodeType):
                    digest.update(f"{name} {_plain(code)}".encode())
    if bars is not None and bars.has_forecasts:
        digest.update(np.ascontiguousarray(bars.array["forecast"]).data)
    return digest.hexdigest()


def _plain(code: CodeType) -> list[object]:
    """What a function does, wherever it was written."""
    constants = [_plain(one) if isinstance(one, CodeType) else repr(one) for one in code.co_consts]
    return [code.co_code.hex(), code.co_names, constants]
