"""What a person is told about a signal, in words; and the mail made of it."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from decimal import Decimal
from email.message import EmailMessage
from email.utils import format_datetime
from html import escape

import msgspec

from quantlytic.model.instrument import Instrument
from quantlytic.model.run import Run
from quantlytic.model.signal import Signal
from quantlytic.model.time import NS_PER_S, duration_text, iso


class Notice(msgspec.Struct, frozen=True):
    """A message about one event. `message_id` is made from its cause: the same cause gives the same id."""

    message_id: str
    event_time: int
    subject: str
    lines: tuple[str, ...]


def notice_of(signal: Signal, run: Run) -> Notice:
    """A signal in words. Nothing in it depends on when it is written."""
    symbol = signal.instrument.partition(":")[2]
    verb = signal.side.name.lower()
    cause = f"{signal.run}/{signal.signal_id}"
    instrument = next((one for one in run.instruments if one.id == signal.instrument), Instrument(signal.instrument))
    price = _price(signal.price, instrument)
    held = f"{signal.target_quantity:,.8g} {instrument.base or symbol}" if signal.target_quantity else "none"
    seen = iso(signal.event_time).replace(".000000", "")
    return Notice(
        message_id=hashlib.sha256(cause.encode()).hexdigest()[:32],
        event_time=signal.event_time,
        subject=f"{verb.upper()} {symbol} at {price} ({run.strategy}, {run.mode})",
        lines=(
            f"{run.strategy} says {verb} {symbol}: it wants to hold {held}.",
            f"Seen at {seen}, the close of a {duration_text(run.bar_size_ns)} bar, at a price of {price}.",
            "Parameters: " + ", ".join(f"{name} {value:g}" for name, value in sorted(run.params.items())) + ".",
            f"This is {run.mode} trading on {run.venue}: "
            + ("no real order is sent." if run.mode == "paper" else "a real order follows."),
            f"Run {run.run_id}, signal {signal.signal_id}.",
        ),
    )


def _price(price: float, instrument: Instrument) -> str:
    """With as many decimals as the venue's tick has: 3,001.10, as everywhere else."""
    if not instrument.tick_size:
        return f"{price:,.8g}"
    decimals = len(f"{Decimal(repr(instrument.tick_size)).normalize():f}".partition(".")[2])
    return f"{price:,.{decimals}f}"


def mail_of(notice: Notice, sender: str, recipient: str) -> EmailMessage:
    """The notice as a mail: plain text and HTML. Same notice, same bytes: the date is the event's own."""
    message = EmailMessage()
    message["Subject"] = notice.subject
    message["From"], message["To"] = sender, recipient
    message["Date"] = format_datetime(datetime.fromtimestamp(notice.event_time // NS_PER_S, UTC))
    message["Message-ID"] = f"<{notice.message_id}@quantlytic>"
    message.set_content("\n".join(notice.lines) + "\n")
    paragraphs = "".join(f"<p>{escape(line)}</p>" for line in notice.lines)
    style = "font:16px/1.5 system-ui,sans-serif;max-width:40em;margin:1.5em auto;padding:0 1em"
    message.add_alternative(
        f'<!doctype html><html lang="en"><body style="{style}">'
        f'<h1 style="font-size:1.25em">{escape(notice.subject)}</h1>{paragraphs}</body></html>\n',
        subtype="html",
    )
    boundary = f"=={notice.message_id}=="  # a random one would make every copy differ
    message.set_boundary(boundary)
    return message
