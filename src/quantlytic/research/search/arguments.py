"""What callers hand over, checked: one clear line for what is of another kind."""

from __future__ import annotations

import math

from quantlytic.engine.strategy import Strategy
from quantlytic.model.errors import InputError


def strategy_of(given: object) -> Strategy:
    """An instance as it is, of a class one with its defaults. InputError for what is neither."""
    if isinstance(given, Strategy):
        return given
    if isinstance(given, type) and issubclass(given, Strategy) and given is not Strategy:
        return given()
    raise InputError(
        f"a strategy is a class that derives from ql.Strategy, or one of its instances, not {_shown(given)}"
    )


def cash_of(given: object) -> float:
    """As a float. InputError for what is no positive number."""
    try:
        cash = float(given)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        cash = math.nan
    if isinstance(given, bool | str) or not (math.isfinite(cash) and cash > 0):
        raise InputError(f"cash is a positive number, not {_shown(given)}")
    return cash


def _shown(given: object) -> str:
    text = " ".join(repr(given).split())
    return text if len(text) <= 60 else text[:60] + "..."
