"""The cross-section: the last bar of every instrument, as `on_slice` sees them."""

# mypy: disable-error-code="no-any-return"
# Rows are fields of a buffer, not objects: their types are known when compiled.

from __future__ import annotations

from typing import Any

from quantlytic.engine.account.account import BAR_BYTES, BAR_ROW
from quantlytic.engine.compiler.record import Record, at, layout_of


class Slice(Record):
    """All instruments at one close time. `time`: that time, ns UTC; `instruments`: how many there are in the session;
    `count`: how many of them have a bar that closed now. Prices of the others are those of their last bar, NaN before
    their first.
    """

    def __init__(self) -> None:
        self.time = 0
        self.instruments = 0
        self.count = 0

    def bar(self, instrument: int) -> Any:
        """The instrument's last bar: `.open_time`, `.close_time`, `.open`, `.high`, `.low`, `.close`, `.volume`,
        `.forecast`."""
        if not 0 <= instrument < self.instruments:
            raise IndexError("slice: no such instrument")
        return at(self, SLICE_BYTES + instrument * BAR_BYTES, BAR_ROW)

    def has(self, instrument: int) -> bool:
        """Whether the instrument has a bar that closed now."""
        return self.bar(instrument).close_time == self.time

    def open(self, instrument: int) -> float:
        return self.bar(instrument).open

    def high(self, instrument: int) -> float:
        return self.bar(instrument).high

    def low(self, instrument: int) -> float:
        return self.bar(instrument).low

    def close(self, instrument: int) -> float:
        return self.bar(instrument).close

    def volume(self, instrument: int) -> float:
        return self.bar(instrument).volume

    def forecast(self, instrument: int) -> float:
        """What a model expected after that bar; NaN for nothing."""
        return self.bar(instrument).forecast


SLICE = layout_of(Slice())
SLICE_BYTES = SLICE.size
