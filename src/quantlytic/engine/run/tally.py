"""Fills, tallied as they come: costs, round trips (first in, first out), time in the market. The fills are not kept.

The rules are those of a backtest's round trips: a fill against the position closes the oldest open lots first; what
exceeds the position opens the other way; each pair of an entry and an exit is a round trip with its share of both fees.
"""

# mypy: disable-error-code="no-any-return"
# Rows are fields of a buffer, not objects: their types are known when compiled.

from __future__ import annotations

import functools
import math
from types import FunctionType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlytic.engine.compiler.record import Bytes, Layout, Record, at, layout_of, pack
from quantlytic.model.fill import FILL

FILL_ROW = layout_of(FILL)
FILL_BYTES = FILL.itemsize
_DUST = 1e-9  # a rest below this share of its fill, or of all that was traded, is rounding
_FIRST_LOTS = 2112  # what one flush of the journal can bring, and a few


class Lot(Record):
    """What of an entry is still open. `rest` is signed; `following` is the next younger lot, or the next free one; -1: none."""

    def __init__(self) -> None:
        self.rest = 0.0
        self.size = 0.0
        self.price = 0.0
        self.fee_rate = 0.0
        self.time = 0
        self.following = -1


class Holding(Record):
    """One row an instrument: its oldest and newest lot, what is held, how much was ever traded."""

    def __init__(self) -> None:
        self.oldest = -1
        self.newest = -1
        self.held = 0.0
        self.traded = 0.0
        self.is_open = False


LOT, HOLDING = layout_of(Lot()), layout_of(Holding())
LOT_BYTES, HOLDING_BYTES = LOT.size, HOLDING.size


class Tally(Record):
    """The sums. Holdings, then lots, lie behind it in the same buffer (`..._at`: bytes from its first)."""

    def __init__(self) -> None:
        self.fills = 0
        self.fees_paid = 0.0
        self.slippage_paid = 0.0
        self.traded_value = 0.0
        self.round_trips = 0
        self.wins = 0
        self.losses = 0
        self.won = 0.0
        self.lost = 0.0
        self.best = -math.inf
        self.worst = math.inf
        self.held_ns = 0.0  # summed over round trips
        self.open_instruments = 0
        self.exposed = 0  # bar times after which a position was open
        self.bar = 0
        self.free = -1
        self.lots = 0
        self.capacity = 0
        self.holdings_at = 0
        self.lots_at = 0

    def lot(self, index: int) -> Any:
        return at(self, self.lots_at + index * LOT_BYTES, LOT)

    def reach(self, bar: int, ends_before: Any) -> None:
        """Up to this bar nothing was filled since the last fill."""
        if self.open_instruments > 0:
            self.exposed += ends_before[bar] - ends_before[self.bar]
        self.bar = bar

    def take(self, fill: Any, ends_before: Any) -> None:
        """The next fill. There must be room for one more lot."""
        if fill.bar_offset > self.bar:
            self.reach(fill.bar_offset, ends_before)
        self.fills += 1
        self.fees_paid += fill.fee
        self.slippage_paid += fill.slippage
        self.traded_value += fill.quantity * fill.price
        holding = at(self, self.holdings_at + fill.instrument * HOLDING_BYTES, HOLDING)
        rest = fill.side * fill.quantity
        holding.held += rest
        holding.traded += fill.quantity
        is_open = np.abs(holding.held) > _DUST * holding.traded
        if is_open != holding.is_open:
            holding.is_open = is_open
            self.open_instruments += 1 if is_open else -1
        self.match(fill, holding, rest)

    def match(self, fill: Any, holding: Any, rest: float) -> None:
        fee_rate = fill.fee / fill.quantity
        while holding.oldest >= 0 and rest * self.lot(holding.oldest).rest < 0.0:
            lot = self.lot(holding.oldest)
            quantity = min(np.abs(rest), np.abs(lot.rest))
            side = 1.0 if lot.rest > 0.0 else -1.0
            pnl = side * quantity * (fill.price - lot.price) - quantity * (lot.fee_rate + fee_rate)
            self.close(pnl, float(fill.event_time - lot.time))
            rest = _left(rest, quantity, fill.quantity)
            lot.rest = _left(lot.rest, quantity, lot.size)
            if lot.rest == 0.0:
                used = holding.oldest
                holding.oldest = lot.following
                lot.following = self.free
                self.free = used
        if rest != 0.0:
            self.open(fill, holding, rest, fee_rate)

    def close(self, pnl: float, held_ns: float) -> None:
        self.round_trips += 1
        self.held_ns += held_ns
        if pnl > 0.0:
            self.wins += 1
            self.won += pnl
        elif pnl < 0.0:
            self.losses += 1
            self.lost -= pnl
        self.best = max(self.best, pnl)
        self.worst = min(self.worst, pnl)

    def open(self, fill: Any, holding: Any, rest: float, fee_rate: float) -> None:
        index = self.free
        if index >= 0:
            self.free = self.lot(index).following
        else:
            index = self.lots
            self.lots += 1
        lot = self.lot(index)
        lot.rest = rest
        lot.size = fill.quantity
        lot.price = fill.price
        lot.fee_rate = fee_rate
        lot.time = fill.event_time
        lot.following = -1
        if holding.oldest < 0:
            holding.oldest = index
        else:
            self.lot(holding.newest).following = index
        holding.newest = index


