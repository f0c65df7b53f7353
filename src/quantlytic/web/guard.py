"""Who may see the page. Every request passes here first: host, origin, token; every answer leaves with safe headers."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from quantlytic.web.headers import LOOPBACK_HOSTS, hostname, with_headers
from quantlytic.web.pages import refusal_page

COOKIE_SECONDS = 30 * 86400
_OPEN_PATHS = ("/health", "/static/")
_SAFE_METHODS = ("GET", "HEAD")
_NO_TOKEN = "The token is missing or wrong: open the address with ?token= that quantlytic printed when it started."
# The chart library adds one <style> of its own for the attribution; its hash is pinned like the library's.
CHART_STYLE_HASH = "sha256-3pRED1tOXas1FXFoPb9TGCjmYe9XQsmO9OV23khV2nY="


class Guard:
    """ASGI middleware. Refuses unknown hosts (a rebound DNS name), foreign origins, and whoever has no token.

    The token comes once in the address (`/?token=...`), which sets a cookie and leads on to `/`; or in each request as
    `Authorization: Bearer`. The cookie holds not the token but a value made from it, and is good for this port only.
    """

    def __init__(self, app: ASGIApp, token: str, hosts: Iterable[str], port: int) -> None:
        self._app = app
        self._token = _digest(token)
        self._session = hmac.new(token.encode(), b"quantlytic page", hashlib.sha256).hexdigest()
        self._cookie = f"quantlytic_{port}"
        self._hosts = {host.lower() for host in (*LOOPBACK_HOSTS, *hosts)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is None:
            await self._app(scope, receive, _with_headers(send, Headers(scope=scope)["host"]))
        else:
            await _answer(refusal, scope, receive, send)

    def _refusal(self, scope: Scope) -> Response | None:
        """The answer to who may not pass (or must first go another way), None for who may."""
        headers = Headers(scope=scope)
        if hostname(headers.get("host", "")) not in self._hosts:
            return _refuse(scope, 403, "This address is not one that this server answers to.")
        bearer = headers.get("authorization", "").removeprefix("Bearer ").strip()
        has_bearer = bool(bearer) and hmac.compare_digest(_digest(bearer), self._token)
        is_socket = scope["type"] == "websocket"
        if (is_socket or scope["method"] not in _SAFE_METHODS) and _is_foreign(headers, has_bearer):
            return _refuse(scope, 403, "The request came from another site.")
        path = scope["path"]
        if not is_socket and path.startswith(_OPEN_PATHS):
            return None
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token") if path == "/" else None
        if given and not is_socket and hmac.compare_digest(_digest(given[0]), self._token):
            return self._let_in()
        if not given and (has_bearer or hmac.compare_digest(self._cookie_of(headers), self._session.encode())):
            return None
        return _refuse(scope, 401, _NO_TOKEN)

    def _let_in(self) -> Response:
        answer = RedirectResponse("/", 303)
        answer.set_cookie(self._cookie, self._session, max_age=COOKIE_SECONDS, httponly=True, samesite="strict")
        return answer

    def _cookie_of(self, headers: Headers) -> bytes:
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(self._cookie)
        except CookieError:
            return b""
        return cookie.value.encode() if cookie else b""


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _is_foreign(headers: Headers, has_bearer: bool) -> bool:
    """Browsers always name the origin of a WebSocket or a POST; a program without one must bring the token itself."""
    origin = headers.get("origin")
    try:
        return not has_bearer if origin is None else urlsplit(origin).netloc != headers["host"]
    except ValueError:  # it is no address at all, such as "http://["
        return True


def _refuse(scope: Scope, status: int, reason: str) -> Response:
    wants_page = "text/html" in Headers(scope=scope).get("accept", "")
    if scope["type"] == "http" and wants_page:
        return refusal_page(status, reason)
    return JSONResponse({"error": reason}, status)


async def _answer(response: Response, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket" and "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": 1008, "reason": "refused"})
        return
    await response(scope, receive, _with_headers(send, ""))


def _with_headers(send: Send, host: str) -> Send:
    sockets = f" ws://{host} wss://{host}" if host else ""
    policy = (
        "default-src 'none'; script-src 'self'; style-src 'self' '" + CHART_STYLE_HASH + "'; img-src 'self' data:; "
        f"connect-src 'self'{sockets}; frame-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
    return with_headers(send, policy)
