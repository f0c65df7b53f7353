"""`quantlytic data`: list, check, import, export and rebuild what was recorded."""

from __future__ import annotations

import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from quantlytic.app.commands.databars import command as bars
from quantlytic.app.commands.datademo import command as demo
from quantlytic.app.commands.quality import command as quality
from quantlytic.model.errors import InputError, MismatchError
from quantlytic.model.time import duration_ns, iso

if TYPE_CHECKING:
    from quantlytic.store.lake import Lake
    from quantlytic.store.lake.completeness import StreamReport
    from quantlytic.store.lake.inventory import Holding

_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def _ns(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    """A time on the command line, ISO 8601, taken as UTC without a zone, to ns since 1970."""
    if value is None:
        return None
    try:
        time = datetime.fromisoformat(value)
    except ValueError:
        raise click.BadParameter(f"{value!r} is no time: write 2026-11-21 or 2026-11-21T12:00:00", ctx, param) from None
    since = (time if time.tzinfo else time.replace(tzinfo=UTC)) - datetime(1970, 1, 1, tzinfo=UTC)
    return ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1_000


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """List, check, import, export and rebuild recorded data. Times are UTC."""


command.add_command(bars)
command.add_command(demo)
command.add_command(quality)


# ---- list


@command.command("list")
@_as_json
def list_(as_json: bool) -> None:
    """What there is: raw objects by venue, and tables; rows, size, range, instruments."""
    from quantlytic.store.lake.inventory import inventory

    lake = _lake()
    holdings = [] if lake is None else inventory(lake)
    if as_json:
        rows = [msgspec.to_builtins(one) | {"first": _shown(one.first), "last": _shown(one.last)} for one in holdings]
        click.echo(json.dumps(rows, indent=2))
    elif not holdings:
        click.echo(f"nothing recorded in {_home()} yet")
    else:
        _print_holdings(holdings)


def _print_holdings(holdings: list[Holding]) -> None:
    from rich.table import Table

    from quantlytic.app.console import print_table

    table = Table("table", "venues", "instruments", box=None)
    for name in ("rows", "MB", "files"):
        table.add_column(name, justify="right")
    for name in ("first", "last"):
        table.add_column(name, no_wrap=True)
    for one in holdings:
        names = list(dict.fromkeys(name.partition(":")[2] for name in one.instruments))  # one symbol, several venues
        shown = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
        span = ((_shown(time) or "")[:19] for time in (one.first, one.last))
        size = f"{one.bytes / 1e6:,.1f}"
        table.add_row(one.table, ", ".join(one.venues), shown, f"{one.rows:,}", size, f"{one.files:,}", *span)
    print_table(table)


# ---- check


@command.command()
@_as_json
@click.option("--strict", is_flag=True, help="Exit with 6 when a stream has gaps or duplicates.")
def check(as_json: bool, strict: bool) -> None:
    """The completeness ledger: what each stream has, and what it lacks.

    Exit code 0, whatever it finds; with --strict 6 when there are gaps or duplicates.
    """
    from quantlytic.store.lake.completeness import check as check_lake

    lake = _lake()
    reports = [] if lake is None else check_lake(lake)
    if as_json:
        click.echo(json.dumps([_report_row(report) for report in reports], indent=2))
    elif not reports:
        click.echo(f"no market data recorded in {_home()} yet")
    else:
        _print_reports(reports)
    unclean = [f"{report.instrument} {report.kind}" for report in reports if not report.is_clean]
    if strict and unclean:
        raise MismatchError(f"{len(unclean)} of {len(reports)} streams have gaps or duplicates: {', '.join(unclean)}")


def _report_row(report: StreamReport) -> dict[str, Any]:
    row: dict[str, Any] = msgspec.to_builtins(report)
    stream = f"{report.instrument}/{report.kind}" + (f"/{report.size}" if report.size else "")
    times = {"first": iso(report.first_ns), "last": iso(report.last_ns)}
    return {"stream": stream} | row | times


def _print_reports(reports: list[StreamReport]) -> None:
    from rich.table import Table

    from quantlytic.app.console import print_table

    always = ("rows", "gaps", "duplicates", "late")
    others = ("missing", "unexplained", "backfilled", "dropped", "invalid", "reconnects", "missing_bars")
    rows = [_report_row(report) for report in reports]
    counts = (*always, *(name for name in others if any(row[name] for row in rows)))
    table = Table(box=None)
    for name in ("stream", "first", "last"):
        table.add_column(name, no_wrap=True)
    for name in counts:
        table.add_column(name.replace("_", " "), justify="right")
    for report, row in zip(reports, rows, strict=True):
        numbers = [f"{row[name]:,}" if row[name] else "-" for name in counts]
        style = "" if report.is_clean else "yellow"
        table.add_row(row["stream"], row["first"][:19], row["last"][:19], *numbers, style=style)
    print_table(table)


# ---- import and export


@command.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--venue", default="file", show_default=True, help="The venue the data is of.")
@click.option("--symbol", help="Take this symbol; or name the instrument of a file without the column `symbol`.")
@click.option("--kind", type=click.Choice(["bars", "trades"]), default="bars", show_default=True)
@click.option("--size", help="The bars' size, such as 15m; without it the most frequent step.")
@_as_json
def import_(file: Path, venue: str, symbol: str | None, kind: str, size: str | None, as_json: bool) -> None:
    """Take a CSV or Parquet FILE of bars or trades into the lake; what is there already is skipped.

    Bars: columns ts, open, high, low, close, volume; trades: ts, price, quantity, side. Both may have symbol; trades
    may have trade_id. Nothing is taken from a file that has an error in it.
    """
    from quantlytic.store.lake.importer import import_bars, import_trades

    if size is not None and kind == "trades":
        raise InputError("--size is for bars: trades have none")
    size_ns = None if size is None else duration_ns(size)
    lake = _new_lake()
    done = (
        import_bars(lake, file, venue, symbol, size_ns) if kind == "bars" else import_trades(lake, file, venue, symbol)
    )
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(done)))
    else:
        skipped = f", {done.skipped:,} were there already" if done.skipped else ""
        click.echo(f"{done.file}: {done.added:,} {kind} added{skipped} ({', '.join(done.instruments)})")


