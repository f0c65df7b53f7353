"""A local server that speaks Finnhub's documented protocol: REST with a token, and the WebSocket of prints.

Its paths have the two slashes that finnhub-python puts there.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from aiohttp import web
from tests.venues.threadserver import ThreadServer

KEY = "finnhub-key-c0ffee"
SHARES = ("AAPL", "MSFT", *(f"S{number}" for number in range(20)))
FAULTS = ("http5xx", "http429", "html", "socket_429")


class FinnhubServer(ThreadServer):
    """In a thread of its own; a context manager."""

    FAULTS = FAULTS

    def __init__(self) -> None:
        super().__init__("finnhub-server")
        self.queries: list[str] = []
        self.agents: set[str] = set()
        self.news: list[dict[str, Any]] = []
        self._sockets: dict[web.WebSocketResponse, set[str]] = {}

    @property
    def stream_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/"

    def print(self, *trades: tuple[str, float, int, float]) -> None:
        """One message of trades: (symbol, price, time in ms, volume)."""
        data = [{"s": s, "p": p, "t": t, "v": v, "c": ["1"]} for s, p, t, v in trades]
        self.send({"type": "trade", "data": data})

    def send(self, message: dict[str, Any]) -> None:
        symbols = {row["s"] for row in message.get("data", ()) if "s" in row}
        text = json.dumps(message)
        self._do(lambda: [self._post(s, text) for s, own in self._sockets.items() if not symbols or symbols <= own])

    def cut(self) -> None:
        """Break all WebSockets off."""
        self._do(lambda: [socket._req.transport.abort() for socket in list(self._sockets)])  # type: ignore[union-attr]

    def listens(self, symbol: str) -> bool:
        return any(symbol in own for own in list(self._sockets.values()))

    def _do(self, work: Callable[[], Any]) -> Any:
        async def call() -> Any:
            return work()

        return asyncio.run_coroutine_threadsafe(call(), self._loop).result(10)

    def _post(self, socket: web.WebSocketResponse, text: str) -> None:
        self._loop.create_task(socket.send_str(text)).add_done_callback(lambda task: task.exception())

    async def _serve(self) -> None:
        app = web.Application(middlewares=[self._gate])
        app.add_routes([
            web.get("/", self._stream), web.get("/api/v1//stock/profile2", self._profile),
            web.get("/api/v1//crypto/symbol", self._crypto), web.get("/api/v1//stock/symbol", self._symbols),
            web.get("/api/v1//company-news", self._company_news),
            web.get("/api/v1//news", self._general_news),
        ])  # fmt: skip
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.port = runner.addresses[0][1]
        self._ready.set()
        await self._stop.wait()
        for socket in list(self._sockets):
            await socket.close()
        await runner.cleanup()

    @web.middleware
    async def _gate(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if request.path == "/":
            if request.query.get("token") != KEY:
                return web.Response(status=401)
            if self._strikes("socket_429"):
                return web.Response(status=429)
            response: web.StreamResponse = await handler(request)
            return response
        self.queries.append(request.path_qs)
        self.agents.add(request.headers.get("User-Agent", ""))
        if request.headers.get("X-Finnhub-Token") != KEY:
            return web.json_response({"error": "Invalid API key"}, status=401)
        if self._strikes("http5xx"):
            return web.json_response({"error": "internal"}, status=502)
        if self._strikes("http429"):
            return web.json_response({"error": "API limit reached. Please try again later."}, status=429)
        if self._strikes("html"):
            return web.Response(text="<html>maintenance</html>", content_type="text/html")
        response = await handler(request)
        return response

    async def _profile(self, request: web.Request) -> web.Response:
        symbol = request.query["symbol"]
        return web.json_response({"ticker": symbol, "currency": "USD", "name": symbol} if symbol in SHARES else {})

    async def _symbols(self, request: web.Request) -> web.Response:
        assert request.query["exchange"] == "US"
        return web.json_response([{"symbol": s, "displaySymbol": s, "currency": "USD", "mic": "XNAS"} for s in SHARES])

    async def _crypto(self, request: web.Request) -> web.Response:
        assert request.query["exchange"] == "BINANCE"
        row = {"description": "Binance BTC/USDT", "displaySymbol": "BTC/USDT", "symbol": "BINANCE:BTCUSDT"}
        return web.json_response([row])

    async def _company_news(self, request: web.Request) -> web.Response:
        assert {"symbol", "from", "to"} <= set(request.query)
        return web.json_response([row for row in self.news if row["related"] == request.query["symbol"]])

    async def _general_news(self, request: web.Request) -> web.Response:
        assert request.query["category"] == "general"
        return web.json_response([row for row in self.news if not row["related"]])

    async def _stream(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self._sockets[socket] = set()
        try:
            async for message in socket:
                wanted = json.loads(message.data)
                assert wanted["type"] == "subscribe"
                self._sockets[socket].add(wanted["symbol"])
        finally:
            del self._sockets[socket]
        return socket

    def _strikes(self, name: str) -> bool:
        if self.faults[name] <= 0:
            return False
        self.faults[name] -= 1
        return True


def article(number: int, headline: str, related: str = "AAPL", published_s: int = 1_700_000_000) -> dict[str, Any]:
    """One as the documentation shows it."""
    return {
        "category": "company", "datetime": published_s, "headline": headline, "id": number, "image": "",
        "related": related, "source": "Reuters", "summary": "...", "url": f"https://example.com/{number}",
    }  # fmt: skip
