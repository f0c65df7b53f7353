"""What a rule found: rows as they should be, what was changed to get there, and what it dares not change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Repair:
    """One statement of what was changed, in words that stand alone. `first`..`last`: times of the rows changed, ns UTC.

    `fields`: the columns changed; `before` and `after`: the value of the first of them in the first row; `rows`: how many.
    """

    rule: str
    first: int
    last: int
    rows: int
    fields: tuple[str, ...]
    before: float
    after: float
    reason: str


@dataclass(frozen=True)
class Doubt:
    """Something that is wrong, or cannot be told from wrong, and is left as it is. `about`: "prices" or "dividend"."""

    rule: str
    time: int
    about: str
    reason: str


@dataclass(frozen=True)
class Finding:
    """`rows` (dtype DAILY) after the repairs, which are in order of time."""

    rows: NDArray[Any]
    repairs: tuple[Repair, ...] = ()
    doubts: tuple[Doubt, ...] = ()


def scaled(rows: NDArray[Any], chosen: NDArray[np.bool_], price: float, volume: float = 1.0) -> NDArray[Any]:
    """A copy with the prices of the chosen rows multiplied, and their volumes."""
    fixed = rows.copy()
    for name in ("open", "high", "low", "close", "adj_close"):
        fixed[name][chosen] *= price
    fixed["volume"][chosen] *= volume
    return fixed


def priced(rows: NDArray[Any]) -> NDArray[np.bool_]:
    """The rows that have a close."""
    close = rows["close"]
    return np.asarray(np.isfinite(close) & (close > 0.0))


def noise(rows: NDArray[Any]) -> float:
    """The usual size of a day's return: 1.4826 times the median of the absolute ones, at least 0.5 %."""
    close = rows["close"][priced(rows)]
    steps = np.abs(np.diff(np.log(close)))
    usual = 1.4826 * float(np.median(steps)) if len(steps) else 0.0
    return max(usual, _LEAST_NOISE)


_LEAST_NOISE = 0.005
