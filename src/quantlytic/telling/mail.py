"""A letter as a mail: plain text beside HTML with the chart in it. The same letter to the same person is the same bytes."""

from __future__ import annotations

import email.policy
import functools
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import TYPE_CHECKING

from quantlytic.model.errors import InputError
from quantlytic.model.time import NS_PER_S
from quantlytic.telling.chart import png_of
from quantlytic.telling.letter import Letter, one_line

if TYPE_CHECKING:
    from jinja2 import Template

# One plain address, or a name before one in angle brackets. Nothing in it can end the header, or mean a second address.
_ADDRESS = re.compile(r"[A-Za-z0-9!#$&'*+/=?^_{}~.-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?")
_NAMED = re.compile(r"([A-Za-z0-9 ._'-]{1,80}) <([^<>]*)>")
_ID = re.compile(r"[A-Za-z0-9._-]{1,100}")

INK, UP, DOWN = "#1c2733", "#0b7a5c", "#c0392b"
_COLORS = {"risk": "#b42318", "data": "#a15c07", "held": "#a15c07", "look-ahead": "#6d3fd1"}


@dataclass(frozen=True)
class Envelope:
    """Who sends to whom, under which id. `attempt` above 1: it may have arrived before. `unsubscribe_url` "": no link."""

    sender: str
    recipient: str
    message_id: str
    attempt: int = 1
    unsubscribe_url: str = ""
    preferences_url: str = ""


def check_address(text: str, what: str = "the address") -> str:
    """The address itself, if it can be nothing but one address in a header. Raises InputError."""
    if isinstance(text, str) and _ADDRESS.fullmatch(text):
        return text
    named = _NAMED.fullmatch(text) if isinstance(text, str) else None
    if named and _ADDRESS.fullmatch(named[2]):
        return named[2]
    raise InputError(f"{what} {one_line(str(text), 60)!r} is no mail address: write one such as ann@example.com")


def mail_of(letter: Letter, envelope: Envelope) -> EmailMessage:
    """The mail. Its date is the event's own, its Message-ID that of the message: a repeat can be recognised by any mail server.

    Raises InputError for a sender, recipient or id that could be more than it says.
    """
    check_address(envelope.sender, "the sender")
    recipient = check_address(envelope.recipient, "the recipient")
    if not _ID.fullmatch(envelope.message_id):
        raise InputError("a message id has letters and digits only")
    mail = EmailMessage()
    mail["Subject"] = one_line(letter.subject)
    mail["From"], mail["To"] = envelope.sender, recipient
    mail["Date"] = format_datetime(datetime.fromtimestamp(letter.event_time // NS_PER_S, UTC))
    mail["Message-ID"] = f"<{envelope.message_id}@quantlytic>"
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Auto-Response-Suppress"] = "All"
    if letter.is_urgent:
        mail["Importance"] = "high"
    if envelope.unsubscribe_url:
        mail["List-Unsubscribe"] = f"<{_url(envelope.unsubscribe_url)}>"
        mail["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    if envelope.attempt > 1:
        mail["X-Quantlytic-Attempt"] = str(envelope.attempt)
    picture = png_of(letter.chart) if letter.chart is not None else None
    cid = f"chart.{envelope.message_id}@quantlytic"
    mail.set_content(_text(letter, envelope))
    mail.add_alternative(_html(letter, envelope, cid if picture else ""), subtype="html")
    if picture:
        html = mail.get_payload(1)
        assert isinstance(html, EmailMessage)
        html.add_related(picture, "image", "png", cid=f"<{cid}>", filename="chart.png", disposition="inline")
        html.set_boundary(f"==r{envelope.message_id[:32]}==")
    mail.set_boundary(f"==a{envelope.message_id[:32]}==")  # a random one would make every copy differ
    return mail


def bytes_of(mail: EmailMessage) -> bytes:
    """The mail as it is sent: CRLF, and no header broken that need not be (a Message-ID in two lines is lawful, and lost by
    some)."""
    return mail.as_bytes(policy=_WIRE)


_WIRE = email.policy.SMTP.clone(max_line_length=200)


def _url(url: str) -> str:
    if not re.fullmatch(r"https?://[!-;=?-~]+", url):
        raise InputError("a link in a mail has to be an http address without spaces and angle brackets")
    return url


def _text(letter: Letter, envelope: Envelope) -> str:
    text = letter.text
    if envelope.unsubscribe_url:
        change = f"Change what you are told: {_url(envelope.preferences_url)}\n" if envelope.preferences_url else ""
        text += f"\n-- \n{change}Stop these mails: {envelope.unsubscribe_url}\n"
    return text


def _html(letter: Letter, envelope: Envelope, cid: str) -> str:
    for url in (letter.link[1], envelope.unsubscribe_url, envelope.preferences_url):
        if url:
            _url(url)
    color = _COLORS.get(letter.kind, INK)
    if letter.kind == "signal":
        color = UP if letter.subject.startswith("BUY") else DOWN
    return _template().render(letter=letter, envelope=envelope, cid=cid, color=color) + "\n"


@functools.cache
def _template() -> Template:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("quantlytic.telling", ".")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined).get_template("mail.html")
