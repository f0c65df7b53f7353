"""`quantlytic sweep`: many parameter sets of one strategy over the same history."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from quantlytic.app.barsfile import LAKE, bars_of
from quantlytic.app.forecasts import forecasts_told, model_options, sentences, with_forecasts
from quantlytic.app.options import check_options, market_of, span_options, trading_options
from quantlytic.model.errors import InputError

if TYPE_CHECKING:
    from quantlytic.research.search.sweep import Sweep

_TOP = 10
_SHOWN = ("sharpe", "total_return", "max_drawdown", "round_trips", "win_rate", "turnover", "exposure")
_INTERRUPTED = 130
_LARGEST, _LARGEST_SPAN = 2**63 - 1, 1_000_000  # of a value, and how many of them


@click.command()
@click.argument("strategy")
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option("--data", type=click.Path(path_type=Path), help="The same FILE, named as `backtest` has it.")
@LAKE
@click.option(
    "--symbol", help="One symbol of the file; all of them, on one account, without it. Of the lake, VENUE:SYMBOL."
)
@span_options
@click.option(
    "-p", "--param", "params", multiple=True, metavar="NAME=VALUES",
    help="Values of a parameter: 10:60:5 (from 10 to 60, both included, by 5), 100,150,200 or one number. May be repeated.",
)  # fmt: skip
@click.option(
    "--draws", type=int, metavar="N", help="N random sets instead of all combinations; 10:60 is then a range."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the random draws.")
@click.option("--where", metavar="A<B", help="Only sets in which one parameter is below another: fast<slow.")
@click.option("--metric", default="sharpe", show_default=True, help="What the cells are ranked by.")
@click.option("--bar-size", help="Size of a bar, such as 15m; without it, the most frequent step.")
@trading_options
@check_options
@model_options
@click.option("--jobs", type=int, metavar="N", help="Cores to use; all of them without it.")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="Where the page and the tables go.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(strategy: str, file: Path | None, as_json: bool, **given: Any) -> None:
    """Run every parameter set of STRATEGY over the bars of FILE, or of the lake.

    STRATEGY is a built-in one (sma-cross) or path/to/file.py:ClassName. Written into DIR, by default sweeps/SWEEP_ID in the
    data folder: heatmap.html, cells.csv and returns.parquet. Every cell is entered in the trial ledger, where it counts in
    the verdict on all others on the same data. Ctrl-C keeps the cells that were finished.
    """
    from quantlytic.research.search.sweep import sweep
    from quantlytic.research.search.sweepfolder import save_sweep
    from quantlytic.research.search.sweepledger import enter_trials
    from quantlytic.store.home import home_folder
    from quantlytic.strategies.catalogue import find

    home = home_folder()
    chosen = find(strategy)
    draws = given["draws"]
    axes = parse_axes(given["params"], draws is not None)
    bars = bars_of("sweep", home, file, **given)
    bars = with_forecasts(bars, chosen, strategy, home, axes, **given)
    with _Progress(shown=not as_json) as progress:
        found = sweep(
            chosen,
            bars,
            given["cash"],
            market=market_of(**given),
            draws=draws,
            seed=given["seed"],
            constraint=parse_constraint(given["where"]),
            progress=progress,
            name=strategy,
            over=axes,
            **{name: given[name] for name in ("allow_gaps", "allow_splits", "calendar", "jobs")},
        )
    if found.interrupted and all(one.error for one in found.outcomes):
        raise KeyboardInterrupt
    found.values(given["metric"])  # an unknown name is told before anything is written
    entered = enter_trials(found, home, time.time_ns())
    folder = save_sweep(found, home, given["out"], given["metric"])
    if as_json:
        click.echo(json.dumps(_summary(found, given["metric"], folder, entered), allow_nan=False))
    else:
        _print(found, given["metric"], folder, entered)
    if found.interrupted:
        raise SystemExit(_INTERRUPTED)


def parse_axes(texts: tuple[str, ...], drawn: bool) -> dict[str, Any]:
    """`("fast=10:60:5", "slow=100,200")` to values by name. Where sets are `drawn`, `10:60` is a range to draw from."""
    found: dict[str, Any] = {}
    for text in texts:
        name, equals, values = (part.strip() for part in text.partition("="))
        if not equals or not name or not values:
            raise InputError(f"--param {text}: write NAME=VALUES, such as fast=10:60:5 or slow=100,150,200")
        if name in found:
            raise InputError(f"--param {text}: {name} was given already")
        found[name] = _span(text, values, drawn) if ":" in values else [_number(text, one) for one in values.split(",")]
    return found


def parse_constraint(text: str | None) -> Any:
    """`fast<slow` to a function of the parameters; None for None."""
    if text is None:
        return None
    low, sign, high = (part.strip() for part in text.partition("<"))
    if not (sign and low.isidentifier() and high.isidentifier()):
        raise InputError(f"--where {text}: write two parameters with < between them, such as fast<slow")
    return lambda params: params[low] < params[high]


def _span(text: str, values: str, drawn: bool) -> Any:
    parts = [_number(text, one) for one in values.split(":")]
    if drawn and len(parts) == 2:
        return tuple(parts)
    low, high, *rest = parts
    step = rest[0] if rest else 1
    if len(parts) > 3 or step <= 0 or high < low:
        raise InputError(f"--param {text}: a span is FROM:TO:STEP, from the lower end, the step above 0")
    if not -_LARGEST <= low <= high <= _LARGEST or high - low > _LARGEST_SPAN * step:
        raise InputError(f"--param {text}: these are too many values (above {_LARGEST_SPAN:,}), or too large ones")
    count = int((high - low) / step * (1 + 1e-12) + 1e-9) + 1
    if all(isinstance(one, int) for one in (low, high, step)):
        return list(range(int(low), int(high) + 1, int(step)))
    return [round(low + k * step, 12) for k in range(count)]


def _number(text: str, part: str) -> int | float | bool:
    part = part.strip()
    if part.lower() in ("true", "false"):
        return part.lower() == "true"
    for kind in (int, float):
        try:
            return kind(part)
        except ValueError:
            continue
    raise InputError(f"--param {text}: {part!r} is neither a number nor true or false")


class _Progress:
    """Cells done, on the error stream of a terminal; nothing elsewhere."""

    def __init__(self, shown: bool) -> None:
        self._shown = shown
        self._bar: Any = None

    def __enter__(self) -> _Progress:
        return self

    def __call__(self, done: int, of: int) -> None:
        if not self._shown:
            return
        if self._bar is None:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

            console = Console(stderr=True)
            columns = ("cells", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            self._bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
            self._bar.start()
            self._task = self._bar.add_task("", total=of)
        self._bar.update(self._task, completed=done)

    def __exit__(self, *_error: object) -> None:
        if self._bar is not None:
            self._bar.stop()


def _summary(found: Sweep, metric: str, folder: Path, entered: int) -> dict[str, Any]:
    """What a script wants to know."""
    from quantlytic.research.search.sweepledger import sweep_id
    from quantlytic.research.search.sweepreason import why_none

    order = found.ranked(metric)
    peak = found.plateau(metric) if order else None
    return {
        "sweep_id": sweep_id(found),
        "strategy": found.name,
        "cells": len(found),
        "finished": sum(1 for one in found.outcomes if not one.error),
        "errors": {cell: one.error for cell, one in enumerate(found.outcomes) if one.error},
        "interrupted": found.interrupted,
        "metric": metric,
        "best": found.row(order[0]) if order else None,
        "why_none": None if order else why_none(found, metric),
        "plateau": None if peak is None else {
            "kept": peak.kept, "neighbours": peak.neighbours, "neighbours_mean": peak.neighbours_mean,
            "median": peak.median, "lonely": peak.is_lonely, "sentence": peak.sentence,
        },
        "trials_entered": entered,
        "data_sha256": found.data_hash,
        "bars": len(found.bars.array),
        "elapsed_s": round(found.elapsed_s, 3),
        "folder": str(folder),
        **forecasts_told(found.bars),
    }  # fmt: skip


def _print(found: Sweep, metric: str, folder: Path, entered: int) -> None:
    from rich.table import Table

    from quantlytic.app.console import print_table
    from quantlytic.research.search.sweepreason import why_none
    from quantlytic.research.search.sweeptext import figure, label

    rate = len(found) * len(found.bars.array) / found.elapsed_s / 1e6
    click.echo(
        f"\n{found.name}: {len(found):,} cells over {len(found.bars.array):,} bars in {found.elapsed_s:,.2f} s",
        nl=False,
    )
    click.echo(f" ({rate:,.1f}M bars a second)\n")
    columns = list(dict.fromkeys((metric, *_SHOWN)))
    table = Table(box=None, pad_edge=False)
    names = list(found.axes) or list(found.cells[0])
    for name in ("cell", *names, *(label(one) for one in columns)):
        table.add_column(name, justify="right")
    for sentence in sentences(found.bars):
        click.echo(click.wrap_text(sentence, 100) + "\n")
    order = found.ranked(metric)
    for cell in order[:_TOP]:
        params = [f"{found.cells[cell][name]:.6g}" for name in names]
        table.add_row(str(cell), *params, *(figure(one, found.outcomes[cell].figures[one]) for one in columns))
    if order:
        print_table(table)
        peak = found.plateau(metric)
        click.echo(f"\n{peak.sentence}\n{peak.advice}")
    else:
        click.echo(why_none(found, metric))
    failed = [(cell, one.error) for cell, one in enumerate(found.outcomes) if one.error]
    if failed:
        click.echo(f"\n{len(failed):,} cells without a result; the first: cell {failed[0][0]}: {failed[0][1]}")
    click.echo(f"\ntrials  {entered:,} new ones in the ledger\nwritten {folder}")
