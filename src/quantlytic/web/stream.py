"""The page's one WebSocket: a snapshot first, then what changes; encoded once for all who look."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
from fastapi import WebSocket, WebSocketDisconnect

MAX_CLIENTS = 32
# Three seconds of changes. A page that cannot keep up is sent away and begins anew with a snapshot.
MAX_WAITING = 32
TRY_AGAIN_LATER = 1013
BAD_MESSAGE = 1007


class Choice(msgspec.Struct, forbid_unknown_fields=True):
    """What a page wants to see; None lets the server choose."""

    run: str | None = None
    series: str | None = None


_CHOICE = msgspec.json.Decoder(Choice)
Snapshot = Callable[[str | None, str | None], bytes]
"""(run, series) -> the whole view as JSON; called in a worker thread."""


class _Client:
    def __init__(self, socket: WebSocket, snapshot: Snapshot) -> None:
        self.socket = socket
        self._snapshot = snapshot
        self.queue: asyncio.Queue[bytes] = asyncio.Queue(MAX_WAITING)
        self.tasks: set[asyncio.Task[None]] = set()
        self.is_slow = False

    def put(self, payload: bytes) -> None:
        if self.queue.full():
            self.is_slow = True
            for task in self.tasks:
                task.cancel()
        else:
            self.queue.put_nowait(payload)

    async def choose(self, choice: Choice) -> None:
        self.put(await asyncio.to_thread(self._snapshot, choice.run, choice.series))

    async def write(self) -> None:
        while True:
            await self.socket.send_bytes(await self.queue.get())

    async def listen(self) -> None:
        while True:
            try:
                choice = _CHOICE.decode(await self.socket.receive_text())
            except (KeyError, msgspec.DecodeError):  # KeyError: a binary message
                await self.socket.close(BAD_MESSAGE, "not a choice of run and series")
                return
            await self.choose(choice)


class Hub:
    """Hands what is published to every open page."""

    def __init__(self) -> None:
        self._clients: set[_Client] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.dropped = 0

    @property
    def clients(self) -> int:
        """How many pages are open."""
        return len(self._clients)

    def attach(self) -> None:
        """Take the running event loop as the one to publish on."""
        self._loop = asyncio.get_running_loop()

    def detach(self) -> None:
        """The loop is about to end."""
        self._loop = None

    def publish(self, payload: bytes) -> None:
        """Send to all; may be called from any thread. Nobody is waited for."""
        loop = self._loop
        if loop is not None and self._clients:
            loop.call_soon_threadsafe(self._spread, payload)

    def _spread(self, payload: bytes) -> None:
        for client in tuple(self._clients):
            client.put(payload)

    async def serve(self, socket: WebSocket, snapshot: Snapshot) -> None:
        """One page, from its opening to its end. The first choice is in its address: `/stream?run=...&series=...`."""
        await socket.accept()
        if len(self._clients) >= MAX_CLIENTS:
            await socket.close(TRY_AGAIN_LATER, "too many pages are open")
            return
        client = _Client(socket, snapshot)
        self._clients.add(client)
        choice = Choice(socket.query_params.get("run"), socket.query_params.get("series"))
        try:
            await client.choose(choice)
            await _until_first_ends(client.tasks, client.write(), client.listen())
            if client.is_slow:
                self.dropped += 1
                await socket.close(TRY_AGAIN_LATER, "the page is too slow")
        except (WebSocketDisconnect, RuntimeError):
            pass  # the page was closed, at whatever point
        finally:
            self._clients.discard(client)


async def _until_first_ends(tasks: set[asyncio.Task[None]], *works: Awaitable[None]) -> None:
    """Run them together; when one ends, cancel the others and raise what it raised. Cancelled ones end quietly."""
    tasks |= {asyncio.ensure_future(work) for work in works}
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        if not task.cancelled():
            task.result()
