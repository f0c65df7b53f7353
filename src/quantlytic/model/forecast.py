"""What a model expects after a bar, and which model it is from when on."""

import math

from quantlytic.model.bar import Bar
from quantlytic.model.event import Event, InstrumentId


class Forecast(Event, frozen=True, tag=29):
    """A bar, and what a model expects after it. Every bar of a line's instruments has exactly one, by exactly one model.

    `value` is the probability of a rise or the expected return, as the model was trained for; NaN is none, and `reason` says why.
    `bar_offset` is the bar's place in `bars.VENUE`. `drift` is the largest population stability index of the model's features so
    far (NaN: too few rows yet). `latency_ns`, from the bar at hand to its forecast, is the one field that no replay gives again.
    """

    line: str
    instrument: InstrumentId
    open_time: int
    close_time: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    quote_volume: float
    trades: int
    value: float
    model_id: str = ""
    reason: str = ""
    bar_offset: int = -1
    latency_ns: int = 0
    drift: float = math.nan

    @property
    def bar(self) -> Bar:
        """The bar it follows."""
        return Bar(
            self.instrument, self.open_time, self.close_time, self.open, self.high, self.low, self.close, self.volume,
            self.quote_volume, self.trades,
        )  # fmt: skip


class ModelChange(Event, frozen=True, tag=30):
    """From here on `new` forecasts the line's `instrument` ("" for all of them), until now `old`; "" is no model.

    It stands before the first Forecast of the new one, in the same commit; `bar_offset` is that bar's in `bars.VENUE`, and
    `event_time` its end. `cause`: "command", "promotion" or "rollback", as the registry's alias was moved; "demoted": the model
    failed at that bar; "expired": it is past its age; "refused": `new` was never let in, and `old` goes on.
    """

    line: str
    instrument: str
    event_time: int
    old: str
    new: str
    cause: str
    reason: str = ""
    bar_offset: int = -1
