"""`quantlytic backtest`: run a strategy over history and report."""

from __future__ import annotations

import importlib
import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from quantlytic.model.errors import InputError

if TYPE_CHECKING:
    from quantlytic.research.run import Result

_SPARKS = "▁▂▃▄▅▆▇█"
_SPARK_WIDTH = 60


@click.command()
@click.argument("strategy")
@click.option("--data", type=click.Path(path_type=Path), required=True, help="Bars: a CSV (also .gz) or Parquet file.")
@click.option("--symbol", help="One symbol of the file; all of them without it.")
@click.option("-p", "params", multiple=True, metavar="NAME=VALUE", help="A parameter of the strategy; may be repeated.")
@click.option(
    "--cash", type=float, default=1_000_000.0, show_default=True, help="Cash at the start, in quote currency."
)
@click.option("--fee-bps", type=float, default=10.0, show_default=True, help="Fee of every fill, in basis points.")
@click.option("--allow-short", is_flag=True, help="Let the strategy sell what it does not hold.")
@click.option("--bar-size", help="Size of a bar, such as 15m; without it, the most frequent step.")
@click.option("--report", type=click.Path(path_type=Path), help="Write the HTML report to this file.")
@click.option("--debug", is_flag=True, help="Run in plain Python, where breakpoints work; same results, much slower.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    strategy: str,
    data: Path,
    symbol: str | None,
    params: tuple[str, ...],
    cash: float,
    fee_bps: float,
    allow_short: bool,
    bar_size: str | None,
    report: Path | None,
    debug: bool,
    as_json: bool,
) -> None:
    """Run STRATEGY over history and report.

    STRATEGY is a built-in one (sma-cross) or path/to/file.py:ClassName. The run is kept in the data folder, under
    runs/RUN_ID, and listed by `quantlytic runs`.
    """
    from quantlytic.app.home import home_folder
    from quantlytic.engine.fees import Fees
    from quantlytic.research.history import load_bars
    from quantlytic.strategies.catalogue import find

    home = home_folder()
    chosen = find(strategy)(**parse_params(params))
    fees = Fees(taker_bps=fee_bps)
    with ThreadPoolExecutor(1) as pool:  # the file is read while the compiler is imported
        loading = pool.submit(load_bars, data, symbol, bar_size)
        if not debug:
            importlib.import_module("quantlytic.engine.jit")
        from quantlytic.research.run import backtest
        from quantlytic.research.runfolder import save_run

        bars = loading.result()
    result = backtest(chosen, bars, cash, fees, compiled=not debug, allow_short=allow_short, name=strategy)
    folder = save_run(result, home, time.time_ns())
    written = result.plot(report) if report is not None else None if as_json else result.plot(folder / "report.html")
    if as_json:
        click.echo(json.dumps(result.summary(), allow_nan=False))
    else:
        _print(result, written)


def parse_params(params: tuple[str, ...]) -> dict[str, int | float | bool]:
    """`("fast=50", "weight=0.5")` to a dict. Raises InputError for what is not NAME=NUMBER, and for a name given twice."""
    found: dict[str, int | float | bool] = {}
    for text in params:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not equals or not name:
            raise InputError(f"-p {text}: write a parameter as NAME=VALUE, such as -p fast=50")
        if name in found:
            raise InputError(f"-p {text}: {name} was given already")
        found[name] = _value(name, value)
    return found


def _value(name: str, text: str) -> int | float | bool:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    raise InputError(f"-p {name}={text}: {text!r} is neither a number nor true or false")


def _print(result: Result, report: Path | None) -> None:
    """The run for people: the curve, the figures that matter, where the report is."""
    from rich.table import Table

    from quantlytic.app.console import print_table
    from quantlytic.research import text

    summary = result.summary()
    names = ", ".join(one.symbol or one.id for one in result.bars.instruments)
    params = " ".join(f"{name}={value}" for name, value in summary["params"].items())
    click.echo(f"\n{summary['strategy']} {params}  on {names}")
    click.echo(
        f"{summary['start'][:16]} to {summary['end'][:16]} UTC, {summary['bars']:,} bars, {summary['holes']:,} missing\n"
    )
    click.echo(f"equity  {sparkline(result.equity.tolist())}\n")
    rows: list[tuple[str, str, str, str]] = [
        ("final equity", text.money(summary["final_equity"]), "round trips", f"{summary['round_trips']:,}"),
        ("total return", text.percent(summary["total_return"], sign=True), "fills", f"{summary['fills']:,}"),
        ("return a year", text.percent(summary["cagr"], sign=True), "win rate", text.percent(summary["win_rate"])),
        ("sharpe", text.ratio(summary["sharpe"]), "profit factor", text.ratio(summary["profit_factor"])),
        ("sortino", text.ratio(summary["sortino"]), "average trade", text.money(summary["avg_trade"])),
        ("max drawdown", text.percent(summary["max_drawdown"]), "fees paid", text.money(summary["fees_paid"])),
        ("volatility", text.percent(summary["volatility"]), "exposure", text.percent(summary["exposure"])),
    ]
    table = Table(box=None, show_header=False, pad_edge=False)
    for justify in ("left", "right", "left", "right"):
        table.add_column(justify=justify, style="dim" if justify == "left" else "")
    for row in rows:
        table.add_row(*row)
    print_table(table)
    if result.rejections:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in result.rejections.items())
        click.echo(f"\norders rejected: {summary['rejected']:,} ({reasons})")
    click.echo(f"\nrun     {summary['run_id']}  ({summary['mode']}, {summary['elapsed_s'] * 1e3:,.0f} ms)")
    click.echo(f"report  {report}" if report else "")


def sparkline(values: list[float], width: int = _SPARK_WIDTH) -> str:
    """A curve in one line of text; each character is the last value of its stretch."""
    count = min(width, len(values))
    picked: list[Any] = [values[(at + 1) * len(values) // count - 1] for at in range(count)]
    low, high = min(picked), max(picked)
    span = (high - low) or 1.0
    return "".join(_SPARKS[int((value - low) / span * (len(_SPARKS) - 1) + 0.5)] for value in picked)
