"""What was written about an instrument."""

from quantlytic.model.event import Event, InstrumentId


class News(Event, frozen=True, tag=27):
    """One article, once an instrument. `event_time` is when it was published, as the venue says; `news_id` the venue's number.

    `instrument` is `venue:*` for news that are about no single one.
    """

    instrument: InstrumentId
    event_time: int
    receive_time: int
    headline: str
    summary: str
    publisher: str
    url: str
    news_id: int
