"""HTTP: from a request to an endpoint and back, with keys, limits and faults on the way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from quantlytic.model.errors import StoreError
from quantlytic.venues.exchange import access
from quantlytic.venues.exchange.access import Access, Limits
from quantlytic.venues.exchange.endpoints import Endpoint
from quantlytic.venues.exchange.faults import Faults
from quantlytic.venues.exchange.rejects import Reject

HTML = "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"


class RestApp:
    """An ASGI app over the table of endpoints. `on_failure` is told of errors after which the exchange cannot go on."""

    def __init__(
        self,
        endpoints: Mapping[tuple[str, str], Endpoint],
        keys: Access,
        limits: Limits,
        faults: Faults,
        on_failure: Callable[[StoreError], None],
    ) -> None:
        self.endpoints = endpoints
        self._paths = {path for _, path in endpoints}
        self._keys = keys
        self._limits = limits
        self._faults = faults
        self._on_failure = on_failure

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        body = (await request.body()).decode("utf-8", "replace")
        if request.method == "POST" and self._faults.strikes("order_late", "rest", self._faults.on_requests):
            await asyncio.sleep(self._faults.amount("late_ms") / 1000)
        response = self._respond(request, body)
        placed = response.headers.get("x-mbx-order-count-10s") is not None
        if placed and await self._lose(response, receive):
            return
        await response(scope, receive, send)

    def call(self, endpoint: Endpoint, account: str, sent: Mapping[str, str]) -> Any:
        """Answer one request of an account whose rights have been checked. Raises Reject."""
        if endpoint.trades:
            self._keys.check_trading(account)
        try:
            return endpoint.answer(account, sent)
        except StoreError as error:
            self._on_failure(error)
            raise Reject(-1001, "Internal error; unable to process your request. Please try again.", 503) from None

    def _respond(self, request: Request, body: str) -> Response:
        fault = self._broken()
        if fault is not None:
            return fault
        headers: dict[str, str] = {}
        try:
            endpoint = self.endpoints.get((request.method, request.url.path))
            if endpoint is None:
                known = request.url.path in self._paths
                raise Reject(-1000, f"No such request: {request.method} {request.url.path}", 405 if known else 404)
            payload, sent = access.split_signature(request.url.query, body)
            used = self._limits.spend(request.client.host if request.client else "", endpoint.weight(sent))
            headers["x-mbx-used-weight"] = headers["x-mbx-used-weight-1m"] = str(used)
            api_key = request.headers.get("x-mbx-apikey", "")
            account = ""
            if endpoint.access:
                signed = endpoint.access == "signed"
                account = self._keys.signed(api_key, payload, sent) if signed else self._keys.account(api_key)
            content = msgspec.json.encode(self.call(endpoint, account, sent))
            if endpoint.order:
                headers["x-mbx-order-count-10s"] = str(self._limits.orders_used(account))
            return Response(content, 200, headers, "application/json")
        except Reject as reject:
            return _refusal(reject, headers)

    def _broken(self) -> Response | None:
        faults, source = self._faults, self._faults.on_requests
        if faults.strikes("http429", "rest", source):
            wait_s = max(1, round(faults.amount("retry_after_s")))
            return _refusal(
                Reject(-1003, "Too many requests; please use the websocket for live updates.", 429, wait_s), {}
            )
        if faults.strikes("http5xx", "rest", source):
            return _refusal(Reject(-1000, "An unknown error occurred while processing the request.", 503), {})
        if faults.strikes("html", "rest", source):
            return Response(HTML, 502, media_type="text/html")
        return None

    async def _lose(self, response: Response, receive: Receive) -> bool:
        """Whether the answer to an accepted order got lost on its way: it hangs, or the connection breaks."""
        faults, source = self._faults, self._faults.on_requests
        if faults.strikes("order_unknown", "rest", source):
            text = "Timeout waiting for response from backend server. Send status unknown; execution status unknown."
            response.status_code = 504
            response.body = msgspec.json.encode({"code": -1007, "msg": text})
            response.headers["content-length"] = str(len(response.body))
            return False
        hangs = faults.strikes("order_timeout", "rest", source)
        if hangs:
            gone = asyncio.create_task(_gone(receive))
            await asyncio.wait({gone}, timeout=faults.amount("timeout_s"))
            gone.cancel()
        if hangs or faults.strikes("order_cut", "rest", source):
            # uvicorn's `receive` belongs to the request's cycle, the only way to the transport: ASGI knows no "hang up"
            transport = receive.__self__.transport  # type: ignore[attr-defined]
            transport.abort()
            return True
        return False


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _refusal(reject: Reject, headers: dict[str, str]) -> Response:
    if reject.retry_after_s is not None:
        headers = headers | {"retry-after": str(reject.retry_after_s)}
    content = msgspec.json.encode({"code": reject.code, "msg": reject.message})
    return Response(content, reject.status, headers, "application/json")
