"""`quantlytic up`: the whole line in one process."""

from __future__ import annotations

from typing import Any

import click


@click.command()
@click.option(
    "--venue",
    help="box: a simulated exchange. binance, alpaca, finnhub, or any exchange of ccxt by its name: real feeds.",
)
@click.option("--symbols", help="Comma-separated, such as BTCUSDT,ETHUSDT.")
@click.option("--open/--no-open", "open_page", default=False, help="Open the page in the browser.")
@click.option("--take-over", is_flag=True, help="Depose who runs a part of it now, instead of refusing to start.")
def command(venue: str | None, symbols: str | None, open_page: bool, take_over: bool) -> None:
    """Record, make bars, decide, trade, tell, archive and show: everything, in this process.

    Trades on paper, unless the settings say mode = "live" and the account's name is confirmed. Ends with a summary on
    Ctrl-C, SIGTERM or after QUANTLYTIC_RUN_FOR seconds; the next start goes on where this one stopped.
    """
    from quantlytic.app.line import run_line

    chosen: dict[str, Any] = {}
    if venue:
        chosen["name"] = venue
    if symbols:
        chosen["symbols"] = [symbol.strip().upper() for symbol in symbols.split(",") if symbol.strip()]
    run_line(chosen, open_page, take_over=take_over)
