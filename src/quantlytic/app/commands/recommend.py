"""`quantlytic recommend`: which strategy suits which instrument, or none, and how sure that is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from quantlytic.app.options import check_options, market_of, span_options, trading_options
from quantlytic.model.errors import InputError

if TYPE_CHECKING:
    from quantlytic.engine.data.bars import Bars
    from quantlytic.research.advice.finding import Finding
    from quantlytic.research.advice.recommendation import Recommendation

_INTERRUPTED = 130
_TOP = 3
_COLUMNS = (
    "instrument", "answer", "strategy", "sharpe", "a year", "drawdown", "trades", "stretches", "deflated", "why not",
)  # fmt: skip
_WORDS = ("instrument", "answer", "strategy", "why not")


@click.command()
@click.argument("symbols", nargs=-1, metavar="SYMBOL...")
@click.option("--data", required=True, metavar="FILE|lake", help="A file of bars, or what was recorded.")
@click.option("--size", metavar="SIZE", help="Size of a bar, such as 1h; needed for the lake.")
@span_options
@click.option(
    "--strategy", "strategies", multiple=True, metavar="NAME",
    help="Try this one, a built-in or path/to/file.py:Class. May be repeated; without it, the whole catalogue.",
)  # fmt: skip
@click.option("--folds", type=int, default=6, show_default=True, help="Stretches out of sample.")
@click.option("--draws", type=int, default=16, show_default=True, help="Parameter sets to try before each stretch.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the draws.")
@trading_options
@check_options
@click.option("--jobs", type=int, metavar="N", help="Cores to use; all of them without it.")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="Where the page and the tables go.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(symbols: tuple[str, ...], data: str, out: Path | None, as_json: bool, **given: Any) -> None:
    """Say which strategy suits each SYMBOL, or that none does.

    Every strategy of the catalogue is walked forward over each instrument, with costs; every trial is counted. Without a
    SYMBOL all instruments of the file are taken. Written into DIR, by default recommendations/QUESTION in the data folder:
    recommend.html, recommend.json, strategies.csv and manifest.json. Ctrl-C keeps the instruments that were finished; the
    same command goes on with the others.
    """
    from quantlytic.research.advice.recommend import recommend
    from quantlytic.research.advice.recommendfolder import save_recommendation
    from quantlytic.store.home import home_folder

    home = home_folder()
    bars = _load(home, symbols, data, given["size"], (given["start"], given["end"]))
    options = ("folds", "draws", "seed", "cash", "allow_gaps", "allow_splits", "calendar", "jobs")
    shelf = home / "recommendations"
    with _Progress(shown=not as_json, instruments=len(bars)) as progress:
        found = recommend(
            bars,
            strategies=given["strategies"] or None,
            market=market_of(**given),
            progress=progress,
            home=home,
            keep=shelf if out is None else out,
            **{name: given[name] for name in options},
        )
    folder = save_recommendation(found, shelf / found.manifest["question"] if out is None else out)
    if as_json:
        click.echo(json.dumps(found.summary() | {"folder": str(folder)}, allow_nan=False))
    else:
        _print(found, folder)
    if found.interrupted:
        raise SystemExit(_INTERRUPTED)


def _load(home: Path, symbols: tuple[str, ...], data: str, size: str | None, span: tuple[Any, Any]) -> dict[str, Bars]:
    """Bars by symbol."""
    from quantlytic.research.advice.recommend import by_symbol
    from quantlytic.research.data.history import lake, load_bars

    if len(set(symbols)) < len(symbols):
        raise InputError("a symbol is named twice")
    if data == "lake":
        if not symbols or size is None:
            raise InputError("--data lake needs VENUE:SYMBOL... and --size: see `quantlytic data list`")
        recorded = lake(home / "lake")
        return {symbol: recorded.bars(symbol, size, *span) for symbol in symbols}
    if not symbols:
        return by_symbol(load_bars(data, None, size, *span))
    return {symbol: load_bars(data, symbol, size, *span) for symbol in symbols}


class _Progress:
    """Instruments and strategies done, on the error stream of a terminal; nothing elsewhere."""

    def __init__(self, shown: bool, instruments: int) -> None:
        self._shown, self._instruments = shown, instruments
        self._seen: list[str] = []
        self._bar: Any = None

    def __enter__(self) -> _Progress:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        console = Console(stderr=True)
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[what]}"),
            TimeElapsedColumn(),
        )
        self._bar = Progress(
            *columns, console=console, transient=True, disable=not (self._shown and console.is_terminal)
        )
        self._bar.start()
        self._task = self._bar.add_task("compiling", total=None, what="")
        return self

    def __call__(self, symbol: str, done: int, of: int) -> None:
        if symbol not in self._seen:
            self._seen.append(symbol)
        number = len(self._seen)
        what = f"instrument {number} of {self._instruments}, {done} of {of} strategies"
        self._bar.update(
            self._task, description=symbol, total=of * self._instruments, completed=of * (number - 1) + done, what=what
        )

    def __exit__(self, *_error: object) -> None:
        self._bar.stop()


def _print(found: Recommendation, folder: Path) -> None:
    from rich.table import Table

    from quantlytic.app.console import print_table
    from quantlytic.research import text

    click.echo(f"\n{found.sentence}\n")
    for finding in found.findings:
        click.echo(finding.sentence)
    table = Table(box=None, pad_edge=False)
    for name in _COLUMNS:
        table.add_column(name, justify="left" if name in _WORDS else "right")
    for finding in found.findings:
        for row in _rows(finding):
            table.add_row(*row)
    click.echo("")
    print_table(table)
    if found.interrupted:
        click.echo("\ninterrupted: the same command goes on")
    kept = f" ({found.resumed} kept from before)" if found.resumed else ""
    trials, took = sum(one.trials for one in found.findings), text.duration(int(found.elapsed_s * 1e9))
    click.echo(f"\ndone    {len(found.findings)} instruments{kept}, {trials:,} trials, in {took}")
    click.echo(f"page    {folder / 'recommend.html'}")


def _rows(finding: Finding) -> list[list[str]]:
    """The best strategies and holding."""
    from quantlytic.research import text
    from quantlytic.research.advice.recommendtext import DOUBTS, sharpe, short_chance

    shown = list(finding.tested[:_TOP])
    if finding.tested and finding.best not in shown:
        shown.append(finding.best)
    rows = [
        [
            finding.symbol if place == 0 else "", (finding.strategy or "none") if place == 0 else "", one.strategy,
            sharpe(one), text.percent(one.cagr, sign=True), text.percent(one.max_drawdown),
            f"{one.round_trips:,}", f"{one.earned}/{len(one.stretches)}", short_chance(one.dsr),
            DOUBTS[one.doubt] if one.doubt else "",
        ]
        for place, one in enumerate(shown)
    ]  # fmt: skip
    hold = finding.hold
    rows.append(
        [
            "",
            "",
            "buy and hold",
            sharpe(hold),
            text.percent(hold.cagr, sign=True),
            text.percent(hold.max_drawdown),
        ]
        + [""] * 4
    )
    return rows
