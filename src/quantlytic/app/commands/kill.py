"""`quantlytic kill`: stop an account at once, and let it trade again."""

from __future__ import annotations

import asyncio
import getpass
import json
import socket
import time
from typing import TYPE_CHECKING

import click
import msgspec

from quantlytic.model.errors import InputError, VenueError

if TYPE_CHECKING:
    from quantlytic.trading.killswitch import KillTarget, KillTimings


@click.command()
@click.option(
    "--flatten", is_flag=True, help="Sell what is held above what is kept, at market; asks for the account's name."
)
@click.option("--release", is_flag=True, help="Let the account trade again; asks for its name.")
@click.option("--account", metavar="NAME", help="Which account; needed where there are several.")
@click.option("--confirm", metavar="NAME", help="The account's name, instead of typing it: for scripts.")
@click.option("--deadline", "deadline_s", type=click.FloatRange(1, 3600), default=60.0, show_default=True,
              metavar="SECONDS", help="Give up asking the venue after so long; the latch stays shut.")  # fmt: skip
@click.option(
    "--quiet-for", "quiet_s", type=click.FloatRange(0, 3600), default=6.5, show_default=True, metavar="SECONDS",
    help="Believe that nothing is open when it stays so for so long: an order under way may come so late.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    flatten: bool,
    release: bool,
    account: str | None,
    confirm: str | None,
    deadline_s: float,
    quiet_s: float,
    as_json: bool,
) -> None:
    """Shut the account's latch, cancel every open order at the venue, and ask the venue until it confirms it.

    Works with everything else dead or hung: it needs the venue and one file. Also orders placed by hand are cancelled.
    Nothing new is sent until the account is released by its name. Exit code 0: the venue confirms that nothing is open
    (with --flatten: that nothing is held). 5: it does not; the latch is shut all the same.
    """
    from quantlytic.app.bootstrap import Bootstrap
    from quantlytic.app.config import load_settings
    from quantlytic.trading.killswitch import KillTimings

    if flatten and release:
        raise InputError("--flatten stops and --release lets go: give one of them")
    settings = load_settings()
    target = Bootstrap(settings).halting.kill_target(account)
    if settings.mode != "live" and not release and not as_json:
        click.echo(
            f"mode is {settings.mode}: what runs here sends no order to a venue, and goes on (Ctrl-C ends it). Stopped is "
            f"account {target.account} at the venue itself, and live trading on it until the latch is released",
            err=True,
        )
    if release:
        _release(target, confirm, as_json)
    else:
        _kill(target, flatten, confirm, KillTimings(deadline=deadline_s, quiet=quiet_s), as_json)


def _kill(target: KillTarget, flatten: bool, confirm: str | None, timings: KillTimings, as_json: bool) -> None:
    from quantlytic.trading.killswitch import kill

    def tell(text: str) -> None:
        if not as_json:
            click.echo(f"  {text}", err=True)

    by, before = _who(), []
    if flatten and confirm != target.account:  # what is open is cancelled before a person has to read and type
        at_once = msgspec.structs.replace(timings, quiet=0.0)
        before = asyncio.run(kill(target, by=by, timings=at_once, tell=tell)).cancelled
        if confirm is None:
            _show(target)
        _confirm(target.account, confirm, "sell it")
    report = asyncio.run(kill(target, flatten=flatten, by=by, timings=timings, tell=tell))
    report.cancelled = [*before, *report.cancelled]
    click.echo(json.dumps(report.as_dict()) if as_json else "\n".join(report.lines()))
    if not report.is_verified:
        why = f": {report.problems[-1]}" if report.problems else ""
        raise VenueError(
            f"the kill of account {target.account} is NOT verified at the venue{why}; run it again, or look there by hand"
        )
    if not as_json:
        click.echo(f"to let it trade again: quantlytic kill --release --account {target.account}")


def _show(target: KillTarget) -> None:
    """What is about to be sold, for whoever has to type the name."""
    from quantlytic.trading.killswitch import preview

    held = asyncio.run(preview(target))
    if held is None:
        click.echo("the venue does not say now what is held", err=True)
        return
    rows = [f"{'sell' if amount > 0 else 'buy back'} {abs(amount):,.10g} {asset}" for asset, amount in held.items()]
    kept = ", ".join(f"{amount:,.10g} {asset}" for asset, amount in target.keep.items()) or "nothing"
    click.echo(f"at market: {', '.join(rows) or 'nothing to sell'}; kept: {kept} ([account] keep)", err=True)


def _release(target: KillTarget, confirm: str | None, as_json: bool) -> None:
    halt = target.latch.read()
    if halt is None:
        raise InputError(f"account {target.account} is not halted: there is nothing to release")
    if not as_json:
        click.echo(
            f"account {target.account} was halted ({halt.cause}, by {halt.by or 'nobody known'}): {halt.text}", err=True
        )
    released = target.latch.release(_typed(target.account, confirm, "let it trade again"), _who(), time.time_ns())
    if as_json:
        click.echo(json.dumps({"account": target.account, "released": True, "text": released.text}))
    else:
        click.echo(f"account {target.account} may trade again")


def _confirm(account: str, confirm: str | None, what: str) -> None:
    typed = _typed(account, confirm, what)
    if typed != account:
        raise InputError(
            f"nothing is sold: the account is {account!r}, not {typed!r}. The latch is shut, and what was open is cancelled"
        )


def _typed(account: str, confirm: str | None, what: str) -> str:
    if confirm is not None:
        return confirm
    try:
        typed = click.prompt(f"Type the account's name ({account}) to {what}", default="", show_default=False, err=True)
    except click.Abort:
        raise InputError(f"to {what} the account's name has to be typed, or given as --confirm {account}") from None
    return str(typed).strip()


def _who() -> str:
    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (KeyError, OSError):  # a user without a name, as in some containers
        return f"somebody@{socket.gethostname()}"
