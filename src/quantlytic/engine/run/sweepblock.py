"""The compiled heart of a sweep: a block of bars, and each cell in turn over it."""

# mypy: disable-error-code="no-any-return"
# Rows are fields of a buffer, not objects: their types are known when compiled.

from __future__ import annotations

import functools
from types import FunctionType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlytic.engine.account.account import CELL, CELL_BYTES, UPDATE_BYTES, UPDATE_ROW
from quantlytic.engine.account.broker import BROKER
from quantlytic.engine.account.codes import FAULT_NONE, REJECTED
from quantlytic.engine.account.outbox import FILLS, UPDATES
from quantlytic.engine.compiler.record import Record, at, call_run, layout_of
from quantlytic.engine.run.curve import CURVE
from quantlytic.engine.run.journal import JOURNAL
from quantlytic.engine.run.tally import FILL_BYTES, FILL_ROW, TALLY

DONE, MORE_LOTS, FAULT = 0, 1, 2
"""What `advance_block` stopped for: all done, or the cell at the cursor needs room for lots, or has sent too much."""


class Slot(Record):
    """Where a cell's bytes are (addresses), and how many of its orders were rejected."""

    def __init__(self) -> None:
        self.arena = 0
        self.step = 0
        self.curve = 0
        self.tally = 0
        self.samples = 0
        self.rejected = 0
        self.failed = False


SLOT = layout_of(Slot())
SLOT_BYTES = SLOT.size


def advance_block(
    run: Any, slots: Any, cells: int, cursor: NDArray[np.int64], bars: Any, equity: NDArray[np.float64], equity_at: Any,
    journal: Any, ends: NDArray[np.int64], ends_before: NDArray[np.int64], room: NDArray[np.float64],
    samples: NDArray[np.int64], first_sample: int,
) -> int:  # fmt: skip
    """Run the cells from cursor[0] on, the first of them from bar cursor[1] of the block on, and take in what comes of it.

    `equity`, as long as the block, and `room` are scratch; `ends` and `samples` are rows of the block, `ends_before` is of
    all bars. Called again, it goes on where it stopped. When a handler raises, the cursor says in which cell.
    """
    log, count = at(journal, 0, JOURNAL), len(equity)
    while cursor[0] < cells:
        slot = at(slots, cursor[0] * SLOT_BYTES, SLOT)
        if not slot.failed:
            sums, account = at(slot.tally, 0, TALLY), at(slot.arena, 0, BROKER).account
            while cursor[1] < count:
                if sums.lots + log.box(FILLS).room > sums.capacity:
                    return MORE_LOTS
                cursor[1] = call_run(run, slot.arena, bars, cursor[1], count, equity_at, journal, slot.step)
                take_journal(log, sums, slot, ends_before)
                if account.fault != FAULT_NONE:
                    return FAULT
            at(slot.curve, 0, CURVE).take(equity, ends, room)
            for k in range(len(samples)):
                at(slot.samples, (first_sample + k) * CELL_BYTES, CELL).value = equity[samples[k]]
        cursor[0] += 1
        cursor[1] = 0
    return DONE


def take_journal(log: Any, sums: Any, slot: Any, ends_before: Any) -> None:
    """Tally the fills, count what was rejected, empty the journal."""
    fills, updates = log.box(FILLS), log.box(UPDATES)
    for k in range(fills.count):
        sums.take(at(log, fills.start + k * FILL_BYTES, FILL_ROW), ends_before)
    for k in range(updates.count):
        if at(log, updates.start + k * UPDATE_BYTES, UPDATE_ROW).status == REJECTED:
            slot.rejected += 1
    for kind in range(log.boxes):
        log.box(kind).count = 0


@functools.cache
def compiled_advance() -> Any:
    """`advance_block`, compiled at the first use or loaded from disk."""
    from quantlytic.engine.compiler.jit import compile_function

    function: Any = advance_block
    assert isinstance(function, FunctionType)
    whole, real = "int64[::1]", "float64[::1]"
    return compile_function(
        function,
        f"intp(intp, intp, intp, {whole}, intp, {real}, intp, intp, {whole}, {whole}, {real}, {whole}, intp)",
    )
