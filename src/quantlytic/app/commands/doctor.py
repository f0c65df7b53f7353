"""`quantlytic doctor`: look for what is off, and say what to do about it."""

from __future__ import annotations

import json
import platform
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from typing import TYPE_CHECKING

import click
import msgspec

from quantlytic.app.presence import Presence
from quantlytic.model.errors import QuantlyticError

if TYPE_CHECKING:
    from quantlytic.app.bootstrap import Bootstrap
    from quantlytic.app.config import Settings


class Finding(msgspec.Struct, frozen=True):
    """One thing looked at: `state` is ok, warn or fail."""

    what: str
    state: str
    detail: str


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(as_json: bool) -> None:
    """Check Python, packages, settings, mode, account, latch, what runs, disk, ports and stores.

    Exit code 1 when something fails.
    """
    findings = list(_examine())
    if as_json:
        click.echo(json.dumps({"findings": [msgspec.to_builtins(f) for f in findings]}))
    else:
        marks = {
            "ok": click.style("ok  ", fg="green"),
            "warn": click.style("warn", fg="yellow"),
            "fail": click.style("FAIL", fg="red"),
        }
        for finding in findings:
            click.echo(f"{marks[finding.state]}  {finding.what:<10} {finding.detail}")
    sys.exit(1 if any(f.state == "fail" for f in findings) else 0)


