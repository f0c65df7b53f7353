"""A value over time: an account's equity, a benchmark's."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

YEAR_NS = 31_557_600 * 1_000_000_000
DAY_NS = 86_400 * 1_000_000_000

Times = NDArray[np.int64]
Values = NDArray[np.float64]


def last_of_each_time(times: Times, values: Values) -> tuple[Times, Values]:
    """The last value at each distinct time. `times` must not decrease."""
    last = np.append(times[1:] != times[:-1], True)
    return (times, values) if last.all() else (times[last], values[last])


@dataclass(frozen=True)
class Curve:
    """One value at each of strictly increasing times (ns UTC): i8[points] and f8[points]. Made by `Curve.of`."""

    times: Times
    values: Values

    @classmethod
    def of(cls, times: Times, values: Values) -> Curve:
        """The last value at each distinct time; `times` must not decrease."""
        return cls(*last_of_each_time(times, values))

    def __len__(self) -> int:
        return len(self.times)

    @property
    def span_ns(self) -> int:
        return int(self.times[-1]) - int(self.times[0]) if len(self) else 0

    @property
    def years(self) -> float:
        return self.span_ns / YEAR_NS

    @property
    def per_year(self) -> float | None:
        """Points in a year of 365.25 days, as the curve has them; None for a single one."""
        return (len(self) - 1) / self.years if self.span_ns > 0 else None

    @cached_property
    def is_sound(self) -> bool:
        """Every value is a number above 0: only then are there returns."""
        return bool(len(self) and np.isfinite(self.values).all() and self.values.min() > 0)

    @cached_property
    def returns(self) -> Values:
        """Simple returns between points: f8[points - 1]; none when the curve is not sound."""
        return self.values[1:] / self.values[:-1] - 1.0 if self.is_sound else np.empty(0)

    @cached_property
    def drawdown(self) -> Values:
        """Value over its highest so far, less one: 0 at a peak, -0.25 a quarter below it. Values start above 0."""
        return drawdown_curve(self.values)

    @cached_property
    def days(self) -> Curve:
        """The last value of each UTC day; a point at midnight belongs to the day that ends there."""
        days = (self.times - 1) // DAY_NS
        last = np.append(days[1:] != days[:-1], True) if len(self) else np.zeros(0, np.bool_)
        return self if last.all() else Curve(self.times[last], self.values[last])

    def at(self, times: Times) -> Values:
        """The last value at or before each time; the first value before the curve begins."""
        rows = np.searchsorted(self.times, times, side="right") - 1
        found: Values = self.values[np.maximum(rows, 0)]
        return found


def drawdown_curve(equity: Values) -> Values:
    """Equity over its highest value so far, less one: 0 at a peak, -0.25 a quarter below it."""
    return equity / np.maximum.accumulate(equity) - 1.0
