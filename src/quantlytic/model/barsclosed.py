"""How far the bars are."""

from quantlytic.model.event import Event


class BarsClosed(Event, frozen=True, tag=28):
    """All bars of this size that close at `event_time` (ns UTC) or before precede this event in the stream: one that comes
    later is late. At most one for a time; it may stand for many, and come where there was no bar.

    In `executions.RUN`: all that happens up to `event_time` has been executed, and this may be decided on: a slice or a timer of
    that time, or the end of it.
    """

    bar_size_ns: int
    event_time: int
