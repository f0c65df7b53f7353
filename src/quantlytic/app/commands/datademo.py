"""`quantlytic data demo`: a file of invented bars, to try the other commands on."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command("demo")
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="A .parquet or .csv file.")
@click.option("--bars", "count", type=int, default=20_000, show_default=True, help="Bars of each instrument.")
@click.option("--size", default="1h", show_default=True, help="Size of a bar, such as 1m, 1h, 1d.")
@click.option("--instruments", type=int, default=1, show_default=True, help="How many: ALPHA, BETA, GAMMA ...")
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed makes the same bars.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(out: Path, count: int, size: str, instruments: int, seed: int, as_json: bool) -> None:
    """Make bars of nothing but a seed, to try things on; what a strategy earns on them means nothing.

    Prices walk at random, with stretches of trend and of calm. OUT is a file that `backtest` and the others take.
    """
    from quantlytic.research.data.demo import demo_bars
    from quantlytic.store.barwriter import write_bars

    made = demo_bars(count, seed, instruments, size)
    write_bars(out, made.array, made.instruments)
    symbols = [one.symbol for one in made.instruments]
    if as_json:
        click.echo(
            json.dumps({"file": str(out), "bars": len(made), "instruments": symbols, "size": size, "seed": seed})
        )
    else:
        click.echo(f"{out}: {len(made):,} invented bars of {', '.join(symbols)}")
