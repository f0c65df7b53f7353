"""What it takes to trade with money: the account's name, typed or configured."""

from __future__ import annotations

import sys

import click

from quantlytic.app.config import Settings


def confirm_mode(settings: Settings) -> None:
    """Ask where a person is there to be asked. Raises InputError when live trading was not confirmed by name."""
    from quantlytic.trading.mode import Mode, allow

    mode, account = Mode.of(settings.mode), settings.account
    typed = None
    if mode is Mode.LIVE and not account.confirm and sys.stdin.isatty():
        what = (
            "the exchange in a box: no money is at stake"
            if settings.venue.name == "box"
            else f"{settings.venue.name} with money"
        )
        typed = click.prompt(
            f"LIVE: orders go to {what}. Type the account's name ({account.name}) to go on",
            default="",
            show_default=False,
            err=True,
        )
    allow(mode, account.name, typed=typed, confirm=account.confirm)
