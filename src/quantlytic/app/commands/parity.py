"""`quantlytic parity`: replay a paper run through the backtest and compare everything it did."""

from __future__ import annotations

import json

import click
import msgspec

from quantlytic.model.errors import DataError, MismatchError


@click.command()
@click.argument("run_id", metavar="RUN|last")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(run_id: str, as_json: bool) -> None:
    """Replay the recorded inputs of a RUN (or `last`) and compare every signal, order, fill and equity point.

    A live run's fills are the venue's: its decisions are made again from what was reported, and compared.

    Exit code 0: equal to the last bit. 6: they differ; the first difference is named. 3: nothing to compare.
    """
    from quantlytic.app.bootstrap import Bootstrap
    from quantlytic.app.config import load_settings
    from quantlytic.research.runs.beginning import begun_session
    from quantlytic.research.runs.liveparity import check_live_parity
    from quantlytic.research.runs.parity import check_parity

    bootstrap = Bootstrap(load_settings())
    run = bootstrap.runs.find(run_id)
    with bootstrap.stores.open_log() as log:
        check = check_live_parity if run.mode == "live" else check_parity
        parity = check(log, run, begun_session(run, log))
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(parity)))
    else:
        counts = ", ".join(f"{count:,} {kind}" for kind, count in parity.counts.items())
        click.echo(f"{parity.run_id}: {parity.bars:,} bars replayed; compared {parity.compared:,} ({counts})")
        click.echo(
            f"mismatches: {parity.mismatches}" + (f"; first: {parity.first_mismatch}" if parity.mismatches else "")
        )
    if not parity.bars:
        raise DataError(
            f"{run.run_id}: the tape holds no bar that it decided on, so nothing is proven; is this its log?"
        )
    if parity.mismatches:
        raise MismatchError(
            f"{run.run_id} and its backtest differ in {parity.mismatches} places: {parity.first_mismatch}"
        )
