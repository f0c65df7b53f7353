from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest
from tests.web.conftest import TOKEN, Served, wait_until
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from quantlytic.model.time import NS_PER_S
from quantlytic.web.stream import MAX_CLIENTS, MAX_WAITING, TRY_AGAIN_LATER, Hub


def open_stream(served: Served, query: str = "") -> ClientConnection:
    address = served.address.replace("http", "ws") + "stream" + query
    return connect(address, additional_headers={"Authorization": f"Bearer {TOKEN}"})


def receive(socket: ClientConnection) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(socket.recv(timeout=5))
    return message


def drain(socket: ClientConnection) -> None:
    while True:
        receive(socket)


def test_a_snapshot_then_heartbeats(served: Served) -> None:
    with open_stream(served) as socket:
        first = receive(socket)
        assert first["kind"] == "snapshot"
        began = time.monotonic()
        deltas = [receive(socket) for _ in range(3)]
        assert time.monotonic() - began < 3.0
    sequences = [delta["sequence"] for delta in deltas]
    assert [delta["kind"] for delta in deltas] == ["delta"] * 3
    assert sequences == list(range(sequences[0], sequences[0] + 3))
    assert "feed" in deltas[0]
    assert "candles" not in deltas[2]  # nothing happened


def test_news_comes_as_deltas_at_most_ten_a_second(served: Served) -> None:
    with open_stream(served) as socket:
        snapshot = receive(socket)
        began, deltas = time.monotonic(), []
        now = time.time_ns()
        while time.monotonic() - began < 1.5:
            served.tape.market(time.time_ns(), 5)
            if len(deltas) < 3:
                deltas.append(receive(socket))
            else:
                deltas += [receive(socket) for _ in range(2)]
        elapsed = time.monotonic() - began
        assert len(deltas) <= 10 * elapsed + 3
        served.tape.close_bars(now - now % NS_PER_S, served.tape.market(now, 60))
        until = time.monotonic() + 5
        finished: list[list[float]] = []
        while not finished and time.monotonic() < until:
            delta = receive(socket)
            finished = [row for row in delta.get("candles", {}).get("box:BTCUSDT|1s", []) if row[6] == 1]
    assert finished[0][0] == now // NS_PER_S * 1000
    assert snapshot["sequence"] < deltas[0]["sequence"]
    assert any(delta["feed"]["state"] == "live" for delta in deltas)


@pytest.mark.parametrize("message", [b"\xff\x00", b"{}", "[" * 3000])
def test_what_is_no_choice_ends_the_connection_without_a_trace(
    served: Served, message: bytes | str, caplog: pytest.LogCaptureFixture
) -> None:
    with open_stream(served) as socket:
        socket.send(message)
        with pytest.raises(ConnectionClosed) as closed:
            drain(socket)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1007
    assert caplog.text == ""


def test_a_page_chooses_its_chart(served: Served) -> None:
    with open_stream(served, "?series=box:ETHUSDT|1s&run=paper-1") as socket:
        assert receive(socket)["series"] == "box:ETHUSDT|1s"
        socket.send('{"series": "box:BTCUSDT|1s"}')
        message = receive(socket)
        while message["kind"] != "snapshot":
            message = receive(socket)
        assert message["series"] == "box:BTCUSDT|1s"
        socket.send('{"do": "evil"}')
        with pytest.raises(ConnectionClosed) as closed:
            drain(socket)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1007
    wait_until(lambda: served.server.clients == 0)


def test_an_over_long_message_ends_only_its_own_page(served: Served) -> None:
    with open_stream(served) as other, open_stream(served) as socket:
        socket.send("x" * 100_000)
        with pytest.raises(ConnectionClosed):
            drain(socket)
        assert receive(other)["kind"] == "snapshot"
    wait_until(lambda: served.server.clients == 0)


class StuckSocket:
    """A browser whose line is full: what is sent is never taken."""

    def __init__(self) -> None:
        self.query_params: dict[str, str] = {}
        self.closed: int | None = None

    async def accept(self) -> None: ...

    async def send_bytes(self, _data: bytes) -> None:
        await asyncio.Event().wait()

    async def receive_text(self) -> str:
        await asyncio.Event().wait()
        return ""

    async def close(self, code: int, _reason: str) -> None:
        self.closed = code


def test_a_slow_page_is_sent_away_and_costs_nothing_more() -> None:
    async def scene() -> None:
        hub, socket = Hub(), StuckSocket()
        hub.attach()
        page = asyncio.create_task(hub.serve(socket, lambda _run, _series: b"{}"))  # type: ignore[arg-type]
        while hub.clients == 0:
            await asyncio.sleep(0.001)
        for _ in range(3):
            await asyncio.sleep(0.01)
        for _ in range(MAX_WAITING + 5):
            hub.publish(b"{}")
        await asyncio.wait_for(page, 5)
        assert (socket.closed, hub.clients, hub.dropped) == (TRY_AGAIN_LATER, 0, 1)

    asyncio.run(scene())


def test_pages_are_limited() -> None:
    async def scene() -> None:
        hub = Hub()
        hub.attach()
        sockets = [StuckSocket() for _ in range(MAX_CLIENTS + 1)]
        pages = [asyncio.create_task(hub.serve(socket, lambda _run, _series: b"{}")) for socket in sockets]  # type: ignore[arg-type]
        while sockets[-1].closed is None:
            await asyncio.sleep(0.001)
        assert (hub.clients, sockets[-1].closed) == (MAX_CLIENTS, TRY_AGAIN_LATER)
        for page in pages:
            page.cancel()
        await asyncio.gather(*pages, return_exceptions=True)

    asyncio.run(scene())
