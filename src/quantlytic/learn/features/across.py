"""What a row sees of other instruments: their last bar that closed before this one.

Bars of one time come in any order, live; so none of them sees another. `age_ns`: a bar that closed longer ago than that is
not seen (the instrument has a hole); 0 for any age.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantlytic.learn.features.nodes import OWN, Seen

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Known:
    """An instrument's rows: when they closed (i8[rows], ns UTC) and their columns, f8[rows, columns]."""

    times: NDArray[np.int64]
    columns: Numbers


def seen_over(
    seen: Sequence[Seen],
    instrument: int,
    instruments: int,
    times: NDArray[np.int64],
    known: Mapping[int, Known],
    age_ns: int,
    out: Numbers,
) -> None:
    """Write what rows of `instrument` that close at `times` see: `out` f8[seen, rows]."""
    places = {k: _place(one.times, times, age_ns) for k, one in known.items()}

    def column(k: int, number: int) -> Numbers:
        if k not in known:
            return np.full(len(times), np.nan)
        at = places[k]
        return np.where(at >= 0, known[k].columns[at, number], np.nan)

    for slot, one in enumerate(seen):
        if one.is_rank:
            everyone = np.array([column(k, one.column) for k in range(instruments)])
            out[slot] = rank(everyone, everyone[instrument])
        else:
            out[slot] = column(instrument if one.instrument == OWN else one.instrument, one.column)


def rank(everyone: Numbers, own: Numbers) -> Numbers:
    """Where `own` stands among `everyone` (f8[instruments, rows], itself among them): the share of the others that are below,
    equal ones counting half: 0 to 1. NaN where it is not known, or there is no other."""
    below = (everyone < own).sum(axis=0)
    equal = (everyone == own).sum(axis=0)
    others = (~np.isnan(everyone)).sum(axis=0) - 1.0
    with np.errstate(all="ignore"):
        return np.where(np.isnan(own) | (others < 1.0), np.nan, (below + 0.5 * (equal - 1.0)) / others)


def _place(known: NDArray[np.int64], times: NDArray[np.int64], age_ns: int) -> NDArray[np.int64]:
    """The last row known before each time; -1 for none, or one too old."""
    at = np.searchsorted(known, times, "left") - 1
    if age_ns and len(known):
        at = np.where(times - known[np.maximum(at, 0)] > age_ns, -1, at)
    return at.astype(np.int64)


class Board:
    """The last two bars of each instrument, as `Known` would have them, for rows that come one at a time."""

    def __init__(self, instruments: int, columns: int) -> None:
        self.times = np.full((instruments, 2), np.iinfo(np.int64).min)
        self.values = np.full((instruments, 2, columns), np.nan)

    def put(self, instrument: int, time: int, columns: Numbers) -> None:
        """A bar of this instrument has closed."""
        self.times[instrument, 0] = self.times[instrument, 1]
        self.values[instrument, 0] = self.values[instrument, 1]
        self.times[instrument, 1] = time
        self.values[instrument, 1] = columns

    def see(self, seen: Sequence[Seen], instrument: int, time: int, age_ns: int, out: Numbers) -> None:
        """Write what a row of `instrument` that closes at `time` sees: `out` f8[seen, 1]."""
        last = np.where(self.times[:, 1] < time, 1, 0)
        everyone = np.arange(len(last))
        times = self.times[everyone, last]
        is_known = (times < time) & (times > np.iinfo(np.int64).min)
        if age_ns:
            is_known &= times >= time - age_ns
        values = np.where(is_known[:, None], self.values[everyone, last], np.nan)
        for slot, one in enumerate(seen):
            if one.is_rank:
                out[slot] = rank(
                    values[:, one.column : one.column + 1], values[instrument, one.column : one.column + 1]
                )
            else:
                out[slot, 0] = values[instrument if one.instrument == OWN else one.instrument, one.column]
