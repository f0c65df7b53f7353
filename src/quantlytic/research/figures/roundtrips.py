"""Entries with their exits: fills paired first in, first out.

A fill against the position closes the oldest open quantity first; what exceeds the position opens the other way. Each
pair of an entry fill and an exit fill is one round trip, with its share of both fees: when the account is flat, the
P&L of its round trips adds up to what it gained.
"""

from __future__ import annotations

import functools
from types import FunctionType
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROUND_TRIP = np.dtype(
    [
        ("instrument", "i4"),
        ("side", "i1"),
        ("entry_fill", "i8"),
        ("exit_fill", "i8"),
        ("entry_time", "i8"),
        ("exit_time", "i8"),
        ("quantity", "f8"),
        ("entry_price", "f8"),
        ("exit_price", "f8"),
        ("fees", "f8"),
        ("pnl", "f8"),
        ("mae", "f8"),
        ("mfe", "f8"),
    ],
    align=True,
)
"""`side` is the entry's: +1 long, -1 short. `entry_fill`, `exit_fill` are rows of the fills. `pnl` is after `fees`.

`mae` (maximum adverse excursion, 0 or less) and `mfe` (favourable, 0 or more) are the worst loss and the best gain that
were open while it was held, in currency before fees: over the bars from that of the entry to the one before the exit, by
their lows and highs, and at the exit. NaN where no bars were given.
"""

_DUST = 1e-9  # a rest below this share of its fill is rounding, and belongs to the piece before it


def round_trips(fills: NDArray[Any], bars: NDArray[Any] | None = None) -> NDArray[Any]:
    """Pair fills (dtype FILL, in order, any instruments) into round trips, in order of their exits (dtype ROUND_TRIP).

    What is still open at the end is not among them. `bars` (dtype BAR), whose rows the fills' `bar_offset` counts, tell
    the excursions.
    """
    count = len(fills)
    if not count:
        return np.empty(0, ROUND_TRIP)
    quantities = np.ascontiguousarray(fills["side"] * fills["quantity"])
    instruments = np.ascontiguousarray(fills["instrument"])
    lots = np.full((2, int(instruments.max()) + 1), -1, np.int64)
    entries, exits, matched = np.empty(count, np.int64), np.empty(count, np.int64), np.empty(count)
    pairs = _compiled_match()(
        instruments, quantities, quantities.copy(), lots[0], lots[1], np.full(count, -1), entries, exits, matched
    )
    entries, exits, matched = entries[:pairs], exits[:pairs], matched[:pairs]
    trips = np.zeros(len(entries), ROUND_TRIP)
    trips["instrument"], trips["side"] = fills["instrument"][entries], fills["side"][entries]
    trips["entry_fill"], trips["exit_fill"] = entries, exits
    trips["entry_time"], trips["exit_time"] = fills["event_time"][entries], fills["event_time"][exits]
    trips["quantity"] = matched
    trips["entry_price"], trips["exit_price"] = fills["price"][entries], fills["price"][exits]
    fee_rate = fills["fee"] / fills["quantity"]
    trips["fees"] = matched * (fee_rate[entries] + fee_rate[exits])
    trips["pnl"] = trips["side"] * matched * (trips["exit_price"] - trips["entry_price"]) - trips["fees"]
    trips["mae"] = trips["mfe"] = np.nan
    if bars is not None:
        _add_excursions(trips, fills["bar_offset"], bars)
    return trips


def _add_excursions(trips: NDArray[Any], bar_of_fill: NDArray[np.int64], bars: NDArray[Any]) -> None:
    for index in np.unique(trips["instrument"]):
        rows = np.flatnonzero(bars["instrument"] == index)
        mine = np.flatnonzero(trips["instrument"] == index)
        own = trips[mine]
        starts = np.searchsorted(rows, bar_of_fill[own["entry_fill"]])
        ends = np.searchsorted(rows, bar_of_fill[own["exit_fill"]])
        lowest = np.minimum(_extreme(bars["low"][rows], starts, ends, np.minimum), own["exit_price"])
        highest = np.maximum(_extreme(bars["high"][rows], starts, ends, np.maximum), own["exit_price"])
        is_long = own["side"] > 0
        worst, best = np.where(is_long, lowest, highest), np.where(is_long, highest, lowest)
        size = own["side"] * own["quantity"]
        trips["mae"][mine] = np.minimum(size * (worst - own["entry_price"]), 0.0)
        trips["mfe"][mine] = np.maximum(size * (best - own["entry_price"]), 0.0)


def _extreme(
    values: NDArray[np.float64], starts: NDArray[np.int64], ends: NDArray[np.int64], pick: np.ufunc
) -> NDArray[np.float64]:
    """`pick.reduce(values[start:end])` for each pair (NaN-free; the neutral infinity where it is empty), however much they
    overlap: a table of stretches of 2^k values answers with two of its cells, and is made anew for each k."""
    lengths = ends - starts
    found = np.full(len(starts), np.inf if pick is np.minimum else -np.inf)
    table, width = np.ascontiguousarray(values), 1
    while (lengths >= width).any():
        mine = np.flatnonzero((lengths >= width) & (lengths < 2 * width))
        found[mine] = pick(table[starts[mine]], table[ends[mine] - width])
        table, width = pick(table[:-width], table[width:]), 2 * width
    return found


@functools.cache
def _compiled_match() -> Any:
    """Compiled at the first use, or loaded from disk."""
    from numba import float64, int32, int64

    from quantlytic.engine.compiler.jit import compile_function

    assert isinstance(_match, FunctionType)
    rows, amounts = int64[::1], float64[::1]
    return compile_function(_match, int64(int32[::1], amounts, amounts, rows, rows, rows, rows, rows, amounts))


def _match(
    instruments: NDArray[np.int32],
    quantities: NDArray[np.float64],
    rest: NDArray[np.float64],
    first: NDArray[np.int64],
    last: NDArray[np.int64],
    following: NDArray[np.int64],
    entries: NDArray[np.int64],
    exits: NDArray[np.int64],
    matched: NDArray[np.float64],
) -> int:
    """Write entry row, exit row and quantity of each pair into the last three; returns how many. A pair uses up a fill.

    `quantities` and `rest`, what of each fill is still open, are signed. `first` and `last` are the oldest and newest
    open fill of each instrument, `following` the next younger one of a fill; -1 for none. Memory is given, so that the
    compiled code needs no allocator: loading one takes longer than all of this.
    """
    pairs = 0
    for row in range(len(quantities)):
        instrument = instruments[row]
        while first[instrument] >= 0 and rest[row] * rest[first[instrument]] < 0.0:
            oldest = first[instrument]
            quantity = min(abs(rest[row]), abs(rest[oldest]))
            for fill in (row, oldest):
                left = abs(rest[fill]) - quantity
                if left <= _DUST * abs(quantities[fill]):
                    rest[fill] = 0.0
                else:
                    rest[fill] = left if rest[fill] > 0.0 else -left
            entries[pairs], exits[pairs], matched[pairs] = oldest, row, quantity
            pairs += 1
            if rest[oldest] == 0.0:
                first[instrument] = following[oldest]
        if rest[row] != 0.0:
            if first[instrument] < 0:
                first[instrument] = row
            else:
                following[last[instrument]] = row
            last[instrument] = row
    return pairs
