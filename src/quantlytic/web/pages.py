"""The HTML: the one page, a mail in its frame, and the words for who may not see them."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse, Response

from quantlytic.web.outbox import OpenMail

FOLDER = Path(__file__).parent
# A mail's HTML is somebody else's: no script, no network, no forms, an origin of its own; only our page may frame it.
_MAIL_HEADERS = {
    "Content-Security-Policy": (
        "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'"
    ),
    "X-Frame-Options": "SAMEORIGIN",
}


@cache
def _templates() -> Environment:
    return Environment(
        loader=FileSystemLoader(FOLDER / "templates"), autoescape=True, undefined=StrictUndefined, auto_reload=False
    )


def main_page(venue: str, can_halt: bool = False) -> Response:
    """The shell of the page; its content comes by the WebSocket. `can_halt`: with the red button."""
    return HTMLResponse(_templates().get_template("index.html").render(venue=venue, can_halt=can_halt))


def refusal_page(status: int, reason: str) -> Response:
    """Why the page is not shown, and what to do about it."""
    return HTMLResponse(_templates().get_template("refusal.html").render(status=status, reason=reason), status)


def mail_frame(mail: OpenMail) -> Response:
    """A mail's HTML as it is, with headers that take all power from it."""
    return HTMLResponse(mail.html or "<p>This mail has no HTML part.</p>", headers=_MAIL_HEADERS)
