"""`quantlytic data quality`: what looks wrong with an equity's history."""

from __future__ import annotations

import json
from pathlib import Path

import click
import msgspec

from quantlytic.model.errors import MismatchError


@click.command("quality")
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--ticker", help="SOURCE is a folder in LEAN's formats: the company to look at.")
@click.option("--strict", is_flag=True, help="Exit with 6 when something looks wrong.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(source: Path, ticker: str | None, strict: bool, as_json: bool) -> None:
    """Look for unit errors, missing or phantom splits, bad dividends and wrong adjustments; nothing is mended.

    SOURCE is a CSV of Yahoo's history, or with --ticker a folder in LEAN's formats. A finding is a reason to look.
    """
    from quantlytic.research.data.dataquality import check
    from quantlytic.research.data.equities import load_equity
    from quantlytic.store.equities.yahoofile import read_yahoo

    if ticker is None:
        history = read_yahoo(source)
        found = check(history.bars, history.actions, history.adjusted_close, split_adjusted=True)
    else:
        equity = load_equity(source, ticker)
        found = check(equity.bars.array, equity.actions)
    if as_json:
        click.echo(json.dumps([msgspec.to_builtins(one) for one in found], indent=2))
    else:
        click.echo("\n".join(str(one) for one in found) or "nothing looks wrong")
    if strict and found:
        raise MismatchError(f"{len(found)} things look wrong with {ticker or source}")
