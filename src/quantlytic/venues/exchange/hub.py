"""Who listens to what: connections, their subscriptions, and what is waiting to be sent to each."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, deque
from itertools import count

from quantlytic.venues.exchange.faults import Faults, kind_of

MAX_WAITING = 20_000  # messages; a client that falls further behind is cut off, as Binance does
PLAYER_WAITING = 500  # a replay waits when this many messages wait for a client: it never drops


class Connection:
    """One WebSocket. `push` puts a message in line; the sender task takes from `waiting`."""

    def __init__(self, hub: Hub, number: int, combined: bool) -> None:
        self.hub = hub
        self.combined = combined
        self.streams: dict[str, tuple[str, str]] = {}
        self.waiting: deque[tuple[str, float]] = deque()
        self.ready = asyncio.Event()
        self.room = asyncio.Event()
        self.closed = False
        self._source = random.Random(f"{hub.faults.seed}:{number}")
        self._held: dict[str, str] = {}

    def say(self, text: str, delay_s: float = 0.0) -> None:
        """Put a message in line, faultlessly. One that is delayed holds up those behind it."""
        if self.closed:
            return
        if len(self.waiting) >= MAX_WAITING:
            self.hub.slow_clients += 1
            self.cut()
            return
        self.waiting.append((text, delay_s))
        self.ready.set()

    def push(self, stream: str, text: str) -> None:
        """Put a stream's message in line, with the faults that are in force."""
        prefix, suffix = self.streams[stream]
        text = f"{prefix}{text}{suffix}" if prefix else text
        faults = self.hub.faults
        if not faults.on_frames:
            self.hub.delivered[stream] += 1
            self.say(text)
            return
        kind, source = kind_of(stream), self._source
        if faults.strikes("disconnect", kind, source):
            self.cut()
            return
        if faults.strikes("drop", kind, source):
            return
        if stream not in self._held and faults.strikes("reorder", kind, source):
            self._held[stream] = text
            return
        delay_s = faults.amount("delay_ms") / 1000 if faults.strikes("delay", kind, source) else 0.0
        texts = [text] * (2 if faults.strikes("duplicate", kind, source) else 1)
        if stream in self._held:
            texts.append(self._held.pop(stream))
        for each in texts:
            self.hub.delivered[stream] += 1
            self.say(each, delay_s)

    def cut(self) -> None:
        """Break the connection off without a word."""
        self.closed = True
        self.waiting.clear()
        self.ready.set()
        self.room.set()


class Hub:
    """All connections. `delivered` counts messages put in line for clients, per stream."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self.connections: set[Connection] = set()
        self.listeners: dict[str, dict[Connection, None]] = {}
        self.delivered: Counter[str] = Counter()
        self.slow_clients = 0
        self.subscribed = asyncio.Event()
        self._numbers = count(1)

    def connect(self, combined: bool) -> Connection:
        """A new connection without subscriptions."""
        connection = Connection(self, next(self._numbers), combined)
        self.connections.add(connection)
        return connection

    def disconnect(self, connection: Connection) -> None:
        """Forget a connection."""
        connection.cut()
        self.connections.discard(connection)
        for stream in list(connection.streams):
            self.unsubscribe(connection, stream)

    def subscribe(self, connection: Connection, stream: str, wrap: tuple[str, str] | None = None) -> None:
        """Send a stream to a connection from now on, each message between the two parts of `wrap`."""
        if wrap is None:
            wrap = (f'{{"stream":"{stream}","data":', "}") if connection.combined else ("", "")
        connection.streams[stream] = wrap
        self.listeners.setdefault(stream, {})[connection] = None
        self.subscribed.set()

    def unsubscribe(self, connection: Connection, stream: str) -> None:
        """Stop sending a stream to a connection."""
        connection.streams.pop(stream, None)
        listeners = self.listeners.get(stream)
        if listeners is not None:
            listeners.pop(connection, None)
            if not listeners:
                del self.listeners[stream]

    def wants(self, stream: str) -> bool:
        """Whether anybody listens."""
        return stream in self.listeners

    def publish(self, stream: str, text: str) -> None:
        """Send a message to all who listen to its stream."""
        if self.faults.stale:
            return
        for connection in tuple(self.listeners.get(stream, ())):
            connection.push(stream, text)

    def cut_all(self) -> None:
        """Break all connections off."""
        for connection in tuple(self.connections):
            connection.cut()

    async def make_room(self) -> None:
        """Wait until no client has too much waiting."""
        for connection in tuple(self.connections):
            while len(connection.waiting) > PLAYER_WAITING and not connection.closed:
                connection.room.clear()
                await connection.room.wait()