TALLY = layout_of(Tally())


def _left(rest: float, quantity: float, size: float) -> float:
    left = np.abs(rest) - quantity
    if left <= _DUST * size:
        return 0.0
    return left if rest > 0.0 else -left


def take_fills(tally: Any, fills: Any, first: int, count: int, ends_before: NDArray[np.int64]) -> int:
    """Take fills[first:count] (addresses); returns the first that was not taken for want of room for its lot."""
    sums = at(tally, 0, TALLY)
    for k in range(first, count):
        if sums.free < 0 and sums.lots == sums.capacity:
            return k
        sums.take(at(fills, k * FILL_BYTES, FILL_ROW), ends_before)
    return count


def reach_end(tally: Any, bars: int, ends_before: NDArray[np.int64]) -> None:
    """The run is over after this many bars."""
    at(tally, 0, TALLY).reach(bars, ends_before)


@functools.cache
def compiled_tally() -> tuple[Any, Any]:
    """`take_fills` and `reach_end`, compiled at the first use or loaded from disk."""
    from quantlytic.engine.compiler.jit import compile_function

    assert isinstance(take_fills, FunctionType)
    assert isinstance(reach_end, FunctionType)
    return (
        compile_function(take_fills, "intp(intp, intp, intp, intp, int64[::1])"),
        compile_function(reach_end, "void(intp, intp, int64[::1])"),
    )


def make_tally(instruments: int) -> Bytes:
    """The buffer of a tally that has seen nothing."""
    return _pristine(instruments, _FIRST_LOTS).copy()


@functools.cache
def _pristine(instruments: int, lots: int) -> Bytes:
    tally = Tally()
    tally.capacity = lots
    tally.holdings_at = TALLY.size
    tally.lots_at = tally.holdings_at + instruments * HOLDING_BYTES
    buffer = np.zeros(tally.lots_at + lots * LOT_BYTES, np.uint8)
    pack(tally, TALLY, _record(buffer, 0, TALLY))
    empty = Holding()
    for k in range(instruments):
        pack(empty, HOLDING, _record(buffer, tally.holdings_at + k * HOLDING_BYTES, HOLDING))
    return buffer


def with_more_lots(buffer: Bytes) -> Bytes:
    """The same tally with room for twice as many open lots."""
    capacity = int(_record(buffer, 0, TALLY)["capacity"])
    grown = np.concatenate((buffer, np.zeros(capacity * LOT_BYTES, np.uint8)))
    _record(grown, 0, TALLY)["capacity"] = 2 * capacity
    return grown


def _record(buffer: Bytes, start: int, layout: Layout) -> Any:
    return buffer[start : start + layout.size].view(layout.dtype)[0]
