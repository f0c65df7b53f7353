"""Proof that somebody was told."""

from quantlytic.model.event import Event


class Delivery(Event, frozen=True, tag=14):
    """A notice handed to a channel ("outbox", "smtp", "webhook"). `message_id` is made from the cause, so once is once."""

    run: str
    message_id: str
    channel: str
    recipient: str
    event_time: int
    subject: str
    status: str = "sent"
    detail: str = ""
