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

from quantlytic.model.errors import QuantlyticError

if TYPE_CHECKING:
    from quantlytic.app.bootstrap import Bootstrap


class Finding(msgspec.Struct, frozen=True):
    """One thing looked at: `state` is ok, warn or fail."""

    what: str
    state: str
    detail: str


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(as_json: bool) -> None:
    """Check Python, packages, settings, folders, disk, ports and stores. Exit code 1 when something fails."""
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
    yield Finding(
        "settings", "ok", f"venue {settings.venue.name}, strategy {settings.strategy.name}, log {settings.log.kind}"
    )
    home = settings.home.resolve()
    existing = next(folder for folder in (home, *home.parents) if folder.exists())
    free_gb = shutil.disk_usage(existing).free / 1e9
    yield Finding("disk", "ok" if free_gb > 2 else "warn", f"{free_gb:,.1f} GB free at {home}")
    for name, port in (("page", settings.web.port), ("exchange", settings.venue.box_port)):
        yield _port(name, port)
    yield from _stores(home, settings)


def _port(name: str, port: int) -> Finding:
    with socket.socket() as probe:
        probe.settimeout(0.3)
        used = port and probe.connect_ex(("127.0.0.1", port)) == 0
    detail = f"port {port} is in use: quantlytic is running, or choose another" if used else f"port {port} is free"
    return Finding(name, "warn" if used else "ok", detail)


def _describe_log(bootstrap: Bootstrap) -> str:
    with bootstrap.stores.open_log() as log:
        return f"{len(log.streams())} streams"


def _stores(home: object, settings: object) -> Iterator[Finding]:
    from quantlytic.app.bootstrap import Bootstrap
    from quantlytic.app.config import Settings

    assert isinstance(settings, Settings)
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
