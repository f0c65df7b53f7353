"""`quantlytic run NAME...`: services in a process of their own."""

from __future__ import annotations

from contextlib import ExitStack

import click

EDGES = ("exchange", "web", "alerts")


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="SERVICE...")
def command(names: tuple[str, ...]) -> None:
    """Run SERVICEs: exchange, recorder, barmaker, executor, strategist, lookahead, watchdog, notifier, archiver, scheduler,
    web, alerts.

    They share nothing but the log, the lake and the control store, so each may run in a process of its own, die and come
    back. Ends on Ctrl-C, SIGTERM or after QUANTLYTIC_RUN_FOR seconds. A service started twice: the newer one wins.
    """
    from quantlytic.app.bootstrap import Bootstrap
    from quantlytic.app.config import load_settings
    from quantlytic.app.confirm import confirm_mode
    from quantlytic.app.host import Host
    from quantlytic.app.wiring.services import SERVICES
    from quantlytic.model.errors import InputError

    for name in names:
        if name not in (*SERVICES, *EDGES):
            raise InputError(f"no service named {name!r}; there are: {', '.join((*EDGES, *SERVICES))}")
    settings = load_settings()
    bootstrap = Bootstrap(settings)
    if "executor" in names:
        confirm_mode(settings)
    bootstrap.stores.make_home()
    host = Host(bootstrap.stores.log_handle)
    host.stop_on_signals()
    with ExitStack() as edges:
        if "exchange" in names:
            exchange = edges.enter_context(bootstrap.edge.exchange())
            click.echo(f"exchange at {exchange.rest_url}")
        if "web" in names:
            web = edges.enter_context(bootstrap.web())
            click.echo(f"page at {web.url}")
        if "alerts" in names:
            alerts = edges.enter_context(bootstrap.alerts())
            click.echo(f"sign-up at {alerts.base_url}")
        monitor = edges.enter_context(bootstrap.monitor(host.meters))
        if monitor:
            click.echo(f"monitor at {monitor.url}")
        try:
            for name in (name for name in SERVICES if name in names):
                for build in bootstrap.services.named(name):
                    host.add(build, endless=name == "recorder")
                click.echo(f"{name} runs")
            host.stopping.wait(settings.run_for)
        finally:
            host.stop()
    if host.failure is not None:
        raise host.failure
