"""All rules over one instrument's rows, in the order in which errors hide each other: splits, units of prices, payouts, and what
is left of each row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlytic.daily.rules import (
    capital_gain,
    dividend_double,
    dividend_factor,
    dividend_unit,
    split,
    unit,
    unstated,
    whole,
)
from quantlytic.daily.rules.finding import Doubt, Finding

Rule = Callable[[NDArray[Any], str], Finding]

RULES: dict[str, Rule] = {
    split.RULE: lambda rows, _currency: split.repair_splits(rows),
    unit.RULE: unit.repair_units,
    unstated.RULE: lambda rows, _currency: unstated.doubt_unstated_splits(rows),
    dividend_double.RULE: lambda rows, _currency: dividend_double.repair_doubles(rows),
    dividend_unit.RULE: dividend_unit.repair_units,
    capital_gain.RULE: lambda rows, _currency: capital_gain.repair_gains(rows),
    dividend_factor.RULE: lambda rows, _currency: dividend_factor.repair_factors(rows),
    whole.RULE: lambda rows, _currency: whole.repair_rows(rows),
}
"""Rule by name, in order. `currency` is the vendor's word for the prices' unit."""

_LONGEST_NS = 4 * 86_400_000_000_000  # the median step of daily rows is a day


def judged(rows: NDArray[Any], currency: str = "", names: tuple[str, ...] = tuple(RULES)) -> Finding:
    """Rows (dtype DAILY, in order of time) after all the rules, or those named. Rows without a price stay without one."""
    found = Finding(rows)
    if len(rows) > 1 and np.median(np.diff(rows["time"])) > _LONGEST_NS:
        reason = (
            "rows of more than a day cannot be judged: what happened within one cannot be told apart; take daily ones"
        )
        return Finding(rows, (), (Doubt("rows", int(rows["time"][0]), "prices", reason),))
    with np.errstate(invalid="ignore", divide="ignore"):
        for name in names:
            one = RULES[name](found.rows, currency)
            known = {doubt.time for doubt in found.doubts if doubt.about == "prices"}  # one doubt of a step is enough
            new = tuple(doubt for doubt in one.doubts if doubt.about != "prices" or doubt.time not in known)
            found = Finding(one.rows, found.repairs + one.repairs, found.doubts + new)
    return found
