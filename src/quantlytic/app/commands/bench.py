"""`quantlytic bench`: measure this machine against the goals, peers in the same run."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import click

from quantlytic.model.errors import InputError

FOLDER = Path(__file__).resolve().parents[4] / "benchmarks"


@click.command()
@click.argument("names", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(names: tuple[str, ...], as_json: bool) -> None:
    """Measure engine, peers, sweep, plain, log, recorder, latency (or only NAMES); peers are measured in the same run.

    Peers (vectorbt, ccxt ...) are installed on demand into environments of their own, under `.cache/`.
    """
    available = {path.stem.removeprefix("bench_"): path for path in sorted(FOLDER.glob("bench_*.py"))}
    if not available:
        raise InputError(
            f"no benchmarks in {FOLDER}: they come with the source checkout, not with the installed package"
        )
    if unknown := [name for name in names if name not in available]:
        raise InputError(f"no benchmark named {unknown[0]!r}; there are: {', '.join(available)}")
    sys.path.insert(0, str(FOLDER))  # they share workloads
    results = {}
    for name in names or available:
        click.echo(f"measuring {name} ...", err=True)
        results[name] = _load(available[name]).measure()
        if not as_json:
            _print_table(name, results[name])
    if as_json:
        click.echo(json.dumps(results))


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _print_table(name: str, figures: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=name, title_justify="left")
    table.add_column("figure")
    table.add_column("value", justify="right")
    for key, value in _flat(figures):
        table.add_row(key, f"{value:,.4g}" if isinstance(value, float) else str(value))
    Console().print(table)


def _flat(figures: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for key, value in figures.items():
        rows += _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else [(prefix + key, value)]
    return rows