def _examine() -> Iterator[Finding]:
    yield Finding(
        "python",
        "ok" if sys.version_info >= (3, 11) else "fail",
        f"{platform.python_version()} on {platform.platform()}",
    )
    packages = ("quantlytic", "numba", "numpy", "msgspec", "polars", "deltalake")
    yield Finding("packages", "ok", ", ".join(f"{name} {metadata.version(name)}" for name in packages))
    yield Finding("clock", "ok" if time.time() > 1.7e9 else "fail", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
    from quantlytic.app.config import load_settings

    try:
        settings = load_settings()
    except QuantlyticError as error:
        yield Finding("settings", "fail", str(error))
        return
    yield from _settings(settings)
    yield from _acting(settings)
    home = settings.home.resolve()
    existing = next(folder for folder in (home, *home.parents) if folder.exists())
    free_gb = shutil.disk_usage(existing).free / 1e9
    yield Finding("disk", "ok" if free_gb > 2 else "warn", f"{free_gb:,.1f} GB free at {home}")
    line = _line_at_work(settings)
    yield _port("page", settings.web.port, line)
    if settings.venue.name == "box":
        yield _port("exchange", settings.venue.box_port, line)
    yield from _stores(home, settings)


def _settings(settings: Settings) -> Iterator[Finding]:
    """Whether anything could be started by them."""
    from quantlytic.app.bootstrap import Bootstrap

    try:
        faults = [*Bootstrap(settings).runs.faults()]
    except QuantlyticError as error:
        faults = [str(error)]
    for fault in faults:
        yield Finding("settings", "fail", fault)
    if not faults:
        said = f"venue {settings.venue.name}, {_strategies(settings)}, log {settings.log.kind}"
        yield Finding("settings", "ok", said)


def _acting(settings: Settings) -> Iterator[Finding]:
    """What would be done with decisions, and whether it is stopped."""
    from quantlytic.app.bootstrap import Bootstrap

    bootstrap, account = Bootstrap(settings), settings.account
    modes = {"alert": "decides and tells, trades nothing", "paper": "trades with the simulated broker"}
    confirmed = f'confirm = "{account.confirm}" is set' if account.confirm else "its name is asked for at each start"
    live = f"orders go to {settings.venue.name}, account {account.name}; {confirmed}"
    is_wrong = settings.mode == "live" and account.confirm not in ("", account.name)
    yield Finding("mode", "fail" if is_wrong else "ok", f"{settings.mode}: {modes.get(settings.mode, live)}")
    try:
        bootstrap.account.check()
        every, whole = bootstrap.account.limits().every, bootstrap.account.limits()
    except QuantlyticError as error:
        yield Finding("account", "fail", str(error))
        return
    figures = {
        "max_order_notional": every.max_order_notional, "max_position_notional": every.max_position_notional,
        "max_gross_notional": whole.max_gross_notional, "max_daily_loss": whole.max_daily_loss,
        "max_drawdown_share": whole.max_drawdown_share,
    }  # fmt: skip
    said = ", ".join(f"{name} {'none' if value is None else f'{value:,.10g}'}" for name, value in figures.items())
    yield Finding("account", "ok", f"{account.name}: {said}")
    halt = bootstrap.account.latch().read()
    if halt is None:
        yield Finding("latch", "ok", f"open: account {account.name} may trade")
    else:
        release = f"quantlytic kill --release --account {account.name}"
        yield Finding("latch", "warn", f"SHUT ({halt.cause}) by {halt.by or 'nobody known'}: {halt.text}; {release}")
    yield from _running(bootstrap)


def _running(bootstrap: Bootstrap) -> Iterator[Finding]:
    """Which services run now, and when the account's executor was last alive."""
    for who, services in _by_holder(Presence(bootstrap.settings.home).running()).items():
        yield Finding("running", "ok", f"{who}: {', '.join(services)}")
    beat_ns = bootstrap.halting.heartbeat().last_ns()
    if beat_ns is not None:
        age_s, limit_s = (time.time_ns() - beat_ns) / 1e9, bootstrap.account.deadman().heartbeat_s
        is_old = limit_s is not None and age_s > limit_s
        detail = f"the live executor's last sign of life is {age_s:,.1f} s old"
        yield Finding("heartbeat", "warn" if is_old else "ok", detail)


def _by_holder(running: dict[str, str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for service, who in running.items():
        found.setdefault(who, []).append(service)
    return found


def _strategies(settings: Settings) -> str:
    """Those that run by these settings."""
    names = [one.name for one in settings.running]
    return f"{'strategy' if len(names) == 1 else 'strategies'} {', '.join(names)}"


def _line_at_work(settings: Settings) -> str:
    """The `quantlytic up` (or `demo`) of this data folder, in words; "" where there is none. It has page and exchange in it."""
    who = Presence(settings.home).running().get("recorder", "")
    return "" if who.startswith("`quantlytic run ") else who


def _port(name: str, port: int, line: str) -> Finding:
    with socket.socket() as probe:
        probe.settimeout(0.3)
        used = port and probe.connect_ex(("127.0.0.1", port)) == 0
    if used and line:
        return Finding(name, "ok", f"port {port} is in use while {line} is at work")
    detail = f"port {port} is in use: quantlytic is running, or choose another" if used else f"port {port} is free"
    return Finding(name, "warn" if used else "ok", detail)


def _describe_log(bootstrap: Bootstrap) -> str:
    with bootstrap.stores.open_log() as log:
        return f"{len(log.streams())} streams"


def _stores(home: object, settings: Settings) -> Iterator[Finding]:
    from quantlytic.app.bootstrap import Bootstrap

    if not settings.home.exists():
        yield Finding("stores", "ok", f"nothing recorded yet at {home}")
        return
    bootstrap = Bootstrap(settings)
    checks: dict[str, Callable[[], str]] = {
        "log": lambda: _describe_log(bootstrap),
        "control": lambda: f"{len(bootstrap.stores.control().runs.list())} runs",
        "lake": lambda: f"tables: {', '.join(bootstrap.stores.lake().tables()) or 'none yet'}",
    }
    for name, check in checks.items():
        try:
            yield Finding(name, "ok", check())
        except QuantlyticError as error:
            yield Finding(name, "fail", str(error))
    yield from _died(bootstrap)
    yield from _mails(bootstrap)
    if settings.forecasts:
        yield from _lines(bootstrap)


def _died(bootstrap: Bootstrap) -> Iterator[Finding]:
    """The runs that nobody decides any more."""
    from quantlytic.app.runstate import died, holdings
    from quantlytic.model.time import iso

    try:
        with bootstrap.stores.open_log() as log:
            for run, end in died(bootstrap.runs.known(), log, bootstrap.settings):
                held = ", ".join(f"{quantity:g} {name}" for name, quantity in holdings(run, log).items()) or "nothing"
                swap = (
                    f"`quantlytic swap {run.run_id} STRATEGY --position keep|close --reason ...` has another one decide"
                )
                advice = swap if end.state else "nothing can take over from it: start a new run"
                since = f"{end.old} raised at {iso(end.event_time)[:19]}, and nobody has decided since"
                said = f"{run.run_id} holds {held}: {since}; {advice}. What was raised: {end.reason}"
                yield Finding("strategy", "fail", said)
    except QuantlyticError:
        return  # said already


def _mails(bootstrap: Bootstrap) -> Iterator[Finding]:
    """Whether messages wait because of the hour's limit."""
    try:
        held = bootstrap.stores.control().messages.held()
    except QuantlyticError:
        return  # said already
    if not held:
        yield Finding("mails", "ok", "held back: 0")
        return
    to = ", ".join(f"{count:,} to {_who(bootstrap, recipient)}" for recipient, count in sorted(held.items()))
    limit = f"more than notify.per_hour ({bootstrap.settings.notify.per_hour}) within the hour"
    yield Finding(
        "mails", "warn", f"held back: {sum(held.values()):,} ({to}): {limit}; see `quantlytic alerts history`"
    )


def _who(bootstrap: Bootstrap, recipient: str) -> str:
    found = bootstrap.stores.control().subscribers.get(recipient)
    return found.email if found else recipient


def _lines(bootstrap: Bootstrap) -> Iterator[Finding]:
    """Whether the lines of models can forecast."""
    from quantlytic.app.wiring.learning import Learning

    settings, venue = bootstrap.settings, bootstrap.edge.venue
    learning = Learning(settings, bootstrap.stores, venue, [f"{venue}:{one}" for one in settings.venue.symbols])
    try:
        with bootstrap.stores.open_log() as log:
            for state, said in learning.examine(log, time.time_ns()):
                yield Finding("forecasts", state, said)
    except QuantlyticError as error:
        yield Finding("forecasts", "fail", str(error))
