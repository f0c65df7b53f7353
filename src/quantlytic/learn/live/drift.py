"""How far the features a model is given have moved from those it was trained on: the population stability index."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import numpy as np

from quantlytic.learn.samples.inputs import Inputs, Values
from quantlytic.model.errors import DataError

LEAST_ROWS = 200
"""Below, chance alone gives large indices: of n rows in ten bins about 9 / n."""
BLOCK_ROWS = 500
LOOK_ROWS = 20
"""The index is computed anew every so many rows: one row hardly moves it, and a forecast does not wait for it."""
_LEAST_SHARE = 1e-4  # an empty bin: its logarithm would be infinite


class _Saved(msgspec.Struct, array_like=True):
    rows: tuple[int, int]
    counts: bytes
    last: float


class Drift:
    """The index of each column over the last `BLOCK_ROWS` to twice as many rows, against the deciles of training.

    `sum((p - q) * ln(p / q))` over the bins, p the share of the rows seen and q that of training; by custom below 0.1 is no
    change, above 0.25 a large one (Siddiqi, Credit Risk Scorecards, 2006). The same rows always give the same bytes.
    """

    def __init__(self, deciles: Sequence[Sequence[float]]) -> None:
        cuts = [_cuts_of(column) for column in deciles]
        width = max(len(edges) for edges, _ in cuts)
        self._edges = np.array([edges + [math.inf] * (width - len(edges)) for edges, _ in cuts])
        below = np.array([[0.0, *shares] + [1.0] * (width + 1 - len(shares)) for _, shares in cuts])
        self._used = np.array([[True] * (len(edges) + 1) + [False] * (width - len(edges)) for edges, _ in cuts])
        self._expected = np.where(self._used, np.maximum(np.diff(below, axis=1), _LEAST_SHARE), 1.0)
        self._columns = np.arange(len(cuts))
        self._counts = np.zeros((2, len(cuts), width + 1), np.int64)  # the block that fills, and the one before
        self._rows = [0, 0]
        self._last = math.nan

    def add(self, row: Inputs) -> float:
        """Take a complete row, f4[k]; the largest index of a column so far (as of the last look), NaN for too few rows."""
        if self._rows[0] == BLOCK_ROWS:
            self._rows = [0, self._rows[0]]
            self._counts[1] = self._counts[0]
            self._counts[0] = 0
        bins = (row[:, None] >= self._edges).sum(axis=1)
        self._counts[0, self._columns, bins] += 1
        self._rows[0] += 1
        if self._rows[0] % LOOK_ROWS == 0 and len(indices := self.indices()):
            self._last = float(indices.max())
        return self._last

    def indices(self) -> Values:
        """The index of each column, f8[k]; empty for too few rows."""
        rows = sum(self._rows)
        if rows < LEAST_ROWS:
            return np.zeros(0)
        share = np.maximum((self._counts[0] + self._counts[1]) / rows, _LEAST_SHARE)
        terms = np.where(self._used, (share - self._expected) * np.log(share / self._expected), 0.0)
        found: Values = terms.sum(axis=1)
        return found

    def save(self) -> bytes:
        """All state, to go on from."""
        return msgspec.msgpack.encode(_Saved((self._rows[0], self._rows[1]), self._counts.tobytes(), self._last))

    def restore(self, state: bytes) -> None:
        """Go on from what `save` gave. DataError when it is not of this model."""
        try:
            saved = msgspec.msgpack.decode(state, type=_Saved)
            counts = np.frombuffer(saved.counts, np.int64).reshape(self._counts.shape)
        except (msgspec.MsgspecError, ValueError) as error:
            raise DataError(f"the saved drift is damaged, or of another model: {error}") from None
        self._rows, self._counts, self._last = list(saved.rows), counts.copy(), saved.last


def _cuts_of(deciles: Sequence[float]) -> tuple[list[float], list[float]]:
    """Where bins begin, and which share of training lies below each.

    A value that is several deciles at once has a bin of its own; of what lies below it the deciles say no more than between
    which two it is: the middle is taken.
    """
    edges, shares = list[float](), list[float]()
    last = len(deciles) - 1
    first = 0
    while first <= last:
        value, end = deciles[first], first
        while end < last and deciles[end + 1] == value:
            end += 1
        if end > first:
            edges += [value, float(np.nextafter(np.float32(value), np.float32(np.inf)))]
            shares += [0.0 if first == 0 else (first - 0.5) / last, 1.0 if end == last else (end + 0.5) / last]
        elif 0 < first < last:
            edges.append(value)
            shares.append(first / last)
        first = end + 1
    return edges, shares
