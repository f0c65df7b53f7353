"""Holes in the data: bars that should be there and are not. They are never filled; a run over them must be asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlytic.engine.data.bars import Bars
from quantlytic.model.errors import DataError
from quantlytic.model.time import iso
from quantlytic.store.barfile import most_frequent

HOLE = np.dtype([("instrument", "i4"), ("start", "i8"), ("end", "i8"), ("missing", "i8")], align=True)
"""`missing` bars of an instrument between the open of the first one missing and the open of the next one there (ns UTC)."""


def find_holes(bars: Bars) -> NDArray[Any]:
    """The holes, instrument by instrument in order of time: rows of dtype HOLE.

    A bar is missing for each whole bar size (the most frequent step between the instrument's opens) in a step, but one.
    Nights and weekends of an exchange that closes are holes here; `calendars.find_session_holes` knows better. Bars by
    activity, whose length varies, have no holes.
    """
    found = [np.zeros(0, HOLE)]
    array = bars.array
    for index in range(len(bars.instruments)):
        own = array if len(bars.instruments) == 1 else array[array["instrument"] == index]
        opens = own["open_time"]
        steps = np.diff(opens)
        if not len(steps) or not has_size(own):
            continue
        size = most_frequent(steps)
        at = np.flatnonzero(steps >= 2 * size)
        holes = np.zeros(len(at), HOLE)
        holes["instrument"], holes["missing"] = index, steps[at] // size - 1
        holes["start"], holes["end"] = opens[at] + size, opens[at + 1]
        found.append(holes)
    return np.concatenate(found)


def has_size(bars: NDArray[Any]) -> bool:
    """Whether most of an instrument's bars are of one length (bars by activity are not)."""
    lengths = bars["close_time"] - bars["open_time"]
    return 2 * int(np.count_nonzero(lengths == most_frequent(lengths))) > len(lengths)


def refuse_holes(bars: Bars, holes: NDArray[Any]) -> None:
    """Raise DataError when there are any: how many, the first and the longest, and what to do."""
    if not len(holes):
        return
    count = int(holes["missing"].sum())
    first = holes[np.argmin(holes["start"])]
    name = bars.instruments[int(first["instrument"])].id
    more = len(holes) - 1
    rest = "" if not more else f", and {more:,} more hole{'s' if more > 1 else ''}"
    raise DataError(
        f"{bars.label or 'bars'}: {count:,} {'bar is' if count == 1 else 'bars are'} missing ({name} from "
        f"{iso(int(first['start']))[:19]} to {iso(int(first['end']))[:19]}{rest}): mend the data, name the exchange's "
        "calendar if it closes (--calendar XNYS), or run over the holes with --allow-gaps (allow_gaps=True)"
    )
