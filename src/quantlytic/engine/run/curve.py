"""An equity curve's figures, gathered block by block: nothing of the curve itself is kept.

Mean and variance are those of each block, merged by the rule of Chan, Golub & LeVeque (1979), so that they are as exact as
those of the whole curve.
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

from quantlytic.engine.compiler.record import Record, at, layout_of


class Curve(Record):
    """What is known of the curve so far. A point is the last equity at a time; returns are simple, between points."""

    def __init__(self) -> None:
        self.bars = 0
        self.total = 0.0  # the sum of equity over all bars
        self.points = 0
        self.last = math.nan
        self.lowest = math.inf
        self.peak = -math.inf
        self.deepest = 1.0  # the lowest share of an earlier peak
        self.mean = 0.0  # of returns
        self.squares = 0.0  # the sum of their squared distances from the mean
        self.losses = 0.0  # the sum of the squares of those below zero

    def take(self, equity: Any, ends: Any, returns: Any) -> None:
        """The next block: equity after each of its bars (f8), the rows that are the last of their time (i8). `returns` is
        room for as many returns as there are ends."""
        total = 0.0
        for row in range(len(equity)):
            total += equity[row]
        self.total += total
        self.bars += len(equity)
        begin = 0
        if self.points == 0 and len(ends) > 0:
            self.last = self.peak = self.lowest = equity[ends[0]]
            begin = 1
        last, lowest, peak, deepest, losses, summed = self.last, self.lowest, self.peak, self.deepest, 0.0, 0.0
        for k in range(begin, len(ends)):  # without branches that follow the sign of a return: they cannot be foreseen
            value = equity[ends[k]]
            gain = value / last - 1.0 if value != last else 0.0
            loss = min(gain, 0.0)
            losses += loss * loss
            lowest = min(lowest, value)
            peak = max(peak, value)
            if value < deepest * peak:
                deepest = value / peak
            last = value
            returns[k] = gain
            summed += gain
        self.last, self.lowest, self.peak, self.deepest = last, lowest, peak, deepest
        self.losses += losses
        count = len(ends) - begin
        if count > 0:
            self.merge(returns, begin, count, summed / count)
        self.points += len(ends)

    def merge(self, returns: Any, begin: int, count: int, mean: float) -> None:
        """Take over the block's mean and squared distances."""
        squares = 0.0
        for k in range(begin, begin + count):
            squares += (returns[k] - mean) ** 2
        before = max(self.points - 1, 0)
        apart = mean - self.mean
        share = count / (before + count)
        self.mean += apart * share
        self.squares += squares + apart * apart * before * share


CURVE = layout_of(Curve())


def take_block(curve: Any, equity: NDArray[np.float64], ends: NDArray[np.int64], returns: NDArray[np.float64]) -> None:
    """`Curve.take` on the record at an address."""
    at(curve, 0, CURVE).take(equity, ends, returns)


@functools.cache
def compiled_take() -> Any:
    """`take_block`, compiled at the first use or loaded from disk."""
    from quantlytic.engine.compiler.jit import compile_function

    assert isinstance(take_block, FunctionType)
    return compile_function(take_block, "void(intp, float64[::1], int64[::1], float64[::1])")
