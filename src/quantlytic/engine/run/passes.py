"""One pass over arrays: what the loops are called with, how far they are, and the way back to an event that raised."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlytic.engine.compiler.record import Bytes
from quantlytic.engine.data.tape import Tape
from quantlytic.engine.run.desk import BARS, DESK, NEVER, TRADES
from quantlytic.engine.run.journal import JournalFile
from quantlytic.engine.run.machine import Machine
from quantlytic.engine.run.tapeloop import COUNT, CURSOR

Array = NDArray[Any]
Locator = Callable[[Bytes], Any]


class Pass(ABC):
    """`go` advances; `bad_row` says where it stopped; `parts` are two new passes: up to the event that raised, and it."""

    done = False

    @abstractmethod
    def go(self, machine: Machine, at: Locator, arena: Bytes, desk: Bytes | None, journal: Bytes) -> None:
        """Advance until all is done, the journal is full or something is wrong."""

    @abstractmethod
    def bad_row(self, desk: Bytes | None) -> tuple[int, Array, int]:
        """Where a fault was found: the kind of input, its rows, the row."""

    @abstractmethod
    def parts(self, events: int, desk: Bytes | None) -> tuple[Pass, Pass]:
        """`events`: how many have begun in this pass, the one that raised included."""


class BarsPass(Pass):
    """Over bars alone. `equity` takes a value for each of them."""

    def __init__(self, rows: Array, equity: Bytes, first: int = 0, last: int | None = None) -> None:
        self.rows, self.equity = rows, equity
        self.next, self.last = first, len(rows) if last is None else last

    def go(self, machine: Machine, at: Locator, arena: Bytes, desk: Bytes | None, journal: Bytes) -> None:
        rows, equity = at(self.rows.view(np.uint8)), at(self.equity)
        self.next = machine.run(at(arena), rows, self.next, self.last, equity, at(journal), machine.step)
        self.done = self.next >= self.last

    def bad_row(self, desk: Bytes | None) -> tuple[int, Array, int]:
        return BARS, self.rows, min(self.next, self.last - 1)

    def parts(self, events: int, desk: Bytes | None) -> tuple[Pass, Pass]:
        scratch, k = np.zeros_like(self.equity), events - 1
        return BarsPass(self.rows, scratch, 0, k), BarsPass(self.rows, scratch, k, k + 1)


class TradesPass(Pass):
    """Over trades alone."""

    def __init__(self, rows: Array, first: int = 0, last: int | None = None) -> None:
        self.rows = rows
        self.next, self.last = first, len(rows) if last is None else last

    def go(self, machine: Machine, at: Locator, arena: Bytes, desk: Bytes | None, journal: Bytes) -> None:
        assert desk is not None
        rows = at(self.rows.view(np.uint8))
        self.next = machine.run_trades(at(arena), at(desk), rows, self.next, self.last, at(journal), machine.step)
        self.done = self.next >= self.last

    def bad_row(self, desk: Bytes | None) -> tuple[int, Array, int]:
        return TRADES, self.rows, min(self.next, self.last - 1)

    def parts(self, events: int, desk: Bytes | None) -> tuple[Pass, Pass]:
        k = events - 1
        return TradesPass(self.rows, 0, k), TradesPass(self.rows, k, k + 1)


class TapePass(Pass):
    """Over all inputs of a tape, and all that is due before `until`, by default to the end of its last time; NEVER: that
    stays open."""

    def __init__(self, tape: Tape, heads: NDArray[np.int64] | None = None, *, until: int | None = None) -> None:
        self.tape = tape
        self.until = tape.end if until is None else until
        self.heads = tape.heads() if heads is None else heads

    def go(self, machine: Machine, at: Locator, arena: Bytes, desk: Bytes | None, journal: Bytes) -> None:
        assert desk is not None
        bases: Any = [at(array.view(np.uint8)) for array in self.tape.arrays]
        if isinstance(bases[0], int):
            bases = np.array(bases, np.int64)
        self.done = machine.run_tape(at(arena), at(desk), bases, self.heads, self.until, at(journal), machine.step)

    def bad_row(self, desk: Bytes | None) -> tuple[int, Array, int]:
        k = _input_of(desk)
        array = self.tape.arrays[k]
        return self.tape.kinds[k], array, min(int(self.heads[k, CURSOR]), len(array) - 1)

    def parts(self, events: int, desk: Bytes | None) -> tuple[Pass, Pass]:
        before, event = self.heads.copy(), self.heads.copy()
        before[:, COUNT], before[:, CURSOR] = self.heads[:, CURSOR], 0
        event[:, COUNT] = event[:, CURSOR]
        k = _input_of(desk)
        event[k, COUNT] = min(event[k, CURSOR] + 1, self.heads[k, COUNT])
        return TapePass(self.tape, before, until=NEVER), TapePass(self.tape, event, until=self.until)


def replay(
    failed: Pass, events: int, arena: Bytes, desk: Bytes | None, state: tuple[Bytes, Bytes | None],
    compiled: Machine, plain: Machine, locators: tuple[Locator, Locator], journal: JournalFile,
) -> Exception | None:  # fmt: skip
    """The exception of an event once more, raised in plain Python, whose traceback knows the line.

    `arena` and `desk` are as the failure left them, `state` copies of what they were when the pass began: from there all
    goes the same way again, compiled up to the event and plain for it.
    """
    past, event = failed.parts(events, desk)
    arena[:], began = state[0], state[1]
    if desk is not None and began is not None:
        desk[:] = began
    try:
        for part, machine, at in ((past, compiled, locators[0]), (event, plain, locators[1])):
            while not part.done:
                part.go(machine, at, arena, desk, journal.buffer)
                journal.clear()
    except Exception as error:
        return error
    return None


def _input_of(desk: Bytes | None) -> int:
    assert desk is not None
    return int(desk[: DESK.size].view(DESK.dtype)["input"][0])
