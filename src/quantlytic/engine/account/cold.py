"""The way from the hot loops to the rest of the broker, which is compiled once, when it is first needed, and kept on disk.

The loops hold what every run uses: market orders in a market without special assumptions. All else is behind `consult`: another
order type, an amendment or a cancellation, any model of the market. A run that never needs it never waits for its compiler.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

MATCH_BAR, ANSWER, CHARGE, ACT = 1, 2, 3, 4
MATCH_TRADE, MEET_TRADE, MATCH_QUOTE, MATCH_BOOK = 5, 6, 7, 8

_installed: list[Callable[[int, Any, Any, Any], None]] = []


def install(function: Callable[[int, Any, Any, Any], None]) -> None:
    """Name the function behind `consult`: (what, address of the account, address of the event, one more address)."""
    _installed[:] = [function]


def installed() -> Callable[[int, Any, Any, Any], None]:
    return _installed[0]


def consult(what: int, account: Any, event: Any, extra: Any) -> None:
    """Have the rest of the broker do it."""
    _installed[0](what, account, event, extra)
