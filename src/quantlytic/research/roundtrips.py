"""Entries with their exits: fills paired first in, first out.

A fill against the position closes the oldest open quantity first; what exceeds the position opens the other way. Each
pair of an entry fill and an exit fill is one round trip, with its share of both fees: when the account is flat, the
P&L of its round trips adds up to what it gained.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlytic.engine.jit import compile_function

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
    ],
    align=True,
)
"""`side` is the entry's: +1 long, -1 short. `entry_fill`, `exit_fill` are rows of the fills. `pnl` is after `fees`."""

_DUST = 1e-9  # a rest below this share of its fill is rounding, and belongs to the piece before it


def round_trips(fills: NDArray[Any]) -> NDArray[Any]:
    """Pair fills (dtype FILL, in order, any instruments) into round trips, in order of their exits (dtype ROUND_TRIP).

    What is still open at the end is not among them.
    """
    if not len(fills):
        return np.empty(0, ROUND_TRIP)
    quantities = np.ascontiguousarray(fills["side"] * fills["quantity"])
    entries, exits, matched = _compiled_match()(np.ascontiguousarray(fills["instrument"]), quantities)
    trips = np.zeros(len(entries), ROUND_TRIP)
    trips["instrument"], trips["side"] = fills["instrument"][entries], fills["side"][entries]
    trips["entry_fill"], trips["exit_fill"] = entries, exits
    trips["entry_time"], trips["exit_time"] = fills["event_time"][entries], fills["event_time"][exits]
    trips["quantity"] = matched
    trips["entry_price"], trips["exit_price"] = fills["price"][entries], fills["price"][exits]
    fee_rate = fills["fee"] / fills["quantity"]
    trips["fees"] = matched * (fee_rate[entries] + fee_rate[exits])
    trips["pnl"] = trips["side"] * matched * (trips["exit_price"] - trips["entry_price"]) - trips["fees"]
    return trips


@functools.cache
def _compiled_match() -> Any:
    """Compiled at the first use, or loaded from disk."""
    from numba import types

    rows, amounts = types.int64[::1], types.float64[::1]
    return compile_function(_match, types.Tuple((rows, rows, amounts))(types.int32[::1], amounts))


def _match(
    instruments: NDArray[np.int32], quantities: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Entry row, exit row and quantity of each pair. `quantities` are signed. No more pairs than fills: each uses one up."""
    count = len(quantities)
    lots = instruments.max() + 1
    first, last = np.full(lots, -1), np.full(lots, -1)  # per instrument, its oldest and newest fill that is still open
    following = np.full(count, -1)  # the next younger open fill of the same instrument
    rest = quantities.copy()  # what of each fill is still open, signed
    entries, exits, matched = np.empty(count, np.int64), np.empty(count, np.int64), np.empty(count)
    pairs = 0
    for row in range(count):
        instrument = instruments[row]
        while first[instrument] >= 0 and rest[row] * rest[first[instrument]] < 0:
            oldest = first[instrument]
            quantity = min(abs(rest[row]), abs(rest[oldest]))
            if abs(abs(rest[row]) - quantity) <= _DUST * abs(quantities[row]):
                left_row = 0.0
            else:
                left_row = rest[row] - np.sign(rest[row]) * quantity
            if abs(abs(rest[oldest]) - quantity) <= _DUST * abs(quantities[oldest]):
                left_oldest = 0.0
            else:
                left_oldest = rest[oldest] - np.sign(rest[oldest]) * quantity
            entries[pairs], exits[pairs], matched[pairs] = oldest, row, quantity
            pairs += 1
            rest[row], rest[oldest] = left_row, left_oldest
            if left_oldest == 0.0:
                first[instrument] = following[oldest]
        if rest[row] != 0.0:
            if first[instrument] < 0:
                first[instrument] = row
            else:
                following[last[instrument]] = row
            last[instrument] = row
    return entries[:pairs], exits[:pairs], matched[:pairs]
