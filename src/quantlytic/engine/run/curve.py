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

from quantlytic.engine.compiler.record import Bytes, Record, at, layout_of, pack


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
        self.total += sum_of(equity, 0)
        self.bars += len(equity)
        if len(ends) == 0:
            return
        points = equity if len(ends) == len(equity) else equity[ends]
        begin = 0
        if self.points == 0:
            self.last = self.peak = self.lowest = points[0]
            begin = 1
        self.fall(points, begin)
        if begin < len(points):
            self.gain(points, begin, returns)
            self.merge(returns, begin, len(points) - begin)
        self.last = points[-1]
        self.points += len(points)

    def fall(self, points: Any, begin: int) -> None:
        """The lowest point, and the deepest fall from a peak."""
        lowest, peak, deepest = self.lowest, self.peak, self.deepest
        for k in range(begin, len(points)):
            value = points[k]
            lowest = min(lowest, value)
            peak = max(peak, value)
            if value < deepest * peak:
                deepest = value / peak
        self.lowest, self.peak, self.deepest = lowest, peak, deepest

    def gain(self, points: Any, begin: int, returns: Any) -> None:
        """The returns to each point from the one before it. No branch follows the sign of a return: it cannot be foreseen."""
        if begin == 0:
            returns[0] = points[0] / self.last - 1.0 if points[0] != self.last else 0.0
        for k in range(1, len(points)):
            returns[k] = points[k] / points[k - 1] - 1.0 if points[k] != points[k - 1] else 0.0

    def merge(self, returns: Any, begin: int, count: int) -> None:
        """Take over the block's mean, squared distances and losses."""
        mean = sum_of(returns[: begin + count], begin) / count
        squares, losses = distances(returns[: begin + count], begin, mean)
        self.losses += losses
        before = max(self.points - 1, 0)
        apart = mean - self.mean
        share = count / (before + count)
        self.mean += apart * share
        self.squares += squares + apart * apart * before * share


def sum_of(values: Any, begin: int) -> float:
    """The sum of values[begin:], in four strands that do not wait for each other, which come together at the end."""
    a, b, c, d = 0.0, 0.0, 0.0, 0.0
    whole = begin + (len(values) - begin) // 4 * 4
    for k in range(begin, whole, 4):
        a += values[k]
        b += values[k + 1]
        c += values[k + 2]
        d += values[k + 3]
    for k in range(whole, len(values)):
        a += values[k]
    return (a + b) + (c + d)


def distances(values: Any, begin: int, mean: float) -> tuple[float, float]:
    """The sums of the squared distances from the mean, and of the squares of values below zero, in two strands each."""
    near, far, loss, more = 0.0, 0.0, 0.0, 0.0
    whole = begin + (len(values) - begin) // 2 * 2
    for k in range(begin, whole, 2):
        near += (values[k] - mean) ** 2
        far += (values[k + 1] - mean) ** 2
        loss += min(values[k], 0.0) ** 2
        more += min(values[k + 1], 0.0) ** 2
    for k in range(whole, len(values)):
        near += (values[k] - mean) ** 2
        loss += min(values[k], 0.0) ** 2
    return near + far, loss + more


CURVE = layout_of(Curve())


@functools.cache
def _pristine() -> Bytes:
    curve = np.zeros(CURVE.size, np.uint8)
    pack(Curve(), CURVE, curve.view(CURVE.dtype)[0])
    return curve


def new_curve() -> Bytes:
    """The bytes of a curve that has seen nothing."""
    return _pristine().copy()


def take_block(curve: Any, equity: NDArray[np.float64], ends: NDArray[np.int64], returns: NDArray[np.float64]) -> None:
    """`Curve.take` on the record at an address."""
    at(curve, 0, CURVE).take(equity, ends, returns)


@functools.cache
def compiled_take() -> Any:
    """`take_block`, compiled at the first use or loaded from disk."""
    from quantlytic.engine.compiler.jit import compile_function

    assert isinstance(take_block, FunctionType)
    return compile_function(take_block, "void(intp, float64[::1], int64[::1], float64[::1])")
