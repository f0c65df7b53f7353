"""Result rows that grow."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlytic.engine.compiler.record import Bytes


class Rows:
    """A growing array of one dtype: `extend` adds rows, `array` reads them.

    Rows are copied once, as bytes, into blocks as large as all before; the blocks are joined when they are read.
    """

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype
        self.count = 0
        self._full: list[Bytes] = []
        self._before = 0  # bytes in the full blocks
        self._last: Bytes = np.zeros(0, np.uint8)

    @property
    def array(self) -> NDArray[Any]:
        """The rows so far. A view: copy it to keep it beyond `clear`."""
        return self.reserve(0)[: self.count * self.dtype.itemsize].view(self.dtype)

    def reserve(self, rows: int) -> Bytes:
        """Room for `rows` more; returns the bytes of all rows and what is free after them. Who writes there raises `count`."""
        used = self.count * self.dtype.itemsize
        needed = used + rows * self.dtype.itemsize
        if self._full or needed > len(self._last):
            joined = np.zeros(max(needed, used + used // 2), np.uint8)
            start = 0
            for block in (*self._full, self._last[: used - self._before]):
                joined[start : start + len(block)] = block
                start += len(block)
            self._full, self._before, self._last = [], 0, joined
        return self._last

    def extend(self, rows: NDArray[Any]) -> None:
        """Add rows at the end."""
        size = rows.nbytes
        if not size:
            return
        used = self.count * self.dtype.itemsize
        start = used - self._before
        if start + size > len(self._last):
            if start:
                self._full.append(self._last[:start])
            self._before, self._last, start = used, np.zeros(max(size, used), np.uint8), 0
        # As bytes: NumPy copies rows with padding field by field.
        self._last[start : start + size] = np.ascontiguousarray(rows).view(np.uint8)
        self.count += len(rows)

    def clear(self) -> None:
        """Drop all rows; the room stays."""
        self.count = self._before = 0
        self._full.clear()
