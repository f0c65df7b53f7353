"""`quantlytic runs`: what was run, back-tests and paper, oldest first."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click
import msgspec

from quantlytic.model.time import duration_text, iso

if TYPE_CHECKING:
    from quantlytic.app.bootstrap import Bootstrap
    from quantlytic.store.control.records import RunRecord


@click.command()
@click.option("--mode", type=click.Choice(["backtest", "paper", "live"]), help="Only runs of this mode.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
def command(mode: str | None, as_json: bool) -> None:
    """List runs, oldest first.

    Status of a run of the services: running (a process is at it), ended, died (its strategy has raised:
    `quantlytic swap` gives it another one), not begun (no bar yet); of a backtest: finished or failed.
    """
    from quantlytic.app.bootstrap import Bootstrap
    from quantlytic.app.config import load_settings
    from quantlytic.store.control import open_control

    bootstrap = Bootstrap(load_settings())
    home = bootstrap.stores.home
    found: list[RunRecord] = []
    if (home / "control.db").exists():
        with open_control(home) as control:
            found = [_with_span(run, bootstrap) for run in control.runs.list(mode)]
    if as_json:
        click.echo(json.dumps([_row(run) for run in found], indent=2))
    elif not found:
        click.echo(f"no runs in {home} yet")
    else:
        _print(found)


def _with_span(run: RunRecord, bootstrap: Bootstrap) -> RunRecord:
    """A paper run goes on for as long as anybody wants it to: its times are those of the tape, and so is its strategy, where
    another one has taken over; whether anybody is at it is seen from outside."""
    from quantlytic.app.presence import Presence
    from quantlytic.app.runstate import state_of
    from quantlytic.app.span import span_of
    from quantlytic.research.runs.succession import as_it_is

    if run.mode == "backtest" or run.end_ns is not None:
        return run
    with bootstrap.stores.open_log() as log:
        start_ns, end_ns = span_of(log, run)
        now = as_it_is(run, log)
        status = state_of(run, log, bootstrap.settings, Presence(bootstrap.stores.home))
    return msgspec.structs.replace(
        run,
        start_ns=start_ns,
        end_ns=end_ns,
        status=status,
        strategy=now.strategy,
        params=now.params,
        code_hash=now.code_hash,
    )


def _row(run: RunRecord) -> dict[str, Any]:
    row: dict[str, Any] = msgspec.to_builtins(run)
    start_ns, end_ns = row.pop("start_ns"), row.pop("end_ns")
    instruments = [instrument.id for instrument in run.instruments]
    return row | {"instruments": instruments, "start": _time(start_ns), "end": _time(end_ns)}


def _print(runs: list[RunRecord]) -> None:
    from rich.table import Table

    from quantlytic.app.console import print_table
    from quantlytic.research import text

    table = Table("run", "mode", "strategy", "parameters", "instruments", "bar", "start", "end", "status", box=None)
    for name in ("return", "sharpe"):
        table.add_column(name, justify="right")
    for run in runs:
        params = " ".join(f"{name}={value:g}" for name, value in run.params.items())
        names = ", ".join(instrument.symbol for instrument in run.instruments)
        size = duration_text(run.bar_size_ns) if run.bar_size_ns > 0 else ""
        start, end = ((_time(time_ns) or "")[:19] for time_ns in (run.start_ns, run.end_ns))
        table.add_row(
            run.run_id, run.mode, run.strategy, params, names, size, start, end, run.status,
            text.percent(run.summary.get("total_return"), sign=True), text.ratio(run.summary.get("sharpe")),
        )  # fmt: skip
    print_table(table)


def _time(time_ns: int | None) -> str | None:
    return None if time_ns is None else iso(time_ns)
