"""Many parameter sets of one strategy, advanced together: the bars are read once, block by block, by all cells.

A block of bars stays in the processor's cache while each cell takes its turn at it. Of a cell only its arena and sums are
kept: the equity curve is folded into `Curve`, the fills into `Tally`, so memory does not grow with the bars.

Most cells are bare arenas, copies of a template with another state, advanced by one compiled loop (`sweepblock`). A cell
that keeps everything (for a digest), runs uncompiled, or looks at slices or timers, is a whole `Session`: the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlytic.engine.account.broker import BROKER
from quantlytic.engine.compiler.record import Bytes, Layout, layout_of, pack
from quantlytic.engine.compiler.runaddress import run_address
from quantlytic.engine.data.bars import Bars
from quantlytic.engine.plain import PythonStrategy
from quantlytic.engine.run.curve import CURVE, compiled_take, new_curve
from quantlytic.engine.run.journal import JournalFile
from quantlytic.engine.run.sweepblock import DONE, MORE_LOTS, SLOT, compiled_advance
from quantlytic.engine.run.tally import TALLY, compiled_tally, make_tally, with_more_lots
from quantlytic.engine.session import Session
from quantlytic.engine.strategy import Strategy
from quantlytic.model.errors import QuantlyticError
from quantlytic.model.order import OrderStatus

BLOCK = 8192
"""Bars in a block, at least; it ends with a bar time. Part of what a result is made of (sums are merged block by block),
so it is one for all machines."""

Array = NDArray[Any]
Make = Callable[[Strategy], Session]


class Grid:
    """What all cells read: the bars, and which of their rows end a bar time or are sampled.

    `array`: rows of dtype BAR in (close_time, instrument) order. `samples`: rows at which equity is kept, in order.
    """

    def __init__(self, array: Array, samples: NDArray[np.int64]) -> None:
        self.array = np.ascontiguousarray(array)
        self.samples = samples
        times = array["close_time"]
        is_end = np.append(times[1:] != times[:-1], True) if len(times) else np.zeros(0, bool)
        self.ends = np.flatnonzero(is_end)
        self.ends_before = np.append(0, np.cumsum(is_end))


class Cell:
    """What is known of one parameter set's run so far. `session`: only where it is not a bare arena."""

    def __init__(self, arena: Bytes, step: Any, session: Session | None, instruments: int, samples: int) -> None:
        self.arena, self.step, self.session = arena, step, session
        self.error = ""
        self.digest = ""
        self.rejected = 0
        self.samples = np.full(samples, np.nan)
        self.curve_bytes = new_curve()
        self.tally_bytes = make_tally(instruments)

    @property
    def curve(self) -> Any:
        """The sums over its equity: a record of `Curve`."""
        return self.curve_bytes.view(CURVE.dtype)[0]

    @property
    def tally(self) -> Any:
        """The sums over its fills: a record of `Tally`."""
        return self.tally_bytes[: TALLY.size].view(TALLY.dtype)[0]


class Cells:
    """The cells of a batch. `make` makes the session of a strategy; `whole` keeps fills and equity, for digests."""

    def __init__(self, make: Make, grid: Grid, whole: bool) -> None:
        self._make, self._grid, self._whole = make, grid, whole
        self._template: tuple[Session, Bytes] | None = None
        self._strategies: list[Strategy] = []
        self.cells: list[Cell] = []

    def add(self, strategy: Strategy) -> Cell:
        """A cell of its own. Raises QuantlyticError when its session cannot be made."""
        if self._template is None:
            session = self._make(strategy)
            self._template = session, session._arena.copy()
        session, pristine = self._template
        handlers = strategy.handlers()
        simple = "on_bar" in handlers and not handlers & {"on_slice", "on_timer"}
        bare = session.compiled and not self._whole and simple and not isinstance(strategy, PythonStrategy)
        count, samples = len(session.instruments), len(self._grid.samples)
        state = strategy.prepared(count) if bare else None
        if state is not None and layout_of(state) is session._layout:
            arena = pristine.copy()
            _set_states(arena, session._layout, state, count)
            cell = Cell(arena, session._machine.step, None, count, samples)
        else:
            own = self._make(strategy)
            cell = Cell(own._arena, own._machine.step, None if bare else own, count, samples)
        self._strategies.append(strategy)
        self.cells.append(cell)
        return cell

    def advance(self, stopped: Callable[[], bool]) -> bool:
        """Run all cells over all bars. A cell that raises keeps its error's text and goes no further; the others do.

        `stopped` is asked before each block; once it says yes, nothing more is done. Returns whether the run is complete.
        """
        bare = [k for k, cell in enumerate(self.cells) if cell.session is None]
        sessions = [cell for cell in self.cells if cell.session is not None]
        slots = _slots([self.cells[k] for k in bare])
        start, total = 0, len(self._grid.array)
        while start < total:
            if stopped():
                return False
            block = Block(self._grid, start)
            for failed in _advance_arenas([self.cells[k] for k in bare], slots, block, self._journal) if bare else ():
                self.cells[bare[failed]].error = self._error_of(bare[failed], block.stop)
            for cell in sessions:
                if not cell.error:
                    _advance_session(cell, block, self._whole)
            start = block.stop
        for k, slot in zip(bare, slots, strict=True):
            self.cells[k].rejected = int(slot["rejected"])
        for cell in self.cells:
            compiled_tally()[1](_address(cell.tally_bytes), total, self._grid.ends_before)
            if cell.session is not None and self._whole and not cell.error:
                cell.digest = cell.session.digest
        return True

    @property
    def _journal(self) -> JournalFile:
        assert self._template is not None
        return self._template[0]._journal

    def _error_of(self, cell: int, stop: int) -> str:
        """What a session of its own says: with bar, line and state."""
        try:
            self._make(self._strategies[cell]).run(self._grid.array[:stop])
        except QuantlyticError as error:
            return str(error)
        return f"{type(self._strategies[cell]).__name__} raised"


