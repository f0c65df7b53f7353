"""The base of features that are not indicators."""

from __future__ import annotations

from typing import Any

from quantlytic.engine.compiler.record import Record


class Feature(Record):
    """One number a bar. Subclass it, make state in `__init__` (numbers, indicators, arrays), compute in `update`.

    `update(self, bar)` is called with each bar of one instrument, in order of time, and returns a float: NaN while it is not
    known. It is compiled, as a strategy's handlers are. One that also defines `on_trade(self, trade)` or `on_quote(self, quote)`
    is given the events of the bar's time [open_time, close_time) before its `update`.
    """

    def update(self, bar: Any) -> float:
        """The value at this bar's close."""
        raise NotImplementedError


def events_of(feature: type[Record]) -> str:
    """Which events a feature reads besides bars: "trade", "quote" or ""."""
    return next((word for word in ("trade", "quote") if hasattr(feature, f"on_{word}")), "")
