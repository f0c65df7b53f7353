"""A local server that speaks Alpaca's documented protocol: REST v2, MessagePack data streams, the account's JSON stream.

It misbehaves on demand: `fail("order_cut")` accepts the next order and breaks the connection off.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import msgpack
from aiohttp import WSMsgType, web
from tests.venues.alpaca.book import OPEN, Account, Brokerage, Rejected, Row
from tests.venues.threadserver import ThreadServer

FAULTS = (
    "http5xx", "http429", "html",  # before anything is done
    "order_timeout", "order_cut", "order_504",  # after the order was accepted
    "hidden",  # an accepted order cannot be found by its client id, yet
    "history_5xx", "connection_limit", "no_updates", "symbol_limit", "html_socket",
)  # fmt: skip


class AlpacaServer(ThreadServer):
    """In a thread of its own; a context manager. `brokerage` may be used from any thread through `do`."""

    FAULTS = FAULTS

    def __init__(self, seed: int = 1, page: int = 10_000) -> None:
        self.brokerage = Brokerage(seed)
        super().__init__("alpaca-server")
        self.calls: Counter[str] = Counter()
        self.agents: set[str] = set()
        self._page = page
        self._sockets: dict[web.WebSocketResponse, tuple[str, dict[str, list[str]]]] = {}

    @property
    def socket_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    def do(self, work: Callable[[], Any]) -> Any:
        """Something with the brokerage, in the server's own thread."""

        async def call() -> Any:
            return work()

        return asyncio.run_coroutine_threadsafe(call(), self._loop).result(10)

    def print(self, symbol: str, price: float, size: float = 1.0, told: bool = True) -> Row:
        row: Row = self.do(lambda: self.brokerage.print(symbol, price, size, told))
        return row

    def quote(self, symbol: str, bid: float, ask: float) -> None:
        ns = self.brokerage.now_ns()
        row = {"T": "q", "S": symbol, "bp": bid, "bs": 2, "ap": ask, "as": 3, "t": _timestamp(ns)}
        self.do(lambda: self._send_data("quotes", symbol, row))

    def send_bar(self, row: Row) -> None:
        row = {**row, "t": _timestamp(self.brokerage.now_ns() // 60_000_000_000 * 60_000_000_000)}
        self.do(lambda: self._send_data("bars", row["S"], row))

    def cut(self, kind: str = "") -> None:
        """Break WebSockets off: all, or those of "stocks", "crypto", "account"."""
        self.do(lambda: [self._abort(socket) for socket, (own, _) in list(self._sockets.items()) if kind in ("", own)])

    def listeners(self, kind: str) -> int:
        return sum(own == kind for own, _ in list(self._sockets.values()))

    async def _serve(self) -> None:
        self.brokerage.on_print = self._on_print
        self.brokerage.on_update = self._on_update
        app = web.Application(middlewares=[self._gate])
        app.add_routes([
            web.get("/v2/account", self._account), web.get("/v2/assets", self._assets),
            web.get("/v2/assets/{symbol:.+}", self._asset),
            web.get("/v2/positions", self._positions), web.get("/v2/account/activities/FILL", self._fills),
            web.post("/v2/orders", self._submit), web.get("/v2/orders", self._orders),
            web.get("/v2/orders:by_client_order_id", self._by_client_id), web.get("/v2/orders/{id}", self._order),
            web.delete("/v2/orders/{id}", self._cancel), web.patch("/v2/orders/{id}", self._replace),
            web.get("/v2/stocks/trades", self._history), web.get("/v1beta3/crypto/us/trades", self._history),
            web.get("/v2/stocks/trades/latest", self._latest),
            web.get("/v2/iex", self._data), web.get("/v1beta3/crypto/us", self._data), web.get("/stream", self._stream),
        ])  # fmt: skip
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2, handler_cancellation=True)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.port = runner.addresses[0][1]
        self._ready.set()
        await self._stop.wait()
        for socket in list(self._sockets):
            self._abort(socket)
        await runner.cleanup()

    # ---- REST

    @web.middleware
    async def _gate(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.calls[f"{request.method} {request.path}"] += 1
        self.agents.add(request.headers.get("User-Agent", ""))
        if request.headers.get("Upgrade", "").lower() == "websocket":
            if self._strikes("html_socket"):
                return web.Response(text="<html>maintenance</html>", content_type="text/html")
            response: web.StreamResponse = await handler(request)
            return response
        account = self.brokerage.accounts.get(request.headers.get("APCA-API-KEY-ID", ""))
        if account is None or account.secret != request.headers.get("APCA-API-SECRET-KEY"):
            return _json({"message": "forbidden."}, 403)
        if self._strikes("http5xx"):
            return _json({"code": 50010000, "message": "internal server error occurred"}, 503)
        if self._strikes("http429"):
            return _json({"code": 42910000, "message": "too many requests."}, 429, {"Retry-After": "0.05"})
        if self._strikes("html"):
            return web.Response(text="<html><body>We'll be back soon</body></html>", content_type="text/html")
        try:
            response = await handler(request)
        except Rejected as error:
            return _json({"code": error.code, "message": error.message}, error.status)
        return response

    async def _account(self, request: web.Request) -> web.Response:
        return _json(self.brokerage.account_row(_key(request)))

    async def _asset(self, request: web.Request) -> web.Response:
        found = self.brokerage.assets.get(request.match_info["symbol"])
        if found is None:
            raise Rejected(404, 40410000, f"asset not found for {request.match_info['symbol']}")
        return _json(found)

    async def _assets(self, request: web.Request) -> web.Response:
        return _json(list(self.brokerage.assets.values()))

    async def _positions(self, request: web.Request) -> web.Response:
        return _json(self.brokerage.position_rows(_key(request)))

    async def _fills(self, request: web.Request) -> web.Response:
        rows = self._own(request).fills
        query = request.query
        assert query.get("direction") == "asc"
        rows = [row for row in rows if row["transaction_time"] > query.get("after", "")]
        if token := query.get("page_token"):
            rows = rows[[row["id"] for row in rows].index(token) + 1 :]
        return _json(rows[: int(query.get("page_size", 100))])

    async def _submit(self, request: web.Request) -> web.StreamResponse:
        row = self.brokerage.submit(_key(request), await request.json())
        if self._strikes("order_timeout"):
            await asyncio.sleep(3600)
        if self._strikes("order_cut"):
            assert request.transport is not None
            request.transport.abort()
        if self._strikes("order_504"):
            return _json({"message": "gateway timeout"}, 504)
        return _json(row)

    async def _orders(self, request: web.Request) -> web.Response:
        after = request.query.get("after", "").replace("+00:00", "")
        rows = [
            row for row in self._own(request).orders.values() if row["status"] in OPEN and row["submitted_at"] > after
        ]
        assert (request.query["status"], request.query["direction"]) == ("open", "asc")
        return _json(rows[: int(request.query["limit"])])

    async def _by_client_id(self, request: web.Request) -> web.Response:
        row = self._own(request).by_client_id(request.query["client_order_id"])
        if row is None or self._strikes("hidden"):
            raise Rejected(404, 40410000, f"order not found for {request.query['client_order_id']}")
        return _json(row)

    async def _order(self, request: web.Request) -> web.Response:
        row = self._own(request).orders.get(request.match_info["id"])
        if row is None:
            raise Rejected(404, 40410000, f"order not found for {request.match_info['id']}")
        return _json(row)

    async def _cancel(self, request: web.Request) -> web.Response:
        self.brokerage.cancel(_key(request), request.match_info["id"])
        return web.Response(status=204)

    async def _replace(self, request: web.Request) -> web.Response:
        return _json(self.brokerage.replace(_key(request), request.match_info["id"], await request.json()))

    async def _history(self, request: web.Request) -> web.Response:
        if self._strikes("history_5xx"):
            return _json({"message": "internal error"}, 500)
        symbol, query = request.query["symbols"], request.query
        start = query["start"].replace("+00:00", "")
        rows = [row for row in self.brokerage.trades.get(symbol, []) if row["t"] >= start]
        at = int(query.get("page_token", 0))
        size = min(int(query.get("limit", self._page)), self._page)
        page = [{name: value for name, value in row.items() if name != "ns"} for row in rows[at : at + size]]
        token = str(at + size) if at + size < len(rows) else None
        return _json({"trades": {symbol: page} if page else {}, "next_page_token": token})

    async def _latest(self, request: web.Request) -> web.Response:
        symbols = request.query["symbols"].split(",")
        return _json({"trades": {name: {"p": self.brokerage.price[name], "s": 1, "i": 1} for name in symbols}})

    # ---- WebSockets

    async def _data(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        assert request.headers["Content-Type"] == "application/msgpack"
        kind = "crypto" if "crypto" in request.path else "stocks"
        await socket.send_bytes(_packed({"T": "success", "msg": "connected"}))
        wanted = msgpack.unpackb((await socket.receive()).data)
        account = self.brokerage.accounts.get(wanted["key"])
        if self._strikes("connection_limit"):
            await socket.send_bytes(_packed({"T": "error", "code": 406, "msg": "connection limit exceeded"}))
        elif account is None or account.secret != wanted["secret"]:
            await socket.send_bytes(_packed({"T": "error", "code": 402, "msg": "auth failed"}))
        else:
            await socket.send_bytes(_packed({"T": "success", "msg": "authenticated"}))
            await self._listen(socket, kind)
        await socket.close()
        return socket

    async def _listen(self, socket: web.WebSocketResponse, kind: str) -> None:
        try:
            async for message in socket:
                wanted = msgpack.unpackb(message.data)
                assert wanted.pop("action") == "subscribe"
                if self._strikes("symbol_limit"):
                    await socket.send_bytes(_packed({"T": "error", "code": 405, "msg": "symbol limit exceeded"}))
                    continue
                self._sockets[socket] = (kind, wanted)
                await socket.send_bytes(_packed({"T": "subscription", **wanted}))
        finally:
            self._sockets.pop(socket, None)

    async def _stream(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        try:
            async for message in socket:
                assert message.type == WSMsgType.TEXT
                await self._account_message(socket, json.loads(message.data))
        finally:
            self._sockets.pop(socket, None)
        return socket

    async def _account_message(self, socket: web.WebSocketResponse, wanted: Row) -> None:
        if wanted["action"] == "authenticate":
            data = wanted["data"]
            account = self.brokerage.accounts.get(data["key_id"])
            is_right = account is not None and account.secret == data["secret_key"]
            answer = {"status": "authorized" if is_right else "unauthorized", "action": "authenticate"}
            socket["key"] = data["key_id"]
            await _send_account(socket, "authorization", answer)
        else:
            await _send_account(socket, "listening", {"streams": wanted["data"]["streams"]})
            self._sockets[socket] = ("account", {"key": [socket["key"]]})

    def _on_print(self, symbol: str, trade: Row) -> None:
        row = {name: value for name, value in trade.items() if name != "ns"}
        self._send_data("trades", symbol, {"T": "t", "S": symbol, **row, "t": _timestamp(trade["ns"])})

    def _send_data(self, channel: str, symbol: str, row: Row) -> None:
        for socket, (kind, wanted) in list(self._sockets.items()):
            if kind != "account" and symbol in wanted.get(channel, []):
                self._post(socket, _packed(row))

    def _on_update(self, key: str, update: Row) -> None:
        if self._strikes("no_updates"):
            return
        for socket, (kind, wanted) in list(self._sockets.items()):
            if kind == "account" and wanted["key"] == [key]:
                self._post(socket, json.dumps({"stream": "trade_updates", "data": update}).encode())

    def _post(self, socket: web.WebSocketResponse, payload: bytes) -> None:
        if not socket.closed:
            self._loop.create_task(socket.send_bytes(payload)).add_done_callback(lambda task: task.exception())

    def _abort(self, socket: web.WebSocketResponse) -> None:
        if socket._req is not None and socket._req.transport is not None:
            socket._req.transport.abort()

    def _own(self, request: web.Request) -> Account:
        return self.brokerage.accounts[_key(request)]

    def _strikes(self, name: str) -> bool:
        if self.faults[name] <= 0:
            return False
        self.faults[name] -= 1
        return True


def _key(request: web.Request) -> str:
    return request.headers["APCA-API-KEY-ID"]


def _json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response(value, status=status, headers=headers)


def _packed(row: Row) -> bytes:
    packed: bytes = msgpack.packb([row])
    return packed


def _timestamp(ns: int) -> msgpack.Timestamp:
    return msgpack.Timestamp.from_unix_nano(ns)


async def _send_account(socket: web.WebSocketResponse, stream: str, data: Row) -> None:
    """The account's stream comes in binary frames."""
    await socket.send_bytes(json.dumps({"stream": stream, "data": data}).encode())
