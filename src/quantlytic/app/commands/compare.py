"""`quantlytic compare`: runs side by side."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from quantlytic.model.errors import InputError

if TYPE_CHECKING:
    from quantlytic.research.runs.compare import Comparison


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN RUN...")
@click.option("-o", "--report", type=click.Path(path_type=Path), help="Write the HTML page to this file.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(runs: tuple[str, ...], report: Path | None, as_json: bool) -> None:
    """Lay back-tests side by side: figures, equity, correlation, and what differs in their manifests.

    A RUN is an id that `quantlytic runs` lists, the beginning of one, `last` (`last~1` is the one before), or a run's folder.
    """
    from quantlytic.research.runs.compare import compare
    from quantlytic.store.home import home_folder

    home = home_folder()
    found = compare([folder_of(home, name) for name in runs])
    path = report
    if path is None and not as_json:
        path = home / "comparisons" / ("-".join(run.run_id.removeprefix("bt-") for run in found.runs)[:100] + ".html")
        path.parent.mkdir(parents=True, exist_ok=True)
    if path is not None:
        from quantlytic.research.pages.comparepage import write_comparison

        write_comparison(found, path)
    if as_json:
        click.echo(json.dumps(found.to_dict(), allow_nan=False))
    else:
        _print(found, path)


def folder_of(home: Path, name: str) -> Path:
    """The folder of a run. InputError for a name that none has, or that several begin with."""
    if (Path(name) / "summary.json").is_file():
        return Path(name)
    runs = home / "runs"
    if before := re.fullmatch(r"last(?:~(\d{1,6}))?", name):
        by_age = sorted(runs.glob("bt-*/summary.json"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
        if len(by_age) <= int(before[1] or 0):
            raise InputError(f"there are {len(by_age)} back-tests in {home}: none is {name}")
        return by_age[int(before[1] or 0)].parent
    if (runs / name / "summary.json").is_file():
        return runs / name
    found = sorted(
        path.name for path in runs.glob("bt-*") if path.name.removeprefix("bt-").startswith(name.removeprefix("bt-"))
    )
    if len(found) > 1:
        raise InputError(f"{name!r} could be {', '.join(found[:6])}: write more of it")
    if not found:
        raise InputError(f"there is no back-test {name!r} in {home}: see `quantlytic runs --mode backtest`")
    return runs / found[0]


def _print(found: Comparison, path: Path | None) -> None:
    from rich.table import Table

    from quantlytic.app.console import print_table
    from quantlytic.research.text import figure

    table = Table("", *(f"{run.run_id}\n{run.label}" for run in found.runs), box=None)
    for column in table.columns[1:]:
        column.justify = "right"
    for name, values in found.figures.items():
        if any(value is not None for value in values):
            table.add_row(name.removesuffix("_ns").replace("_", " "), *(figure(name, value) for value in values))
    for run in found.runs:
        verdict = (run.summary.get("verdict") or {}).get("sentence")
        click.echo(f"{run.run_id}  {run.label}" + (f": {verdict}" if verdict else ""))
    click.echo("")
    print_table(table)
    differences = found.differences
    click.echo("\nwhat differs" if differences else "\nnothing differs in what they were made of")
    for name, values in differences.items():
        click.echo(f"  {name}: {' | '.join(_short(value) for value in values)}")
    if not found.is_same_data:
        click.echo("\nThey ran on different data: figures are not alike by their names alone.")
    click.echo(f"\npage  {path}" if path else "")


def _short(value: Any) -> str:
    text = ", ".join(map(str, value)) or "–" if isinstance(value, list) else str(value)
    return text if len(text) <= 60 else text[:60] + "..."
