"""`quantlytic run NAME...`: services in a process of their own."""

from __future__ import annotations

from contextlib import ExitStack

import click

EDGES = ("exchange", "web", "alerts")


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="SERVICE...")
@click.option("--take-over", is_flag=True, help="Take the place of the same services that run elsewhere.")
def command(names: tuple[str, ...], take_over: bool) -> None:
    """Run SERVICEs in a process of their own.

    \b
    exchange    the exchange in a box         strategist  bars to orders
    recorder    the venue to the tape         executor    orders to fills, on paper or at the venue
    barmaker    trades to bars                lookahead   what strategies will do, before they do it
    predictor   bars to forecasts             watchdog    halts a live account that hangs
    shadow      challengers, beside it        notifier    mails and messages
    trainer     the lake to new models        scheduler   the daily run at its time
    archiver    the tape to the lake          alerts      the pages where people sign up
    web         the page

    They share nothing but the log, the lake and the control store, so each may die and come back. Ends on Ctrl-C, SIGTERM or
    after QUANTLYTIC_RUN_FOR seconds. A service that runs already, here or in `up`, is refused (but a watchdog, of which there
    may be two); with --take-over the older one ends, and it alone.
    """
    from quantlytic.app.bootstrap import Bootstrap
    from quantlytic.app.config import load_settings
    from quantlytic.app.confirm import confirm_mode
    from quantlytic.app.host import Host
    from quantlytic.app.presence import SHARED, Presence, typed_command
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
    presence = Presence(settings.home)
    if settings.account.model_fields_set:
        bootstrap.account.check()
    own = [name for name in names if name in SERVICES and name not in SHARED]
    presence.claim(own, typed_command(), take_over=take_over)
    host = Host(bootstrap.stores.log_handle, presence)
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
