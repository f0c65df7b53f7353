"""The usual moving averages of an instrument's daily closes."""

import math

from quantlytic.model.event import Event, InstrumentId

PERIODS = (7, 21, 50, 100, 200)
"""Days; one field of `Averages` each."""


class Averages(Event, frozen=True, tag=25):
    """The means of the last closes up to the day that ends at `event_time` (ns UTC), in that day's units: splits until then are
    allowed for, dividends not. NaN where there are fewer days.
    """

    instrument: InstrumentId
    event_time: int
    close: float
    average_7: float = math.nan
    average_21: float = math.nan
    average_50: float = math.nan
    average_100: float = math.nan
    average_200: float = math.nan