@command.command()
@click.option("--table", required=True, help="A table's name, as `data list` gives it.")
@click.option("--instrument", help="Such as binance:BTCUSDT.")
@click.option("--size", help="Of bars: only this size, such as 1m.")
@click.option("--start", metavar="TIME", callback=_ns, help="From this time on.")
@click.option("--end", metavar="TIME", callback=_ns, help="Before this time.")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="A .parquet or .csv file.")
@_as_json
def export(
    table: str,
    instrument: str | None,
    size: str | None,
    start: int | None,
    end: int | None,
    output: Path,
    as_json: bool,
) -> None:
    """Write rows of a table to a file. Bars and trades come out as `import` takes them."""
    from quantlytic.store.lake.exporter import export as export_rows

    if size is not None and table != "bars":
        raise InputError(f"--size is for bars: {table} have none")
    size_ns = None if size is None else duration_ns(size)
    span = {"start_ns": start, "end_ns": end}
    rows = export_rows(_lake_or_fail(), table, output, instrument=instrument, size_ns=size_ns, **span)
    if as_json:
        click.echo(json.dumps({"table": table, "rows": rows, "file": str(output)}))
    else:
        click.echo(f"{output}: {rows:,} rows of {table}")


# ---- rebuild


@command.command()
@click.option("--venue", help="Only this venue; without it all that were recorded.")
@click.option(
    "--into", type=click.Path(path_type=Path), help="Write the tables to this new folder; leave the lake alone."
)
@click.option("--verify", is_flag=True, help="Only compare with the tables there are; exit with 6 when they differ.")
@_as_json
def rebuild(venue: str | None, into: Path | None, verify: bool, as_json: bool) -> None:
    """Make trades, quotes, book and ledger anew from the raw messages, and put them in the place of the old.

    Reports how many rows differ from those recorded; 0 is expected. Stop the archiver first: raw messages and tables
    must have come equally far. Each table changes in one step; rows that were imported stay.
    """
    lake = _lake_or_fail()
    venues = [venue] if venue is not None else lake.raw.venues()
    if not venues or not set(venues) <= set(lake.raw.venues()):
        raise InputError(f"no raw messages {f'of {venue} ' if venue else ''}in {_home()}: nothing to rebuild from")
    if into is not None and into.exists() and any(into.iterdir()):
        raise InputError(f"{into} is not empty: name a new folder")
    results = []
    with tempfile.TemporaryDirectory(prefix="quantlytic-rebuild-") as scratch:
        for one in venues:
            results.append(_rebuild(lake, one, into or Path(scratch) / one, replace=into is None and not verify))
    if as_json:
        click.echo(json.dumps(results, indent=2))
    else:
        _print_rebuilt(results)
    differences = sum(table["differences"] for result in results for table in result["tables"])
    if verify and differences:
        raise MismatchError(f"{differences} rows differ between the tables and what the raw messages give")


def _rebuild(lake: Lake, venue: str, folder: Path, replace: bool) -> dict[str, Any]:
    from quantlytic.services import rebuild as rebuilder
    from quantlytic.store.lake import Lake
    from quantlytic.venues.normalisers import normaliser_of

    fresh = Lake(folder)
    frames = rebuilder.rebuild(lake, venue, normaliser_of(venue), fresh)
    tables = rebuilder.compare(lake, fresh, venue)
    if replace and any(table.differences for table in tables):
        rebuilder.replace(lake, fresh, venue)
    return {"venue": venue, "frames": frames, "tables": [msgspec.to_builtins(table) for table in tables]}


def _print_rebuilt(results: list[dict[str, Any]]) -> None:
    for result in results:
        click.echo(f"{result['venue']}: {result['frames']:,} raw messages")
        for table in result["tables"]:
            counts = f"{table['rebuilt']:>12,} rebuilt {table['recorded']:>12,} recorded"
            click.echo(f"  {table['table']:<8}{counts} {table['differences']:>8,} differ")


# ---- where


def _home() -> Path:
    from quantlytic.app.config import load_settings

    return load_settings().home


def _lake() -> Lake | None:
    """The lake, if there is one: looking makes nothing."""
    return _new_lake() if (_home() / "lake").is_dir() else None


def _lake_or_fail() -> Lake:
    lake = _lake()
    if lake is None:
        raise InputError(f"nothing recorded in {_home()} yet: name another folder by QUANTLYTIC_HOME")
    return lake


def _new_lake() -> Lake:
    from quantlytic.store.lake import Lake

    return Lake(_home() / "lake")


def _shown(time: str | int | None) -> str | None:
    return iso(time) if isinstance(time, int) else time
