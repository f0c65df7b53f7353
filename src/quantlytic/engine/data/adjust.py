"""Raw bars and corporate actions to adjusted bars, and back. Pure.

Raw prices are what was traded; adjusted ones make returns comparable over time. The last bar stays as it is; each bar before
an action is multiplied by the action's factor (and those of all later ones), with P the instrument's last raw close before it:

    SPLIT of r new units for one old:   1 / r   (volume: r)
    DIVIDEND of D for one unit:         1 - D / P

which is the convention of CRSP, Yahoo and LEAN: an adjusted return on an ex-date is `close / (P - D)`, that of somebody who
puts the dividend back into the instrument at the theoretical ex-price P - D. Several actions between two bars act one after
the other, in the order of the rows: a dividend before a split is for one old unit.
"""

from __future__ import annotations

from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlytic.model.action import ActionKind
from quantlytic.model.errors import DataError
from quantlytic.model.time import iso

PRICE_FIELDS = ("open", "high", "low", "close")


def adjust(bars: NDArray[Any], actions: NDArray[Any], *, dividends: bool = True) -> NDArray[Any]:
    """The adjusted view of raw bars (dtype BAR), by actions (dtype ACTION) of the same instrument indices.

    An action lies before the bars that close at its time or later. `dividends=False` adjusts for splits alone. Rows that are
    neither splits nor dividends, and actions before the first bar or after the last, change nothing.
    Raises DataError for a split that is not above 0 and for a dividend as large as the price.
    """
    adjusted = bars.copy()
    for rows, steps in _steps(bars, actions, dividends):
        prices, units = np.ones(len(rows)), np.ones(len(rows))
        close = bars["close"][rows]
        for first, group in steps:  # `first`: the first bar after the group
            prices[first - 1] = _ex_price(group, float(close[first - 1])) / close[first - 1]
            units[first - 1] = _units(group)
        _scale(adjusted, rows, _from_here_on(prices), _from_here_on(units))
    return adjusted


def unadjust(bars: NDArray[Any], actions: NDArray[Any], *, dividends: bool = True) -> NDArray[Any]:
    """The raw bars that `adjust` made these from, but for rounding."""
    raw = bars.copy()
    for rows, steps in _steps(bars, actions, dividends):
        prices, units = np.ones(len(rows)), np.ones(len(rows))
        close = bars["close"][rows]
        later = 1.0  # the factor of all actions after the group
        for first, group in reversed(steps):
            ex_price = float(close[first - 1]) / later
            price = _price_before(group, ex_price)
            prices[first - 1], units[first - 1] = ex_price / price, _units(group)
            later *= ex_price / price
        _scale(raw, rows, 1.0 / _from_here_on(prices), 1.0 / _from_here_on(units))
    return raw


def adjust_fills(fills: NDArray[Any], actions: NDArray[Any]) -> NDArray[Any]:
    """Fills (dtype FILL) in units of after all splits, as `adjust(bars, actions, dividends=False)` has the bars: an entry and
    an exit with a split between them are of one quantity then. A fill at a split's time or later came after it."""
    adjusted = fills.copy()
    for action in actions[actions["kind"] == ActionKind.SPLIT]:
        before = (fills["instrument"] == action["instrument"]) & (fills["event_time"] < action["event_time"])
        units = _checked_split(float(action["value"]), int(action["event_time"]))
        adjusted["quantity"][before] *= units
        adjusted["price"][before] /= units
    return adjusted


def _steps(
    bars: NDArray[Any], actions: NDArray[Any], dividends: bool
) -> list[tuple[NDArray[np.int64], list[tuple[int, list[tuple[int, float, int]]]]]]:
    """For each instrument with actions: its rows, and the actions (kind, value, time) before its k-th bar, by k."""
    kinds = (ActionKind.SPLIT, ActionKind.DIVIDEND) if dividends else (ActionKind.SPLIT,)
    wanted = actions[np.isin(actions["kind"], kinds)]
    found = []
    for instrument in np.unique(wanted["instrument"]):
        rows = np.flatnonzero(bars["instrument"] == instrument)
        own = wanted[wanted["instrument"] == instrument]
        own = own[np.argsort(own["event_time"], kind="stable")]
        first = np.searchsorted(bars["close_time"][rows], own["event_time"], "left").tolist()
        values = zip(first, own["kind"].tolist(), own["value"].tolist(), own["event_time"].tolist(), strict=True)
        inside = [one for one in values if 0 < one[0] < len(rows)]
        found.append((rows, [(k, [one[1:] for one in group]) for k, group in groupby(inside, lambda one: one[0])]))
    return found


def _ex_price(group: list[tuple[int, float, int]], price: float) -> float:
    """What the last raw close becomes, as nothing but the actions happens to it."""
    for kind, value, time in group:
        if kind == ActionKind.SPLIT:
            price /= _checked_split(value, time)
        elif not 0.0 <= value < price:
            raise DataError(f"a dividend of {value:g} at {iso(time)} is not within 0 and the last close, {price:g}")
        else:
            price -= value
    return price


def _price_before(group: list[tuple[int, float, int]], ex_price: float) -> float:
    for kind, value, time in reversed(group):
        ex_price = ex_price * _checked_split(value, time) if kind == ActionKind.SPLIT else ex_price + value
    return ex_price


def _units(group: list[tuple[int, float, int]]) -> float:
    units = 1.0
    for kind, value, _ in group:
        units *= value if kind == ActionKind.SPLIT else 1.0
    return units


def _checked_split(value: float, time: int) -> float:
    if not 0.0 < value < np.inf:
        raise DataError(f"a split of {value:g} new units for one old at {iso(time)} is not above 0")
    return value


def _from_here_on(factors: NDArray[np.float64]) -> NDArray[np.float64]:
    """The product of each element and all after it."""
    return np.asarray(np.cumprod(factors[::-1])[::-1], np.float64)


def _scale(
    bars: NDArray[Any], rows: NDArray[np.int64], prices: NDArray[np.float64], units: NDArray[np.float64]
) -> None:
    for name in PRICE_FIELDS:
        bars[name][rows] *= prices
    bars["volume"][rows] *= units