class Block:
    """Some bars, and what of the grid belongs to them, with rows counted from the block's first."""

    def __init__(self, grid: Grid, start: int) -> None:
        first = int(np.searchsorted(grid.ends, start + BLOCK - 1))
        self.stop = stop = int(grid.ends[min(first, len(grid.ends) - 1)]) + 1
        self.bars = grid.array[start:stop]
        first, last = np.searchsorted(grid.ends, (start, stop))
        self.ends = grid.ends[first:last] - start
        self.ends_before = grid.ends_before
        first, last = np.searchsorted(grid.samples, (start, stop))
        self.sampled = slice(first, last)
        self.samples = grid.samples[first:last] - start
        self.room = np.empty(stop - start)


def _advance_arenas(cells: Sequence[Cell], slots: Array, block: Block, journal: JournalFile) -> list[int]:
    """Run the bare cells over the block; returns the numbers of those that failed in it."""
    cursor, equity, failed = np.zeros(2, np.int64), np.empty(len(block.bars)), []
    advance, run = compiled_advance(), run_address()
    while cursor[0] < len(cells):
        before = int(cursor[0])
        try:
            why = advance(
                run, _address(slots), len(cells), cursor, _address(block.bars), equity, _address(equity),
                _address(journal.buffer), block.ends, block.ends_before, block.room, block.samples, block.sampled.start,
            )  # fmt: skip
        except Exception:  # whatever a handler raises; a session of its own tells what it is
            why = None
            journal.clear()
        if why == DONE:
            break
        at = int(cursor[0])
        assert before <= at < len(cells)
        if why == MORE_LOTS:
            cells[at].tally_bytes = with_more_lots(cells[at].tally_bytes)
            slots["tally"][at] = _address(cells[at].tally_bytes)
            continue
        slots["failed"][at] = True
        failed.append(at)
    return failed


def _advance_session(cell: Cell, block: Block, whole: bool) -> None:
    session = cell.session
    assert session is not None
    before = [len(session.fills), len(session.updates), len(session.equity)] if whole else [0, 0, 0]
    try:
        session.run(block.bars)
    except QuantlyticError as error:
        cell.error = str(error)
        return
    equity = session.equity[before[2] :]
    compiled_take()(_address(cell.curve_bytes), equity, block.ends, block.room)
    cell.samples[block.sampled] = equity[block.samples]
    cell.rejected += int(np.count_nonzero(session.updates["status"][before[1] :] == OrderStatus.REJECTED))
    take, done, fills = compiled_tally()[0], 0, session.fills[before[0] :]
    while done < len(fills):
        done = take(_address(cell.tally_bytes), _address(fills), done, len(fills), block.ends_before)
        if done < len(fills):
            cell.tally_bytes = with_more_lots(cell.tally_bytes)
    if not whole:
        session.forget()


def _slots(cells: Sequence[Cell]) -> Array:
    slots = np.zeros(len(cells), SLOT.dtype)
    for slot, cell in zip(slots, cells, strict=True):
        slot["arena"], slot["step"] = _address(cell.arena), cell.step
        slot["curve"], slot["tally"] = _address(cell.curve_bytes), _address(cell.tally_bytes)
        slot["samples"] = _address(cell.samples)
    return slots


def _set_states(arena: Bytes, layout: Layout, state: Strategy, instruments: int) -> None:
    """The state to begin with, of each instrument."""
    broker: Any = BROKER.view(arena)
    start, apart = int(broker.account.states_at), int(broker.account.state_bytes)
    for k in range(instruments if apart else 1):
        pack(state, layout, arena[start + k * apart :][: layout.size].view(layout.dtype)[0])


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
    if not len(buffer):
        return 0
    return int(buffer.view(np.uint8).__array_interface__["data"][0])  # of rows with fields it takes ten times as long
