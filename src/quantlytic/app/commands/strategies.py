"""`quantlytic strategies`: the built-in strategies, what each is about, and its parameters."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from quantlytic.engine.param import Param
    from quantlytic.strategies.catalogue import Entry


@click.command()
@click.argument("name", required=False)
@click.option("--family", help="Only one family, such as trend or reversion.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
def command(name: str | None, family: str | None, as_json: bool) -> None:
    """List the built-in strategies, or tell all about one: its idea, its source, its parameters and their ranges.

    NAME is what `backtest`, `sweep` and `walkforward` call it by; path/to/file.py:ClassName describes one of your own.
    """
    from quantlytic.model.errors import InputError
    from quantlytic.strategies.catalogue import BUILT_IN, describe, entries

    families = list(dict.fromkeys(BUILT_IN.values()))
    if family is not None and family not in families:
        raise InputError(f"no family {family!r}: there are {', '.join(families)}")
    found = [describe(name)] if name is not None else entries()
    found = [entry for entry in found if family in (None, entry.family)]
    if as_json:
        click.echo(json.dumps([_row(entry) for entry in found], indent=2))
    elif name is not None:
        _print_one(found)
    else:
        _print_all(found)


def _row(entry: Entry) -> dict[str, Any]:
    params = [
        {"name": name, "kind": spec.kind.__name__, "default": spec.default, "low": spec.low, "high": spec.high}
        for name, spec in entry.params.items()
    ]
    return {
        "name": entry.name,
        "family": entry.family,
        "needs": entry.needs,
        "idea": entry.idea,
        "source": entry.source,
        "params": params,
    }


def _print_all(found: list[Entry]) -> None:
    from rich.table import Table

    from quantlytic.app.console import print_table

    table = Table("name", "family", "needs", "idea", box=None, pad_edge=False)
    for entry in found:
        table.add_row(entry.name, entry.family, entry.needs, entry.idea.partition(". ")[0].rstrip(".") + ".")
    print_table(table)
    click.echo("\n`quantlytic strategies NAME` tells all about one.")


def _print_one(found: list[Entry]) -> None:
    from rich.table import Table

    from quantlytic.app.console import print_table

    for entry in found:
        click.echo(f"{entry.name}  ({', '.join(part for part in (entry.family, entry.needs) if part)})\n")
        click.echo(click.wrap_text(entry.idea, 100))
        if entry.source:
            click.echo("\n" + click.wrap_text(f"Source: {entry.source}", 100))
        table = Table("parameter", "kind", "default", "range", box=None, pad_edge=False)
        for name, spec in entry.params.items():
            table.add_row(name, spec.kind.__name__, str(spec.default).lower(), _range(spec))
        click.echo()
        print_table(table)


def _range(spec: Param) -> str:
    if spec.kind is bool:
        return "false, true"
    low, high = ("" if end is None else f"{end:g}" for end in (spec.low, spec.high))
    return f"{low} to {high}" if low and high else f"{low} or more" if low else f"{high} or less" if high else "any"
