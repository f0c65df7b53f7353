"""`quantlytic train`: from a spec to models in the registry."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from quantlytic.model.errors import InputError
from quantlytic.model.time import iso

if TYPE_CHECKING:
    from quantlytic.learn.training.backtest import TrainedBacktest
    from quantlytic.learn.training.spec import TrainSpec
    from quantlytic.learn.training.train import Trained

_PLAIN_BARS = 10_000  # so few are run in plain Python before machine code is even loaded; the answer is the same


@click.command()
@click.argument("spec", type=click.Path(path_type=Path))
@click.option(
    "--jobs", type=click.IntRange(1), default=1, show_default=True, help="Processes that try settings at once."
)
@click.option("--dask", default="", metavar="ADDRESS", help="Try settings on this Dask cluster (tcp://host:8786).")
@click.option(
    "--costs", type=click.FloatRange(0.0), default=10.0, show_default=True, metavar="BPS",
    help="What a fill costs in the back-test of the forecasts.",
)  # fmt: skip
@click.option("--fresh", is_flag=True, help="Read all of the lake, though a search of less was stopped.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a model, a line each.")
def command(spec: Path, jobs: int, dask: str, costs: float, fresh: bool, as_json: bool) -> None:
    """Train the models of SPEC, a TOML file (see docs/learning.md).

    Settings are searched, each fold is forecast by a model that has not seen it, a last model learns from all rows, and its
    exported file must answer as it does. It is then kept in the lake under models/; `quantlytic models` promotes it. The report
    says what trading on the forecasts would have earned after costs, and whether that is luck. Ctrl-C keeps the trials that
    were finished: the same command goes on from there, over the same data. How many jobs there are changes no result.
    """
    from quantlytic.learn.training.spec import read_spec
    from quantlytic.learn.training.specplace import placed

    wanted = read_spec(spec)
    with _Progress(shown=not as_json) as progress:
        try:
            _train(wanted, spec.parent, jobs, dask, costs, fresh, as_json, progress)
        except KeyboardInterrupt:
            progress.pause()
            click.echo(progress.stopped, err=True)
            sys.exit(130)
        except InputError as error:
            told = placed(str(error), spec.read_text("utf-8"))
            raise InputError(str(error) if told == str(error) else f"{spec}: {told}") from None


def _train(
    wanted: TrainSpec, folder: Path, jobs: int, dask: str, costs: float, fresh: bool, as_json: bool, progress: _Progress
) -> None:
    from quantlytic.learn.pages.trainpage import write_train_page
    from quantlytic.learn.registry.registry import Registry
    from quantlytic.learn.training.backtest import trained_backtest
    from quantlytic.learn.training.dataend import DataEnd
    from quantlytic.learn.training.train import train
    from quantlytic.store.home import home_folder

    home, now_ns = home_folder(), time.time_ns()
    registry = Registry(home / "lake")
    if not fresh and (end_ns := DataEnd(wanted, home).read(now_ns)) is not None:
        click.echo(
            f"goes on with a search of the bars up to {iso(end_ns - 1)[:19]}; --fresh takes those since, too", err=True
        )
    for one in train(
        wanted, folder=folder, home=home, registry=registry, now_ns=now_ns, jobs=jobs, dask=dask,
        told=progress, fresh=fresh,
    ):  # fmt: skip
        page = home / "trained" / one.manifest.model_id[:12] / "report.html"
        page.parent.mkdir(parents=True, exist_ok=True)
        compiled = len(one.bars) > _PLAIN_BARS
        traded = trained_backtest(one, costs, home=home, now_ns=time.time_ns(), compiled=compiled)
        write_train_page(one, page, traded, counted=True)
        progress.pause()
        if as_json:
            click.echo(json.dumps(_summary(one, traded, page), allow_nan=False))
        else:
            _print(one, traded, page)


def _summary(one: Trained, traded: TrainedBacktest | None, page: Path) -> dict[str, Any]:
    """What a script wants to know."""
    manifest = one.manifest
    return {
        "model_id": manifest.model_id,
        "line": manifest.line,
        "kind": manifest.kind,
        "rows": manifest.data.rows,
        "dropped": manifest.data.dropped,
        "trials": len(one.trials),
        "pruned": sum(1 for trial in one.trials if trial.pruned),
        "params": manifest.params,
        "scores": manifest.scores,
        "progressive": one.progressive,
        "backtest": None if traded is None else traded.summary,
        "kept": one.gate is not None,
        "why_not": one.not_kept,
        "gate": None if one.gate is None else one.gate._asdict(),
        "report": str(page),
    }


def _print(one: Trained, traded: TrainedBacktest | None, page: Path) -> None:
    manifest, gate = one.manifest, one.gate
    pruned = sum(1 for trial in one.trials if trial.pruned)
    click.echo(f"\n{manifest.line}: {manifest.kind} {manifest.model_id[:12]}")
    click.echo(f"rows    {manifest.data.rows:,}; {manifest.data.dropped:,} bars without a feature or a label left out")
    if one.trials:
        click.echo(f"trials  {len(one.trials)}, {pruned} given up early")
    click.echo(f"scores  {_words(manifest.scores)}   (out of sample)")
    if one.progressive is not None:
        click.echo(f"online  {_words(one.progressive)}   (going on learning as labels come to be known)")
    if traded is not None:
        click.echo(f"traded  {traded.verdict.sentence}")
    if gate is None:
        click.echo(f"report  {page}")
        click.echo(f"not kept: {one.not_kept}")
        return
    on = f", {gate.on_thresholds:,} of them on thresholds" if gate.on_thresholds else ""
    click.echo(f"gate    {gate.rows:,} rows{on}; the file answers as the model, {gate.worst:.1g} apart at most")
    click.echo(f"report  {page}")
    click.echo(f"promote quantlytic models promote {manifest.model_id[:12]} {manifest.line}/champion --reason ...")


def _words(scores: dict[str, float | None]) -> str:
    return "   ".join(f"{name} {'-' if value is None else format(value, '.4g')}" for name, value in scores.items())


class _Progress:
    """Trials done, on the error stream of a terminal; nothing elsewhere."""

    def __init__(self, shown: bool) -> None:
        self._shown = shown
        self._bar: Any = None
        self._tasks: dict[str, Any] = {}
        self._last = ("", 0, 0)

    @property
    def stopped(self) -> str:
        """What is left when it is stopped now."""
        line, done, of = self._last
        if not of:
            return "stopped before the search; trials that were finished before are kept, the same command goes on"
        return f"stopped; {done} of {of} trials of {line} are kept, the same command goes on"

    def __enter__(self) -> _Progress:
        return self

    def __call__(self, line: str, done: int, of: int) -> None:
        self._last = (line, done, of)
        if not self._shown or not of:
            return
        if self._bar is None:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            console = Console(stderr=True)
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            self._bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
            self._bar.start()
        if line not in self._tasks:
            self._tasks[line] = self._bar.add_task(line, total=of)
        self._bar.update(self._tasks[line], completed=done)

    def pause(self) -> None:
        """Make place for what is printed."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
            self._tasks.clear()

    def __exit__(self, *_error: object) -> None:
        self.pause()
