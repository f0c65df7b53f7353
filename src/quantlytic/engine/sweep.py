"""Many parameter sets of one strategy, advanced together: the bars are read once, block by block, by all cells.

A block of bars stays in the processor's cache while each cell takes its turn at it. Of a cell only sums are kept: the
equity curve is folded into `Curve`, the fills into `Tally`, block by block, so memory does not grow with the bars.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlytic.engine.bars import Bars
from quantlytic.engine.curve import CURVE, Curve, compiled_take
from quantlytic.engine.record import pack
from quantlytic.engine.session import Session
from quantlytic.engine.tally import TALLY, compiled_tally, make_tally, with_more_lots
from quantlytic.model.errors import QuantlyticError
from quantlytic.model.order import OrderStatus

BLOCK = 8192
"""Bars in a block: part of what a result is made of (sums are merged block by block), so it is one for all machines."""

Array = NDArray[Any]


class Grid:
    """What all cells read: the bars, and which of their rows end a bar time or are sampled.

    `array`: rows of dtype BAR in (close_time, instrument) order. `samples`: rows at which equity is kept, in order.
    """

    def __init__(self, array: Array, samples: NDArray[np.int64]) -> None:
        self.array = array
        self.samples = samples
        times = array["close_time"]
        is_end = np.append(times[1:] != times[:-1], True) if len(times) else np.zeros(0, bool)
        self.ends = np.flatnonzero(is_end)
        self.ends_before = np.append(0, np.cumsum(is_end))


class Cell:
    """One session and what is known of its run so far."""

    def __init__(self, session: Session, grid: Grid, whole: bool) -> None:
        """`whole`: keep fills and equity, for a digest."""
        self.session = session
        self.error = ""
        self.digest = ""
        self.rejected = 0
        self.samples = np.full(len(grid.samples), np.nan)
        self._whole = whole
        self._curve = np.zeros(CURVE.size, np.uint8)
        pack(Curve(), CURVE, self._curve.view(CURVE.dtype)[0])
        self._tally = make_tally(len(session.instruments))

    @property
    def curve(self) -> Any:
        """The sums over its equity: a record of `Curve`."""
        return self._curve.view(CURVE.dtype)[0]

    @property
    def tally(self) -> Any:
        """The sums over its fills: a record of `Tally`."""
        return self._tally[: TALLY.size].view(TALLY.dtype)[0]

    def advance(self, block: _Block) -> None:
        """Run over the block and take its results into the sums."""
        session = self.session
        before = [len(session.fills), len(session.updates), len(session.equity)] if self._whole else [0, 0, 0]
        session.run(block.bars)
        equity = session.equity[before[2] :]
        compiled_take()(_address(self._curve), equity, block.ends, block.room)
        self.samples[block.sampled] = equity[block.samples]
        if len(session.updates) > before[1]:
            self.rejected += int(np.count_nonzero(session.updates["status"][before[1] :] == OrderStatus.REJECTED))
        if len(session.fills) > before[0]:
            self._take_fills(session.fills[before[0] :], block.ends_before)
        if not self._whole:
            session.forget()

    def finish(self, grid: Grid) -> None:
        """The run is over: sums that wait for the end, and the digest."""
        compiled_tally()[1](_address(self._tally), len(grid.array), grid.ends_before)
        if self._whole:
            self.digest = self.session.digest
        del self.session

    def _take_fills(self, fills: Array, ends_before: NDArray[np.int64]) -> None:
        take, done = compiled_tally()[0], 0
        while True:
            done = take(_address(self._tally), _address(fills), done, len(fills), ends_before)
            if done == len(fills):
                return
            self._tally = with_more_lots(self._tally)


class _Block:
    """Some bars, and what of the grid belongs to them, with rows counted from the block's first."""

    def __init__(self, grid: Grid, start: int, stop: int) -> None:
        self.bars = grid.array[start:stop]
        first, last = np.searchsorted(grid.ends, (start, stop))
        self.ends = grid.ends[first:last] - start
        self.ends_before = grid.ends_before
        first, last = np.searchsorted(grid.samples, (start, stop))
        self.sampled = slice(first, last)
        self.samples = grid.samples[first:last] - start
        self.room = np.empty(stop - start)


def advance_cells(cells: Sequence[Cell], grid: Grid, stopped: Callable[[], bool]) -> bool:
    """Run all cells over all bars. A cell that raises keeps its error's text and goes no further; the others do.

    `stopped` is asked before each block; once it says yes, nothing more is done. Returns whether the run is complete.
    """
    running = list(cells)
    for start in range(0, len(grid.array), BLOCK):
        if stopped():
            return False
        block = _Block(grid, start, min(start + BLOCK, len(grid.array)))
        for cell in running:
            try:
                cell.advance(block)
            except QuantlyticError as error:
                cell.error = str(error)
        running = [cell for cell in running if not cell.error]
    for cell in running:
        cell.finish(grid)
    return True


def sample_rows(bars: Bars, at_most: int) -> NDArray[np.int64]:
    """Rows, evenly spaced and no more than that, each the last of its bar time, the last row among them.

    Where days are many enough (250) and not too many, it is the last of each UTC day.
    """
    times = bars.array["close_time"]
    if not len(times):
        return np.zeros(0, np.int64)
    ends = np.flatnonzero(np.append(times[1:] != times[:-1], True))
    # A bar that closes at midnight belongs to the day before.
    days = (times[ends] - 1) // 86_400_000_000_000
    day_ends: NDArray[np.int64] = ends[np.append(days[1:] != days[:-1], True)]
    if _FEW_DAYS <= len(day_ends) <= at_most:
        return day_ends
    step = -(-len(ends) // at_most)
    return ends[::-1][::step][::-1].copy()


_FEW_DAYS = 250


def _address(buffer: Array) -> int:
    return int(buffer.view(np.uint8).__array_interface__["data"][0])  # of rows with fields it takes ten times as long
