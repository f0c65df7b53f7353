"""The whole line in one process: start it, watch it, end it with a summary."""

from __future__ import annotations

import gc
import sys
import time
import webbrowser
from contextlib import ExitStack
from typing import Any

import click

from quantlytic.app.bootstrap import Bootstrap
from quantlytic.app.config import Settings, load_settings
from quantlytic.app.confirm import confirm_mode
from quantlytic.app.host import Host
from quantlytic.app.presence import SHARED, Presence, typed_command
from quantlytic.app.status import Status
from quantlytic.app.summary import Summary
from quantlytic.app.wiring.services import DECIDERS, SERVICES

SWITCH_INTERVAL_S = 0.0005  # many threads, short turns: a decision does not wait for another thread's long one
LINE_EVERY_S = 5.0  # a status line this often where there is no terminal to redraw


def run_line(venue: dict[str, Any], open_page: bool, *, take_over: bool = False) -> None:
    """Start everything, show a live status until a signal or the time limit, stop everything, print the summary. `take_over`:
    also where somebody else runs some of it, who is then deposed."""
    settings = load_settings()
    if venue:
        settings = load_settings(venue={**settings.venue.model_dump(exclude_unset=True), **venue})
    confirm_mode(settings)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    bootstrap = Bootstrap(settings)
    bootstrap.stores.make_home()
    presence = Presence(settings.home)
    presence.claim([name for name in SERVICES if name not in SHARED], typed_command(), take_over=take_over)
    if settings.account.model_fields_set:
        bootstrap.account.check()
    host = Host(bootstrap.stores.log_handle, presence)
    host.stop_on_signals()
    with ExitStack() as edges:
        if settings.venue.name == "box":
            edges.enter_context(bootstrap.edge.exchange())
        page = edges.enter_context(bootstrap.web())
        instruments = bootstrap.runs.first().instruments  # asks the venue: an unreachable one is told here, in one line
        if settings.mode == "live":
            bootstrap.account.check(instruments)
        click.echo(f"page:  {page.url}\nstarting; the first start compiles, which takes up to half a minute")
        if open_page:
            webbrowser.open(page.url)
        edges.enter_context(bootstrap.monitor(host.meters))
        summary = Summary(bootstrap)
        try:
            _start(bootstrap, host)
            gc.collect()
            gc.freeze()  # what was imported and compiled is not looked at again: that took up to half a second each time
            _watch(settings, host, Status(page.state, *bootstrap.runs.all()))
        finally:
            click.echo("stopping: what has arrived is worked off first; Ctrl-C again ends it at once")
            host.stop()
        click.echo(summary.text())
    if host.failure is not None:
        raise host.failure


def _start(bootstrap: Bootstrap, host: Host) -> None:
    """The recorder first, what has to finish last at the end; none more once somebody wants it to stop."""
    host.add(bootstrap.services.named("recorder")[0], endless=True)
    services, is_live = bootstrap.services, bootstrap.settings.mode == "live"
    # An account's executor has two sides to wait for, the log and the venue: it does not share a thread.
    deciders = [name for name in DECIDERS if not (is_live and name == "executor")]
    for build in (
        *(services.named("watchdog") + services.named("executor") if is_live else []),
        services.chain(deciders),
        *services.named("lookahead"),
        *services.named("shadow"),
        *services.named("trainer"),
        *services.named("notifier"),
        *services.named("archiver"),
    ):
        if host.stopping.is_set():  # Ctrl-C while a strategy was being compiled
            break
        host.add(build)


def _watch(settings: Settings, host: Host, status: Status) -> None:
    """Show the status until the host is to stop."""
    ends_s = time.monotonic() + settings.run_for if settings.run_for else None
    if not sys.stdout.isatty():
        while not host.stopping.wait(_pause_s(ends_s, LINE_EVERY_S)) and not _is_over(ends_s):
            click.echo(status.line())
        return
    from rich.console import Console
    from rich.live import Live

    console = Console()
    with Live(status.table(console.width), console=console, refresh_per_second=2, transient=True) as live:
        while not host.stopping.wait(_pause_s(ends_s, 0.5)) and not _is_over(ends_s):
            live.update(status.table(console.width))


def _pause_s(ends_s: float | None, every_s: float) -> float:
    return every_s if ends_s is None else max(0.0, min(every_s, ends_s - time.monotonic()))


def _is_over(ends_s: float | None) -> bool:
    return ends_s is not None and time.monotonic() >= ends_s
