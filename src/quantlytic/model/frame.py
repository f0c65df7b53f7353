"""A venue's message, verbatim."""

from quantlytic.model.event import Event


class RawFrame(Event, frozen=True, tag=5):
    """What came over the wire, byte for byte: the source of truth from which every table can be rebuilt.

    `connection` names the socket or request it came by ("ws-3", "rest"); `channel` says what it is:
    "" for a WebSocket message that names itself, else the request path with its query.
    """

    connection: str
    receive_time: int
    channel: str
    payload: bytes
