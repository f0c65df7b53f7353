"""Result rows that grow."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlytic.engine.record import Bytes


class Rows:
    """A growing array of one dtype, written through `buffer` (bytes) and read through `array`."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype
        self.count = 0
        self.buffer: Bytes = np.zeros(0, np.uint8)

    @property
    def array(self) -> NDArray[Any]:
        """The rows so far. A view: copy it to keep it beyond the next call."""
        return self.buffer[: self.count * self.dtype.itemsize].view(self.dtype)

    def reserve(self, rows: int) -> Bytes:
        """Room for `rows` more; returns the buffer, which is a new one when it had to grow."""
        needed = (self.count + rows) * self.dtype.itemsize
        if needed > len(self.buffer):
            grown = np.zeros(max(needed, 2 * len(self.buffer)), np.uint8)
            grown[: len(self.buffer)] = self.buffer
            self.buffer = grown
        return self.buffer

    def extend(self, rows: NDArray[Any]) -> None:
        """Add rows at the end."""
        if not len(rows):
            return
        self.reserve(len(rows))
        self.count += len(rows)
        self.array[self.count - len(rows) :] = rows
