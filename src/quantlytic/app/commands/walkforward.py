"""`quantlytic walkforward`: choose parameters on the past, trade them on what came next, and say what was left."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from quantlytic.app.barsfile import LAKE, bars_of
from quantlytic.app.forecasts import forecasts_told, model_options, sentences, with_forecasts
from quantlytic.app.options import check_options, market_of, span_options, trading_options

if TYPE_CHECKING:
    from quantlytic.research.search.walkforward import WalkForward


@click.command()
@click.argument("strategy")
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option("--data", type=click.Path(path_type=Path), help="The same FILE, named as `backtest` has it.")
@LAKE
@click.option("--symbol", help="One symbol of the file; all of them without it. Of the lake, VENUE:SYMBOL.")
@click.option("--bar-size", help="Size of a bar, such as 15m; without it, the most frequent step.")
@span_options
@click.option("--train", required=True, help="How much to choose parameters on, such as 180d.")
@click.option("--test", required=True, help="How much to trade them on before choosing anew, such as 30d.")
@click.option("--anchored", is_flag=True, help="Train on everything before, not only on the last --train.")
@click.option(
    "-p",
    "--param",
    "params",
    multiple=True,
    required=True,
    metavar="NAME=VALUES",
    help="Values to choose from: 10:60:5 (from 10 to 60, both included, by 5), 100,150,200 or one. May be repeated.",
)
@click.option("--where", metavar="A<B", help="Only sets in which one parameter is below another: fast<slow.")
@click.option("--metric", default="sharpe", show_default=True, help="What the best cell has most of.")
@click.option("--draws", type=int, help="Try that many random sets, not all combinations.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the draws.")
@trading_options
@check_options
@model_options
@click.option("--jobs", type=int, help="Processors to use; all of them without it.")
@click.option("--out", type=click.Path(path_type=Path), help="Write a page to this HTML file.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(strategy: str, file: Path | None, out: Path | None, as_json: bool, **given: Any) -> None:
    """Walk STRATEGY forward over the bars of FILE, or of the lake.

    Parameters are chosen on one stretch and traded on the next, again and again: what is shown was never chosen by. Every
    cell tried is entered in the trial ledger.
    """
    from quantlytic.app.commands.sweep import parse_axes, parse_constraint
    from quantlytic.research.search.walkforward import walk_forward
    from quantlytic.store.home import home_folder
    from quantlytic.strategies.catalogue import find

    axes = parse_axes(given["params"], given["draws"] is not None)
    home, kind = home_folder(), find(strategy)
    bars = bars_of("walkforward", home, file, **given)
    bars = with_forecasts(bars, kind, strategy, home, axes, **given)
    chosen = (
        "train", "test", "anchored", "metric", "draws", "seed", "cash", "allow_gaps", "allow_splits",
        "calendar", "jobs",
    )  # fmt: skip
    found = walk_forward(
        kind,
        bars,
        axes,
        market=market_of(**given),
        progress=_progress if sys.stderr.isatty() else None,
        name=strategy,
        constraint=parse_constraint(given["where"]),
        home=home,
        **{key: given[key] for key in chosen},
    )
    written = None if out is None else found.plot(out)
    if as_json:
        click.echo(json.dumps(found.summary() | forecasts_told(found.bars), allow_nan=False))
    else:
        _print(found, written)


def _progress(done: int, of: int) -> None:
    click.echo(f"\rfold {done} of {of}", nl=done == of, err=True)


def _print(found: WalkForward, page: Path | None) -> None:
    from rich.table import Table

    from quantlytic.app.console import print_table
    from quantlytic.research import text

    figures = found.metrics
    click.echo(f"\n{found.verdict.sentence}\n")
    for sentence in sentences(found.bars):
        click.echo(click.wrap_text(sentence, 100) + "\n")
    table = Table(box=None, pad_edge=False)
    for name in ("from", "to", "parameters", "sharpe in", "out", "return in", "out", "fills"):
        table.add_column(name, justify="left" if name in ("from", "to", "parameters") else "right")
    for one in found.folds:
        inside = None if one.in_sample_growth is None else one.in_sample_growth - 1.0
        chosen = (
            "sat out" if one.params is None else " ".join(f"{name}={value:g}" for name, value in one.params.items())
        )
        table.add_row(
            text.day(one.fold.train_end), text.day(one.fold.test_end), chosen,
            text.ratio(one.in_sample_sharpe), text.ratio(one.sharpe),
            text.percent(inside, sign=True), text.percent(one.growth - 1.0, sign=True), f"{one.fills:,}",
        )  # fmt: skip
    print_table(table)
    click.echo(
        f"\nout of sample  {text.percent(figures['total_return'], sign=True)}, Sharpe {text.ratio(figures['sharpe'])}, "
        f"max drawdown {text.percent(figures['max_drawdown'])}"
    )
    click.echo(
        f"kept           efficiency {text.ratio(found.efficiency)}, Sharpe {text.ratio(found.degradation)} against in "
        f"sample, {text.percent(found.profitable)} of {len(found.folds)} folds earned"
    )
    click.echo(f"page           {page}" if page else "")
