"""Prices in the wrong unit: pounds among pence, rand among cents, a hundred times too low or too high.

No market moves a hundredfold between two rows and back, so where the jump lies is certain. Which side of it is right is not
in the rows: it is the quoted currency. Where that is a hundredth (pence: "GBp"), the vendor has slipped into the whole unit,
and the low rows are wrong. Elsewhere a few rows with right ones on both sides are wrong; anything else is refused.

A single cell may be wrong in a row that is right: then the other prices of the row tell, and a high or low that would not
enclose them is put at their edge.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlytic.daily.rules.finding import Doubt, Finding, Repair, priced, scaled
from quantlytic.daily.rules.levels import levels, runs

RULE = "unit"
HUNDREDTHS = frozenset({"GBp", "GBX", "ZAc", "ZAC", "ILA"})
"""Currencies in which prices are quoted by the hundredth."""

_SLACK = 1.0 / 6.0  # of log(100): a factor of 2 either way
_FEW = 0.1  # share of rows
_CELLS = ("open", "high", "low", "close")
_CHANGED = ("close", "open", "high", "low", "adj_close")


def repair_units(rows: NDArray[Any], currency: str) -> Finding:
    """Rows and cells that are a hundred times off brought to the level of the others."""
    cells = _repair_cells(rows)
    level, unclear = levels(cells.rows, 100.0, _SLACK)
    if unclear.any():
        at = int(np.argmax(unclear))
        step = cells.rows["close"][at] / cells.rows["close"][at - 1]
        doubt = Doubt(RULE, int(rows["time"][at]), "prices", f"the close becomes {step:.4g} times as high in one step")
        return Finding(cells.rows, cells.repairs, (doubt,))
    if not level.any():
        return cells
    if level.max() - level.min() > 1:
        at = int(np.argmax(level != level[-1]))
        doubt = Doubt(RULE, int(rows["time"][at]), "prices", "prices lie on more than two levels, a hundredfold apart")
        return Finding(cells.rows, cells.repairs, (doubt,))
    wrong, factor = _wrong_side(level, currency)
    if wrong is None:
        at = int(np.argmax(level != level[-1]))
        reason = f"prices jump a hundredfold, and nothing says which level is right (currency {currency or 'unknown'})"
        return Finding(cells.rows, cells.repairs, (Doubt(RULE, int(rows["time"][at]), "prices", reason),))
    fixed = scaled(cells.rows, wrong, factor)
    repairs = [
        Repair(
            RULE, int(rows["time"][first]), int(rows["time"][last]), last - first + 1, _CHANGED,
            float(cells.rows["close"][first]), float(fixed["close"][first]), f"prices times {factor:g}: {_why(currency)}",
        )
        for first, last in runs(wrong)
    ]  # fmt: skip
    return Finding(fixed, (*cells.repairs, *repairs))


def _wrong_side(level: NDArray[np.int64], currency: str) -> tuple[NDArray[np.bool_] | None, float]:
    """(the wrong rows, their factor); None where it cannot be told."""
    low, high = level == level.min(), level == level.max()
    if currency in HUNDREDTHS:
        return low, 100.0
    for wrong, factor in ((low, 100.0), (high, 0.01)):
        if wrong.mean() <= _FEW and not wrong[0] and not wrong[-1]:
            return wrong, factor
    return None, 1.0


def _why(currency: str) -> str:
    if currency in HUNDREDTHS:
        return f"the instrument is quoted in hundredths ({currency}), these rows are in the whole unit"
    return "the rows on both sides are a hundredfold apart from these"


def _repair_cells(rows: NDArray[Any]) -> Finding:
    """Single prices a hundred times off those of their own row."""
    there = priced(rows)
    prices = np.stack([rows[name] for name in _CELLS])
    with np.errstate(invalid="ignore", divide="ignore"):
        heights = np.log(prices)
        around = _around(heights, there)
        off = heights - around
    for_sure = np.abs(np.abs(off) - np.log(100.0)) <= _SLACK * np.log(100.0)
    mixed = there & for_sure.any(axis=0) & ~for_sure.all(axis=0)
    if not mixed.any():
        return Finding(rows)
    fixed, repairs = rows.copy(), []
    for at in np.flatnonzero(mixed):
        names = [name for place, name in enumerate(_CELLS) if for_sure[place, at]]
        for place, name in enumerate(_CELLS):
            if for_sure[place, at]:
                factor = 0.01 if off[place, at] > 0 else 100.0
                fixed[name][at] *= factor
                if name == "close":
                    fixed["adj_close"][at] *= factor
        fixed["low"][at] = min(fixed["low"][at], fixed["open"][at], fixed["close"][at])
        fixed["high"][at] = max(fixed["high"][at], fixed["open"][at], fixed["close"][at])
        time = int(rows["time"][at])
        reason = f"{', '.join(names)} a hundred times off the other prices of the row and of the rows beside it"
        first = names[0]
        repairs.append(
            Repair(RULE, time, time, 1, tuple(names), float(rows[first][at]), float(fixed[first][at]), reason)
        )
    return Finding(fixed, tuple(repairs))


def _around(heights: NDArray[np.float64], there: NDArray[np.bool_]) -> NDArray[np.float64]:
    """For each row the height that most of its own prices and of its neighbours' have (two rows each way)."""
    count = len(there)
    known = np.where(there, heights, np.nan)
    stacked = [known]
    for shift in (-2, -1, 1, 2):
        moved = np.full_like(known, np.nan)
        source = np.arange(count) + shift
        inside = (source >= 0) & (source < count)
        moved[:, inside] = known[:, source[inside]]
        stacked.append(moved)
    with np.errstate(all="ignore"):
        every = np.concatenate(stacked)
        empty = ~np.isfinite(every).any(axis=0)
        every[:, empty] = 0.0
        return np.asarray(np.nanmedian(every, axis=0))
