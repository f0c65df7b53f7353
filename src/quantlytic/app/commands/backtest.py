"""`quantlytic backtest`: run a strategy over history and report."""

from __future__ import annotations

import importlib
import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from quantlytic.app.barsfile import LAKE, bars_of
from quantlytic.app.forecasts import forecasts_told, model_options, sentences, told_again, with_forecasts
from quantlytic.app.options import check_options, market_of, span_options, trading_options
from quantlytic.model.errors import InputError, MismatchError

if TYPE_CHECKING:
    from quantlytic.engine.data.bars import Bars
    from quantlytic.research.runs.run import Result

_SPARKS = "▁▂▃▄▅▆▇█"
_SPARK_WIDTH = 60


@click.command()
@click.argument("strategy", required=False)
@click.option("--data", type=click.Path(path_type=Path), help="Bars: a CSV (also .gz) or Parquet file.")
@LAKE
@click.option("--symbol", help="One symbol of the file, all of them without it; of the lake, VENUE:SYMBOL[,...].")
@span_options
@click.option(
    "-p", "--param", "params", multiple=True, metavar="NAME=VALUE", help="A parameter of the strategy; may be repeated."
)
@trading_options
@check_options
@model_options
@click.option(
    "--benchmark", metavar="FILE[:SYMBOL]", help="Bars to compare with; without it the same instruments, held."
)
@click.option("--bar-size", help="Size of a bar, such as 15m; without it, the most frequent step.")
@click.option("--report", type=click.Path(path_type=Path), help="Write the HTML report to this file.")
@click.option("--debug", is_flag=True, help="Run in plain Python, where breakpoints work; same results, much slower.")
@click.option(
    "--from-manifest", metavar="FILE|RUN", help="Do a run again, and say whether it is the same to the last bit."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(strategy: str | None, report: Path | None, debug: bool, as_json: bool, **given: Any) -> None:
    """Run STRATEGY over history and report.

    STRATEGY is a built-in one (sma-cross) or path/to/file.py:ClassName. The run is kept in the data folder, under
    runs/RUN_ID, and listed by `quantlytic runs`; its trial counts in the verdict on all others on the same data.
    """
    from quantlytic.store.home import home_folder

    home = home_folder()
    if given["from_manifest"] is not None:
        _reproduce(home, strategy, debug, report, as_json, **given)
        return
    if strategy is None:
        raise InputError("name a strategy: a built-in one such as sma-cross, or path/to/file.py:ClassName")
    from quantlytic.strategies.catalogue import find

    chosen = find(strategy)(**parse_params(given["params"]))
    market = market_of(**given)
    with ThreadPoolExecutor(1) as pool:  # the file is read while the compiler is imported
        loading = pool.submit(_load, home, **given)
        if not debug:
            importlib.import_module("quantlytic.engine.compiler.jit")
        from quantlytic.research.runs.failure import BacktestFailed
        from quantlytic.research.runs.run import backtest
        from quantlytic.research.runs.runfolder import save_failure, save_run

        bars, benchmark = loading.result()
    bars = with_forecasts(bars, type(chosen), strategy, home, chosen.params, **given)
    try:
        result = backtest(
            chosen,
            bars,
            given["cash"],
            market=market,
            compiled=not debug,
            benchmark=benchmark,
            name=strategy,
            **{name: given[name] for name in ("allow_gaps", "allow_splits", "calendar")},
        )
    except BacktestFailed as failure:
        save_failure(failure, home)
        raise
    folder, verdict = save_run(result, home, time.time_ns())
    path = report if report is not None else None if as_json else folder / "report.html"
    written = None if path is None else result.plot(path, verdict=verdict)
    if as_json:
        told = {"verdict": verdict.to_dict()} | forecasts_told(bars)
        click.echo(json.dumps(result.summary() | told, allow_nan=False))
    else:
        _print(result, written, verdict.sentence)


def _load(home: Path, **given: Any) -> tuple[Bars, Bars | None]:
    """The bars to run over, and those to compare with."""
    from quantlytic.research.data.history import load_bars

    if given["data"] is None and not given["lake"]:
        raise InputError("say where the bars are: --data FILE or --lake")
    bars = bars_of("backtest", home, None, **given)
    if given["benchmark"] is None:
        return bars, None
    path, _, name = given["benchmark"].rpartition(":")
    if not path or Path(given["benchmark"]).exists():
        return bars, load_bars(given["benchmark"])
    return bars, load_bars(path, name)


def _reproduce(home: Path, strategy: str | None, debug: bool, report: Path | None, as_json: bool, **given: Any) -> None:
    """Run it again from its manifest; MismatchError when anything that decides the result differs."""
    from quantlytic.app.commands.compare import folder_of
    from quantlytic.research.data.history import load_bars
    from quantlytic.research.runs.reproduce import named_bars, read_manifest, reproduce

    source = click.get_current_context().get_parameter_source
    fixed = (
        "params",
        "cash",
        "fee_bps",
        "slippage_bps",
        "market",
        "allow_short",
        "lake",
        "start",
        "end",
        "calendar",
        "benchmark",
        "model",
        "in_sample",
    )
    set_too = [name for name in fixed if source(name) is not click.core.ParameterSource.DEFAULT]
    if strategy is not None or set_too:
        raise InputError(
            f"--from-manifest does what the manifest says: leave out {strategy or '--' + set_too[0].replace('_', '-')}"
        )
    where = Path(given["from_manifest"])
    if not where.exists() and (home / "runs" / where).is_dir():
        where = home / "runs" / where
    elif not where.exists() and len(where.parts) == 1 and not where.suffix:  # as `compare` names them: last, last~1
        where = folder_of(home, where.name)
    bars = None if given["data"] is None else load_bars(given["data"], given["symbol"], given["bar_size"])
    manifest = read_manifest(where)
    if notes := (manifest["data"].get("source") or {}).get("forecasts"):
        bars = told_again(named_bars(manifest) if bars is None else bars, home, notes)
    done = reproduce(manifest, bars, compiled=False if debug else None)
    if report is not None:
        done.result.plot(report)
    if done.is_equal and as_json:
        told = {"reproduced": True, "run_id": done.result.run_id, "digest": done.result.digest, "notes": done.notes}
        click.echo(json.dumps(told))
    elif done.is_equal:
        click.echo(f"reproduced to the last bit: {done.result.run_id}, digest {done.result.digest}")
        for note in done.notes:
            click.echo(f"note: {note}")
    else:
        raise MismatchError(f"not reproduced: {'; '.join([*done.differences, *done.notes])}")


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


def _print(result: Result, report: Path | None, verdict: str) -> None:
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
    click.echo(f"{verdict}\n")
    if sizes := _sizes(summary):
        click.echo(f"{sizes}\n")
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
    for sentence in sentences(result.bars):
        click.echo("\n" + click.wrap_text(sentence, 100))
    if result.rejections:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in result.rejections.items())
        click.echo(f"\norders rejected: {summary['rejected']:,} ({reasons})")
    click.echo(f"\nrun     {summary['run_id']}  ({summary['mode']}, {summary['elapsed_s'] * 1e3:,.0f} ms)")
    click.echo(f"report  {report}" if report else "")


def _sizes(summary: dict[str, Any]) -> str:
    """What fills were of their bars' volume, where that is much; "" where it is little, or volumes are unknown."""
    from quantlytic.research import text
    from quantlytic.research.figures.participation import NOTABLE

    median, high = summary["participation_median"], summary["participation_95"]
    if median is None or high <= NOTABLE:
        return ""
    of = "" if median > 1.0 else "of "
    return f"fills: {text.multiple(median)} {of}their bar's volume at the median, {text.multiple(high)} at the 95 % quantile"


def sparkline(values: list[float], width: int = _SPARK_WIDTH) -> str:
    """A curve in one line of text; each character is the last value of its stretch."""
    count = min(width, len(values))
    picked: list[Any] = [values[(at + 1) * len(values) // count - 1] for at in range(count)]
    low, high = min(picked), max(picked)
    span = (high - low) or 1.0
    return "".join(_SPARKS[int((value - low) / span * (len(_SPARKS) - 1) + 0.5)] for value in picked)
