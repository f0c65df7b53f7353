"""Every request to the alert service passes here first: host, origin, size, rate. Every answer leaves with safe headers."""

from __future__ import annotations

import asyncio
import ipaddress
import math
from collections.abc import Iterable, Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from quantlytic.web.alerts.limits import TokenBuckets
from quantlytic.web.alerts.pages import problem_page
from quantlytic.web.headers import LOOPBACK_HOSTS, SAFE_HEADERS, hostname, with_headers

MAX_BODY_BYTES = 65_536
_BODY_S = 10.0
# Forms are sent with their origin only under a policy that names it; links with a token go to no other site either way.
_HEADERS = SAFE_HEADERS | {"Referrer-Policy": "same-origin"}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
# Mail providers send everybody's one-click unsubscriptions from a few addresses; a link that is not ours costs one HMAC.
_UNLIMITED = ("/unsubscribe", "/api/unsubscribe", "/health", "/static/")
_ASKING = ("/", "/link", "/api/subscriptions", "/api/mine/link", "/api/test")  # POSTs that lead to a mail

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Shield:
    """ASGI middleware. `hosts`: names that the service answers to besides loopback ones, the first that of its public address.

    `trusted_proxies`: addresses or networks whose X-Forwarded-For is believed; from all others it is not read. Each client
    address (of IPv6 each /64) may ask `per_minute` requests a minute, and for ten mails at once and two a minute.
    """

    def __init__(
        self, app: ASGIApp, hosts: Iterable[str], *, trusted_proxies: Sequence[str] = (), per_minute: int = 240
    ) -> None:
        self._app = app
        self._hosts = {name.lower() for name in (*LOOPBACK_HOSTS, *hosts)}
        self._proxies = [ipaddress.ip_network(one) for one in trusted_proxies]
        self._requests = TokenBuckets(per_minute, 60.0 / per_minute)
        self._mails = TokenBuckets(10, 30.0)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008, "reason": "refused"})
            return
        send = with_headers(send, _POLICY, _HEADERS)
        refusal, body = self._refusal(scope), None
        if refusal is None:
            try:
                async with asyncio.timeout(_BODY_S):
                    body = await _read(receive)
                refusal = refuse(scope, 413, "The request is too large.") if body is None else None
            except TimeoutError:
                refusal = refuse(scope, 408, "The request did not come to its end.")
        if refusal is None:
            if scope["method"] == "HEAD":  # answered as GET; the server leaves the body away
                scope = {**scope, "method": "GET"}
            await self._app(scope, _replay(body or b"", receive), send)
        else:
            await refusal(scope, receive, send)

    def _refusal(self, scope: Scope) -> Response | None:
        headers, path, is_post = Headers(scope=scope), scope["path"], scope["method"] not in ("GET", "HEAD")
        if hostname(headers.get("host", "")) not in self._hosts:
            return refuse(scope, 403, "This address is not one that this server answers to.")
        if is_post and self._is_foreign(headers.get("origin")):
            return refuse(scope, 403, "The request came from another site.")
        if path.startswith(_UNLIMITED):
            return None
        client = client_of(scope, headers, self._proxies)
        wait_s = self._requests.take(client) or (self._mails.take(client) if is_post and path in _ASKING else 0.0)
        return too_often(scope, "Too many requests: try again later.", wait_s) if wait_s else None

    def _is_foreign(self, origin: str | None) -> bool:
        """Nothing here is done on the strength of a cookie; that other sites cannot send our forms is for good measure."""
        if origin is None:
            return False
        try:
            return hostname(urlsplit(origin).netloc) not in self._hosts
        except ValueError:  # it is no address at all, such as "http://["
            return True


def client_of(scope: Scope, headers: Headers, proxies: Sequence[Network]) -> str:
    """Who asks: the nearest address that is not a trusted proxy's; of IPv6 its /64, which is one customer's."""
    hops = [scope["client"][0] if scope.get("client") else ""]
    hops += reversed([hop.strip() for hop in ",".join(headers.getlist("x-forwarded-for")).split(",")])
    nearest = hops[0]
    for hop in hops:
        try:
            address: Address = ipaddress.ip_address(hop)
        except ValueError:
            break  # what the proxy before it said makes no sense: the proxy itself is held to account
        if isinstance(address, ipaddress.IPv6Address):
            address = address.ipv4_mapped or address
        is_v6 = address.version == 6
        nearest = str(ipaddress.ip_network((address, 64), strict=False)) if is_v6 else str(address)
        if not any(address in network for network in proxies):
            break
    return nearest


def refuse(scope: Scope, status: int, reason: str) -> Response:
    """One line as JSON for programs, a page for people."""
    wants_page = "text/html" in Headers(scope=scope).get("accept", "") and not scope["path"].startswith("/api/")
    return problem_page(status, reason) if wants_page else JSONResponse({"error": reason}, status)


def too_often(scope: Scope, reason: str, wait_s: float) -> Response:
    """As `refuse`, with the seconds after which it is worth trying again."""
    response = refuse(scope, 429, reason)
    response.headers["Retry-After"] = str(max(1, math.ceil(wait_s)))
    return response


async def _read(receive: Receive) -> bytes | None:
    """The whole body; None when it is too large. Raises TimeoutError when it does not come."""
    body = b""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return body
        body += bytes(message.get("body", b""))
        if len(body) > MAX_BODY_BYTES:
            return None
        if not message.get("more_body", False):
            return body


def _replay(body: bytes, receive: Receive) -> Receive:
    is_read = False

    async def again() -> Message:
        nonlocal is_read
        if is_read:
            return await receive()
        is_read = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
