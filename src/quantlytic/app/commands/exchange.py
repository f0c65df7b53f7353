"""`quantlytic exchange`: the exchange in a box as a process."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import click

from quantlytic.model.errors import InputError


def _speed(_: click.Context, __: click.Parameter, value: str) -> float:
    if value == "max":
        return 0.0
    try:
        speed = float(value)
    except ValueError:
        speed = -1.0
    if not 0 < speed < float("inf"):
        raise click.BadParameter(f"{value!r} is not a positive number or max")
    return speed


@click.command("exchange")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", default=8788, show_default=True, type=click.IntRange(0, 65535), help="Port; 0 takes a free one."
)
@click.option("--seed", default=7, show_default=True, help="Seed of the synthetic market.")
@click.option("--symbols", default="BTCUSDT,ETHUSDT", show_default=True, help="Symbols of the synthetic market.")
@click.option(
    "--trades-per-s", default=40.0, show_default=True, type=click.FloatRange(0.1, 2000), help="Mean, all symbols."
)
@click.option(
    "--folder", type=click.Path(file_okay=False, path_type=Path), help="Keep everything here; resume from it."
)
@click.option(
    "--replay",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Serve a recorded tape instead (repeat for several files).",
)
@click.option("--speed", default="1", show_default=True, callback=_speed, help="Pace of the replay: a factor, or max.")
@click.option("--wait", is_flag=True, help="Begin the replay only at POST /box/start.")
@click.option(
    "--fault", "faults", multiple=True, metavar="NAME=VALUE", help="Misbehave: drop=0.01, http429=0.05, stale=1 ..."
)
@click.option("--fault-seed", default=1, show_default=True, help="Seed of the faults.")
@click.argument("files", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
def command(
    *,
    host: str,
    port: int,
    seed: int,
    symbols: str,
    trades_per_s: float,
    folder: Path | None,
    replay: tuple[Path, ...],
    speed: float,
    wait: bool,
    faults: tuple[str, ...],
    fault_seed: int,
    files: tuple[Path, ...],
) -> None:
    """Run a local venue that speaks Binance Spot's REST and WebSocket protocol.

    FILES are more tapes for --replay. The API key and secret of the demo account are taken from QUANTLYTIC_BOX_KEY and
    QUANTLYTIC_BOX_SECRET, or made up and printed.
    """
    from quantlytic.venues.exchange.config import AccountConfig, ExchangeConfig
    from quantlytic.venues.exchange.faults import parse_faults
    from quantlytic.venues.exchange.server import ExchangeServer

    if files and not replay:
        raise InputError(f"{files[0]}: files are served with --replay only")
    account = AccountConfig(
        api_key=os.environ.get("QUANTLYTIC_BOX_KEY", ""), api_secret=os.environ.get("QUANTLYTIC_BOX_SECRET", "")
    )
    config = ExchangeConfig(
        symbols=tuple(symbol.strip().upper() for symbol in symbols.split(",") if symbol.strip()),
        seed=seed,
        host=host,
        port=port,
        folder=folder,
        replay=replay + files,
        speed=speed,
        wait=wait,
        faults=parse_faults(faults),
        fault_seed=fault_seed,
        accounts=(account,),
        trades_per_s=trades_per_s,
    )
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    server = ExchangeServer(config).start()
    try:
        _introduce(server.rest_url, server.stream_url, server.control_token)
        if not config.replay and not account.api_secret:
            key, secret = server.keys()
            click.echo(f"demo account: API key {key}\n              secret  {secret}")
        while not stop.is_set() and not server.wait(0):
            stop.wait(0.5)
    finally:
        server.stop()
    if server.failure is not None:
        raise server.failure


def _introduce(rest_url: str, stream_url: str, token: str) -> None:
    click.echo(f"exchange in a box: REST {rest_url}  streams {stream_url}/ws  (Ctrl-C ends it)")
    click.echo(f"control: {rest_url}/box/state, and POST /box/faults with the header X-Box-Token: {token}")
