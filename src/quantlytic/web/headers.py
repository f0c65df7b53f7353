"""What every answer of ours to a browser carries, and how a host's name is read."""

from __future__ import annotations

import re
from collections.abc import Mapping

from starlette.datastructures import MutableHeaders
from starlette.types import Message, Send

LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "::1")
SAFE_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}
_HOST = re.compile(r"([a-z0-9.-]+|\[[0-9a-f:]+\])(?::\d{1,5})?")


def hostname(host: str) -> str:
    """The name in a Host header, without brackets and port; "" for what is none."""
    match = _HOST.fullmatch(host.lower())
    return match[1].strip("[]") if match else ""


def with_headers(send: Send, policy: str, headers: Mapping[str, str] = SAFE_HEADERS) -> Send:
    """Sends on, with those headers and the Content-Security-Policy on every answer that does not set its own."""

    async def send_safely(message: Message) -> None:
        if message["type"] in ("http.response.start", "websocket.http.response.start"):
            mine = MutableHeaders(scope=message)
            for name, value in {**headers, "Content-Security-Policy": policy}.items():
                mine.setdefault(name, value)
        await send(message)

    return send_safely
