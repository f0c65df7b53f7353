"""What events brought forth, on its way from the arena's outboxes to the results: boxes of rows in one flat buffer.

    Journal | Box[8] | fills | updates | orders | signals | cancels | amends | flows | samples

The loops write until a box may not hold what one more event can bring; then the session takes the rows out.
"""

# mypy: disable-error-code="no-any-return"
# Rows are fields of a buffer, not objects: their types are known when compiled.

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlytic.engine.account.outbox import DTYPES
from quantlytic.engine.compiler.record import Bytes, Record, address_of, at, copy_in, layout_of

SAMPLES = len(DTYPES)
SAMPLE = np.dtype([("time", "i8"), ("equity", "f8")])
"""What the account was worth, and when."""

_ROWS = 2_048


class Box(Record):
    """Rows of one kind: how many there are, how many fit, how many one event can bring; where they are, and their size."""

    def __init__(self) -> None:
        self.count = 0
        self.room = 0
        self.most = 0
        self.start = 0
        self.row_bytes = 0


class Journal(Record):
    """The head of the buffer."""

    def __init__(self) -> None:
        self.boxes = SAMPLES + 1

    def box(self, kind: int) -> Any:
        return at(self, JOURNAL_BYTES + kind * BOX_BYTES, BOX)

    def write(self, kind: int, source: Any, count: int) -> None:
        """Add `count` rows that lie at the address `source`."""
        if count > 0:
            box = self.box(kind)
            copy_in(source, address_of(self) + (box.start + box.count * box.row_bytes), count * box.row_bytes)
            box.count += count

    def sample(self, time: int, equity: float) -> None:
        """Tell what the account was worth."""
        box = self.box(SAMPLES)
        row = at(self, box.start + box.count * box.row_bytes, SAMPLE_ROW)
        row.time = time
        row.equity = equity
        box.count += 1

    @property
    def is_full(self) -> bool:
        """Whether a box may not hold what one more event can bring."""
        for kind in range(self.boxes):
            box = self.box(kind)
            if box.count + box.most > box.room:
                return True
        return False


BOX, JOURNAL, SAMPLE_ROW = layout_of(Box()), layout_of(Journal()), layout_of(SAMPLE)
BOX_BYTES, JOURNAL_BYTES = BOX.size, JOURNAL.size


class JournalFile:
    """The buffer, from the outside. `most`: rows of each kind that one event can bring."""

    def __init__(self, most: Sequence[int]) -> None:
        end = JOURNAL_BYTES + (SAMPLES + 1) * BOX_BYTES
        dtypes = (*DTYPES, SAMPLE)
        boxes = np.zeros(len(dtypes), BOX.dtype)
        for box, dtype, rows in zip(boxes, dtypes, (*most, 1), strict=True):
            room = max(_ROWS, 2 * rows)
            box["room"], box["most"], box["start"], box["row_bytes"] = room, rows, end, dtype.itemsize
            end += room * dtype.itemsize
        self.buffer: Bytes = np.zeros(end, np.uint8)
        self.buffer[:JOURNAL_BYTES].view(JOURNAL.dtype)["boxes"] = len(dtypes)
        self._boxes = self.buffer[JOURNAL_BYTES : JOURNAL_BYTES + len(boxes) * BOX_BYTES].view(BOX.dtype)
        self._boxes[:] = boxes
        self._rows = [
            self.buffer[int(box["start"]) :][: int(box["room"]) * dtype.itemsize].view(dtype)
            for box, dtype in zip(boxes, dtypes, strict=True)
        ]

    def take(self, kind: int) -> NDArray[Any]:
        """The rows of a box, which is empty then: a view, good until more is written."""
        rows = self._rows[kind][: int(self._boxes["count"][kind])]
        self._boxes["count"][kind] = 0
        return rows

    def clear(self) -> None:
        """Drop all rows."""
        self._boxes["count"] = 0
