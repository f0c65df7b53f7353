"""WebSockets: market streams, the account's own stream, and the WebSocket API, on every path that clients use."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from starlette.types import Receive, Scope, Send

from quantlytic.venues.exchange.access import Access, Limits
from quantlytic.venues.exchange.candles import INTERVALS_MS
from quantlytic.venues.exchange.endpoints import SOCKET_METHODS
from quantlytic.venues.exchange.hub import PLAYER_WAITING, Connection, Hub
from quantlytic.venues.exchange.rejects import Reject
from quantlytic.venues.exchange.rest import RestApp

_INTERVALS = "|".join(INTERVALS_MS)
STREAM = re.compile(
    rf"([a-z0-9]+)@(trade|aggTrade|bookTicker|ticker|miniTicker|depth(5|10|20)?(@100ms|@1000ms)?|kline_({_INTERVALS}))"
)


def user_stream(account: str) -> str:
    """The internal name of an account's own stream."""
    return f"user:{account}"


class SocketApp:
    """An ASGI app for all WebSockets. `resolve` gives the name under which a market stream is
    published, None for one that does not exist."""

    def __init__(
        self, hub: Hub, rest: RestApp, keys: Access, limits: Limits, resolve: Callable[[str], str | None]
    ) -> None:
        self.hub = hub
        self._rest = rest
        self._keys = keys
        self._limits = limits
        self._resolve = resolve

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert (await receive())["type"] == "websocket.connect"
        await send({"type": "websocket.accept"})
        path = scope["path"].strip("/")
        query = scope["query_string"].decode("ascii", "replace")
        connection = self.hub.connect(combined=path.startswith("stream") and "ws" not in path.split("/"))
        sender = asyncio.create_task(_send_all(connection, send))
        reader = asyncio.create_task(self._read_all(connection, receive, scope))
        try:
            self._open(connection, path, query)
            await asyncio.wait({sender, reader}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.hub.disconnect(connection)
            for task in (sender, reader):
                task.cancel()
            await asyncio.gather(sender, reader, return_exceptions=True)
        # returning without a close message makes uvicorn hang up: what a broken connection looks like

    def _open(self, connection: Connection, path: str, query: str) -> None:
        """Subscribe to what the address names: /ws/NAME/NAME, /stream?streams=NAME/NAME, /ws?listenKey=KEY."""
        names = path.split("/")[1:]
        for part in query.split("&"):
            key, _, value = part.partition("=")
            if key in ("streams", "listenKey"):
                names += value.replace("%40", "@").split("/")
        for name in names:
            if not name.isdecimal() and "-" not in name and name not in ("", "ws", "v3"):
                self._subscribe(connection, name)

    def _subscribe(self, connection: Connection, name: str) -> bool:
        account = self._keys.listener(name)
        if account is not None:
            wrap = (f'{{"stream":"{name}","data":', "}") if connection.combined else ("", "")
            self.hub.subscribe(connection, user_stream(account), wrap)
            return True
        stream = self._resolve(name)
        if stream is None:
            return False
        self.hub.subscribe(connection, stream)
        return True

    async def _read_all(self, connection: Connection, receive: Receive, scope: Scope) -> None:
        address = scope["client"][0] if scope.get("client") else ""
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                return
            text = message.get("text") or (message.get("bytes") or b"").decode("utf-8", "replace")
            connection.say(msgspec.json.encode(self._answer(connection, text, address)).decode())
            while len(connection.waiting) > PLAYER_WAITING and not connection.closed:
                connection.room.clear()
                await connection.room.wait()

    def _answer(self, connection: Connection, text: str, address: str) -> Any:
        try:
            request = msgspec.json.decode(text, type=dict[str, Any])
            method, number, sent = str(request["method"]), request.get("id"), request.get("params")
        except (msgspec.MsgspecError, KeyError):
            return {"error": {"code": 3, "msg": "Invalid JSON: expected an object with 'method'"}, "id": None}
        if method in ("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY"):
            return self._manage(connection, method, sent, number)
        params = {str(name): _text(value) for name, value in sent.items()} if isinstance(sent, dict) else {}
        try:
            result = self._call(connection, method, params, address)
            return {"id": number, "status": 200, "result": result, "rateLimits": []}
        except Reject as reject:
            error = {"code": reject.code, "msg": reject.message}
            return {"id": number, "status": reject.status, "error": error, "rateLimits": []}

    def _manage(self, connection: Connection, method: str, sent: Any, number: Any) -> Any:
        if method == "LIST_SUBSCRIPTIONS":
            return {"result": [name for name in connection.streams if "@" in name], "id": number}
        if method == "SET_PROPERTY":
            if not (isinstance(sent, list) and len(sent) == 2 and sent[0] == "combined" and isinstance(sent[1], bool)):
                return {"error": {"code": 0, "msg": "Unknown property"}, "id": number}
            connection.combined = sent[1]
            for name in [each for each in connection.streams if "@" in each]:
                self.hub.subscribe(connection, name)
            return {"result": None, "id": number}
        if not isinstance(sent, list) or not all(isinstance(name, str) for name in sent):
            return {
                "error": {"code": 2, "msg": "Invalid request: 'params' must be a list of stream names"},
                "id": number,
            }
        unknown = [name for name in sent if not self._known(connection, method, name)]
        if unknown:
            return {"error": {"code": 2, "msg": f"Invalid request: unknown stream {unknown[0]!r}"}, "id": number}
        return {"result": None, "id": number}

    def _known(self, connection: Connection, method: str, name: str) -> bool:
        if method == "SUBSCRIBE":
            return self._subscribe(connection, name)
        self.hub.unsubscribe(connection, self._resolve(name) or name)
        return True

    def _call(self, connection: Connection, method: str, params: Mapping[str, str], address: str) -> Any:
        """One method of the WebSocket API. Raises Reject."""
        if method == "userDataStream.subscribe.signature":
            account = self._signed(params)
            self.hub.subscribe(connection, user_stream(account), ('{"subscriptionId":0,"event":', "}"))
            return {"subscriptionId": 0}
        if method == "userDataStream.unsubscribe":
            for name in [each for each in connection.streams if each.startswith("user:")]:
                self.hub.unsubscribe(connection, name)
            return {}
        if method in ("userDataStream.start", "userDataStream.ping", "userDataStream.stop"):
            verb = {"start": "POST", "ping": "PUT", "stop": "DELETE"}[method.rpartition(".")[2]]
            endpoint = self._rest.endpoints[(verb, "/api/v3/userDataStream")]
            return self._rest.call(endpoint, self._keys.account(params.get("apiKey", "")), params)
        route = SOCKET_METHODS.get(method)
        if route is None:
            raise Reject(-1000, f"No such method: {method}")
        endpoint = self._rest.endpoints[route]
        self._limits.spend(address, endpoint.weight(params))
        account = self._signed(params) if endpoint.access == "signed" else ""
        return self._rest.call(endpoint, account, params)

    def _signed(self, params: Mapping[str, str]) -> str:
        payload = "&".join(f"{name}={params[name]}" for name in sorted(params) if name != "signature")
        return self._keys.signed(params.get("apiKey", ""), payload, params)


async def _send_all(connection: Connection, send: Send) -> None:
    """Send what waits, in order, until the connection is cut; a message that is delayed delays those behind it."""
    waiting = connection.waiting
    while not connection.closed:
        while waiting:
            text, delay_s = waiting.popleft()
            if delay_s:
                await asyncio.sleep(delay_s)
            await send({"type": "websocket.send", "text": text})
            if len(waiting) <= PLAYER_WAITING // 2:
                connection.room.set()
        connection.ready.clear()
        if not connection.closed:
            await connection.ready.wait()


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
