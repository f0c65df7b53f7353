"""The best cell of a sweep beside its neighbours: a plateau is worth more than a lonely peak."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantlytic.model.errors import InputError
from quantlytic.research.search.space import Params
from quantlytic.research.search.sweeptext import figure, label

_NEAREST = 8
_LONELY = 0.5


@dataclass(frozen=True)
class Peak:
    """`kept` is the share of the best cell's lead over the median cell that its neighbours have on average: 1 on a plateau,
    0 where they are no better than any. None where it has no neighbours or no lead.

    Neighbours are one step away along any of the axes, diagonals included; of random draws, the eight nearest.
    """

    metric: str
    cell: int
    params: Params
    best: float
    neighbours: int
    neighbours_mean: float | None
    median: float
    kept: float | None

    @property
    def is_lonely(self) -> bool:
        return self.kept is not None and self.kept < _LONELY

    @property
    def sentence(self) -> str:
        """What was found, in words."""
        where = ", ".join(f"{name} {value:.6g}" for name, value in self.params.items())
        found = f"The best cell ({where}) has a {label(self.metric)} of {figure(self.metric, self.best)}"
        if self.neighbours_mean is None:
            return f"{found}; it has no neighbours to compare it with."
        several = "neighbour has" if self.neighbours == 1 else f"{self.neighbours} neighbours have"
        mean = figure(self.metric, self.neighbours_mean) + ("" if self.neighbours == 1 else " on average")
        return f"{found}; its {several} {mean}, the median cell {figure(self.metric, self.median)}."

    @property
    def advice(self) -> str:
        """What to make of it."""
        if self.kept is None:
            return "Nothing can be said about how robust it is."
        share = f"{max(self.kept, 0.0):.0%}".replace("%", "\u00a0%")
        if self.is_lonely:
            return f"A lonely peak: nearby parameters keep only {share} of its lead. That is what luck looks like."
        return f"A plateau: nearby parameters keep {share} of its lead."


def peak_of(metric: str, cells: Sequence[Params], axes: Sequence[str], values: NDArray[np.float64], best: int) -> Peak:
    """Compare cell `best` with its neighbours. `values`: the metric of each cell, NaN where there is none."""
    if not len(values) or np.isnan(values[best]):
        raise InputError(f"cell {best} has no {metric}")
    near = [cell for cell in neighbours(cells, axes, best) if not np.isnan(values[cell])]
    median = float(np.nanmedian(values))
    mean = float(np.mean(values[near])) if near else None
    lead = float(values[best]) - median
    return Peak(
        metric=metric,
        cell=best,
        params={name: cells[best][name] for name in axes},
        best=float(values[best]),
        neighbours=len(near),
        neighbours_mean=mean,
        median=median,
        kept=None if mean is None or lead == 0 else (mean - median) / lead,
    )


def neighbours(cells: Sequence[Params], axes: Sequence[str], cell: int) -> list[int]:
    """The cells around one: one step away along any axis where the cells fill a grid, else the nearest by rank."""
    if not axes:
        return []
    ranks, filled = np.empty((len(cells), len(axes))), 1
    for column, name in enumerate(axes):
        distinct, ranks[:, column] = np.unique([float(params[name]) for params in cells], return_inverse=True)
        filled *= len(distinct)
    steps = np.abs(ranks - ranks[cell])
    if 2 * len(cells) >= filled:  # a grid, of which a constraint may have taken up to a half
        return [int(one) for one in np.flatnonzero(steps.max(axis=1) == 1)]
    apart = (steps / np.maximum(ranks.max(axis=0), 1)).max(axis=1)
    apart[cell] = np.inf
    return [int(one) for one in np.argsort(apart, kind="stable")[: min(_NEAREST, len(cells) - 1)]]
