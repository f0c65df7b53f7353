"""`quantlytic alerts`: who is told, who may sign up, what was sent. For operators."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from quantlytic.model.errors import InputError
from quantlytic.model.time import iso
from quantlytic.store.control.address import ALLOW, clean_address, clean_rule

if TYPE_CHECKING:
    from quantlytic.store.control.control import Control
    from quantlytic.store.control.records import Message, Subscriber
    from quantlytic.web.alerts.choices import Choices, Offer

_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_STATUSES = ["pending", "confirmed", "unsubscribed", "suppressed"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Subscribers: list, add and remove them; who may sign up; what was sent; API tokens."""


@command.command("list")
@click.option("--status", type=click.Choice(_STATUSES), help="Only those.")
@_as_json
def list_(status: str | None, as_json: bool) -> None:
    """Who is told about what, oldest first."""
    with _control() as control:
        rows = [_subscriber_row(control, one) for one in control.subscribers.list(status)]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    elif not rows:
        click.echo("no subscribers yet: people sign up on the page of the alert service, or by `quantlytic alerts add`")
    else:
        _print(rows, "email", "status", "kinds", "instruments", "strategies", "quiet")


@command.command()
@click.argument("email")
@click.option("--instrument", "instruments", multiple=True, help="venue:SYMBOL, once for each; without any: all.")
@click.option(
    "--strategy", "strategies", multiple=True, help="A name, once for each; without any: the recommended one."
)
@click.option("--kind", "kinds", multiple=True, help="signal, look-ahead, fill, risk, data or digest, once for each.")
@click.option("--confirmed", is_flag=True, help="Send no mail to confirm: the address's owner has agreed already.")
def add(
    email: str, instruments: tuple[str, ...], strategies: tuple[str, ...], kinds: tuple[str, ...], confirmed: bool
) -> None:
    """Let EMAIL sign up: it gets a mail to confirm.

    The mail goes out when the alert service and the notifier run.
    """
    address = clean_address(email)
    given = {"instruments": list(instruments), "strategies": list(strategies), "kinds": list(kinds)}
    with _control() as control:
        choices = _choices(control, {name: some for name, some in given.items() if some})
        known = control.subscribers.by_email(address)
        if known is not None and known.status == "confirmed":
            raise InputError(f"{address} is subscribed already; its owner changes it by the page of the alert service")
        if known is not None and known.status == "suppressed":
            raise InputError(
                f"{address} is suppressed: its mail server refused it for good; if that is mended, "
                f"`quantlytic alerts remove --erase {address}` and add it again"
            )
        if not confirmed:
            _add_rules(control, [address])
            control.sign_ups.add("subscribe", address, choices.model_dump_json(), time.time_ns())
            click.echo(f"{address} gets a mail to confirm, as soon as the alert service runs")
            return
        who = control.subscribers.add(address, time.time_ns(), chosen=choices.subscription(""), **choices.quiet)
        control.subscribers.confirm(who.subscriber_id, time.time_ns())
        for name in _offer(control).new_instruments(choices.instruments):
            control.wanted.add(name, time.time_ns())
    click.echo(f"{address} is subscribed")


@command.command()
@click.argument("email")
@click.option("--erase", is_flag=True, help="Forget the address, what it chose and what was sent to it.")
def remove(email: str, erase: bool) -> None:
    """Send EMAIL nothing more; what is queued for it is dropped."""
    with _control() as control:
        who = control.subscribers.by_email(clean_address(email))
        if who is None:
            raise InputError(f"there is no subscriber {email!r}: see `quantlytic alerts list`")
        (control.subscribers.erase if erase else control.subscribers.unsubscribe)(who.subscriber_id)
    click.echo(f"{who.email} is {'forgotten' if erase else 'unsubscribed'}")


@command.command()
@click.argument("rules", nargs=-1, metavar="[RULE]...")
@click.option("--forget", is_flag=True, help="Take the rules away instead; who has subscribed stays so.")
@_as_json
def allow(rules: tuple[str, ...], forget: bool, as_json: bool) -> None:
    """Who may sign up: add rules, or list them.

    RULE is an address, a domain as *@example.com, or anyone. Without rules, those there are are listed. What the
    settings allow counts as well, and is not listed here.
    """
    with _control() as control:
        if forget:
            gone = {clean_rule(rule) for rule in rules}
            control.preferences.put(ALLOW, [rule for rule in control.preferences.get(ALLOW, []) if rule not in gone])
        elif rules:
            _add_rules(control, [clean_rule(rule) for rule in rules])
        kept: list[str] = control.preferences.get(ALLOW, [])
    click.echo(json.dumps(kept) if as_json else "\n".join(kept) or "nobody but whom the settings allow")


@command.command()
@click.argument("recipient", required=False)
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True, help="How many at most.")
@_as_json
def history(recipient: str | None, limit: int, as_json: bool) -> None:
    """What was sent, newest first.

    To RECIPIENT (an address or a channel's name), or to all.
    """
    with _control() as control:
        names = {one.subscriber_id: one.email for one in control.subscribers.list()}
        found = control.messages.history(None if recipient is None else _recipient(control, recipient), limit)
    rows = [_message_row(one, names.get(one.recipient, one.recipient)) for one in found]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    elif not rows:
        click.echo("nothing was sent yet")
    else:
        _print(rows, "created", "recipient", "channel", "kind", "subject", "state", "attempts", "last_error")


