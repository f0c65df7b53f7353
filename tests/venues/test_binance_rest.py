"""Replies without an end, against a server that sends them."""

from __future__ import annotations

import asyncio

import pytest

from quantlytic.venues.answers import Unheard
from quantlytic.venues.binance import rest
from quantlytic.venues.binance.rest import RestClient
from quantlytic.venues.budget import WeightBudget


def fetch(chunk: bytes, pause_s: float, timeout_s: float) -> bytes:
    """What one `get` gives when the server sends a header and then `chunk`, 50 times."""

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        try:
            for _ in range(50):
                writer.write(chunk)
                await writer.drain()
                await asyncio.sleep(pause_s)
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def scenario() -> bytes:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            budget = WeightBudget(6000)
            client = RestClient(f"http://127.0.0.1:{port}", budget=budget, timeout_s=timeout_s, tries=1)
            async with client:
                return await client.get("/x", 1)

    return asyncio.run(scenario())


def test_a_reply_in_pieces_is_whole() -> None:
    assert fetch(b"ab", 0.0, 5.0) == b"ab" * 50


def test_a_reply_that_drips_has_an_end() -> None:
    with pytest.raises(Unheard, match=r"no whole answer .* within 0\.3 s"):
        fetch(b" ", 0.05, 0.1)


def test_a_reply_without_bounds_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest, "MAX_REPLY_BYTES", 1000)
    with pytest.raises(Unheard, match="a reply of over 1,000 bytes"):
        fetch(b" " * 100, 0.0, 5.0)
