"""Which strategy suits an instrument, or none."""

import math

from quantlytic.model.event import Event, InstrumentId


class Advice(Event, frozen=True, tag=26):
    """What `recommend` found on the bars until `event_time` (ns UTC). `strategy` "": none. `params` is JSON, of what one would
    trade now; `sentence` says why in plain words. Ratios are annualised and out of sample, of the recommended strategy or the
    best of those that are not; NaN: undefined. `question` is the hash of all that was asked.
    """

    instrument: InstrumentId
    event_time: int
    strategy: str
    params: str
    sentence: str
    best: str
    sharpe: float = math.nan
    deflated_sharpe: float = math.nan
    hold_sharpe: float = math.nan
    trials: int = 0
    bars: int = 0
    question: str = ""