@command.command("send-test")
@click.argument("recipient")
@click.option("--channel", help="RECIPIENT is a channel's name, and this its kind, such as apprise or webhook.")
def send_test(recipient: str, channel: str | None) -> None:
    """Queue a test message.

    RECIPIENT is a confirmed subscriber's address, or with --channel a channel's name. The notifier sends it.
    """
    from quantlytic.store.control.records import Message, message_id_of

    now_ns, cause = time.time_ns(), f"test {secrets.token_hex(8)}"
    with _control() as control:
        if channel is None:
            who = control.subscribers.by_email(clean_address(recipient))
            if who is None or who.status != "confirmed":
                raise InputError(f"there is no confirmed subscriber {recipient!r}: see `quantlytic alerts list`")
        name = recipient if channel else _recipient(control, recipient)
        message = Message(
            message_id=message_id_of(cause, name, "test"), recipient=name, channel=channel or "mail", kind="test",
            cause=cause, subject="Test message", payload=b"", created_ns=now_ns, not_before_ns=now_ns,
        )  # fmt: skip
        control.messages.put([message])
    click.echo(f"queued for {recipient}; see `quantlytic alerts history {recipient}`")


@command.command()
@click.argument("name", required=False)
@click.option("--forget", is_flag=True, help="End the token of that name.")
@_as_json
def token(name: str | None, forget: bool, as_json: bool) -> None:
    """Make or end operators' tokens for the API.

    The token named NAME is printed once: it is kept as a hash. Without NAME, the names are listed.
    """
    with _control() as control:
        if name is None:
            names = control.tokens.list()
            click.echo(json.dumps(names) if as_json else "\n".join(names) or "no tokens")
            return
        if not forget:
            secret = secrets.token_urlsafe(32)
            control.tokens.add(name, secret)
            click.echo(json.dumps({"name": name, "token": secret}) if as_json else secret)
            return
        if name not in control.tokens.list():
            raise InputError(f"there is no token {name!r}: see `quantlytic alerts token`")
        control.tokens.remove(name)
    click.echo(f"the token {name} is good no more")


# ---- details


def _control() -> Control:
    from quantlytic.app.config import load_settings
    from quantlytic.store.control import open_control

    return open_control(load_settings().home)


def _choices(control: Control, given: dict[str, Any]) -> Choices:
    from pydantic import ValidationError

    from quantlytic.web.alerts.choices import Choices

    try:
        return _offer(control).settle(Choices.model_validate(given))
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"{first['loc'][0]}: {first['msg']}") from None


def _offer(control: Control) -> Offer:
    """What there is to choose from: the venue's instruments of the settings, and the built-in strategies."""
    from quantlytic.app.config import load_settings
    from quantlytic.strategies.catalogue import names
    from quantlytic.web.alerts.choices import Offer

    venue = load_settings().venue
    name = venue.ccxt_exchange if venue.name == "ccxt" else venue.name
    return Offer([f"{name}:{symbol}" for symbol in venue.symbols], names(), control.wanted)


def _add_rules(control: Control, rules: Iterable[str]) -> None:
    kept = control.preferences.get(ALLOW, [])
    control.preferences.put(ALLOW, list(dict.fromkeys([*kept, *rules])))


def _recipient(control: Control, name: str) -> str:
    """The id of the subscriber of that address; a channel's name is its id."""
    who = control.subscribers.by_email(clean_address(name)) if "@" in name else None
    if "@" in name and who is None:
        raise InputError(f"there is no subscriber {name!r}: see `quantlytic alerts list`")
    return who.subscriber_id if who else name


def _subscriber_row(control: Control, one: Subscriber) -> dict[str, Any]:
    chosen = control.subscribers.subscription_of(one.subscriber_id)
    hours = [f"{minute // 60:02d}:{minute % 60:02d}" for minute in (one.quiet_start_min, one.quiet_end_min)]
    quiet = "" if hours[0] == hours[1] else f"{'-'.join(hours)} {one.time_zone}"
    return {
        "email": one.email,
        "status": one.status,
        "kinds": list(chosen.kinds) if chosen else [],
        "instruments": list(chosen.instruments) if chosen else [],
        "strategies": list(chosen.strategies) if chosen else [],
        "near_bps": chosen.near_bps if chosen else None,
        "quiet": quiet,
        "time_zone": one.time_zone,
        "created": iso(one.created_ns),
        "confirmed": iso(one.confirmed_ns) if one.confirmed_ns else None,
    }


def _message_row(one: Message, recipient: str) -> dict[str, Any]:
    names = ("message_id", "channel", "kind", "cause", "subject", "state", "attempts", "last_error")
    times = {"created": iso(one.created_ns), "sent": iso(one.sent_ns) if one.sent_ns else None}
    return times | {"recipient": recipient} | {name: getattr(one, name) for name in names}


def _print(rows: list[dict[str, Any]], *names: str) -> None:
    from rich.markup import escape
    from rich.table import Table

    from quantlytic.app.console import print_table

    table = Table(*(name.replace("_", " ") for name in names), box=None)
    for row in rows:
        texts = (", ".join(value) if isinstance(value, list) else str(value) for value in (row[name] for name in names))
        table.add_row(
            *(escape(text[:19] if name == "created" else text) for name, text in zip(names, texts, strict=True))
        )
    print_table(table)
