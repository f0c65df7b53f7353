"""`quantlytic intents`: what a run would do at which price, and how often that came true."""

from __future__ import annotations

import json
import math

import click
import msgspec


@click.command()
@click.argument("run_id", metavar="RUN", default="last")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(run_id: str, as_json: bool) -> None:
    """What RUN has announced that it would do, and the record: how many came true, and how long before.

    RUN is a paper or live run's id, or `last`. Reads the log, and the lake where the log does not reach back any more.
    """
    from quantlytic.app.bootstrap import Bootstrap
    from quantlytic.app.config import load_settings
    from quantlytic.model.instrument import Instrument
    from quantlytic.model.intentwords import intent_words
    from quantlytic.model.time import NS_PER_S
    from quantlytic.research.figures.intents import read_intents

    bootstrap = Bootstrap(load_settings())
    run = bootstrap.runs.find(run_id)
    with bootstrap.stores.open_log() as log:
        record = read_intents(run.run_id, log, bootstrap.stores.lake())
    figures, instruments = record.figures(), {one.id: one for one in run.instruments}
    said = [intent_words(one, instruments.get(one.instrument, Instrument(one.instrument))) for one in record.open]
    if as_json:
        click.echo(
            json.dumps({"run_id": run.run_id, "open": said, "record": _without_nan(msgspec.to_builtins(figures))})
        )
        return
    click.echo(f"{run.run_id} ({run.strategy}):" + ("" if said else " nothing announced now"))
    for words in said:
        click.echo(f"  {words}")
    if figures.said:
        met = f"{figures.met:,} of {figures.said:,} announced were met by a close, {figures.came_true:,} of them came true"
        lead = f", half of those at least {figures.median_lead_ns / NS_PER_S:,.1f} s ahead" if figures.came_true else ""
        click.echo(met + lead)


def _without_nan(figures: dict[str, float]) -> dict[str, float | None]:
    return {name: None if math.isnan(value) else value for name, value in figures.items()}
