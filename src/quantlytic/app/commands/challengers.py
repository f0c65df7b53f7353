"""`quantlytic challengers`: how a line's challengers do beside its champion."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click
import msgspec

from quantlytic.model.errors import InputError
from quantlytic.model.time import iso

if TYPE_CHECKING:
    from quantlytic.learn.contest.shadowrecord import Record


@click.command()
@click.argument("line")
@click.option("--cost-bps", type=click.FloatRange(0), default=10.0, show_default=True, help="Of what is traded.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(line: str, cost_bps: float, as_json: bool) -> None:
    """How the challengers of LINE (a spec's name) have done beside its champion, and what the trainer and the gate said.

    Both are measured on the same bars by what then happened; `return_bps` is what following the forecast's sign earned a bar,
    after costs. Without a champion the base rate stands in for it.
    """
    from quantlytic.app.bootstrap import Bootstrap
    from quantlytic.app.config import load_settings
    from quantlytic.learn.contest.shadowrecord import read_records
    from quantlytic.learn.registry.registry import Registry

    bootstrap = Bootstrap(load_settings())
    stores = bootstrap.stores
    registry = Registry(stores.lake().address)
    with stores.open_log() as log:
        if not log.bounds(f"forecasts.{line}")[1]:
            raise InputError(f"there are no forecasts of a line {line!r} in the log: its predictor has not run yet")
        records, words = read_records(log, line, registry.manifest, cost_bps=cost_bps)
    if as_json:
        click.echo(json.dumps({"line": line, "challengers": [_plain(one) for one in records], "said": _said(words)}))
        return
    if not records:
        click.echo(f"{line} has had no challenger yet")
    for record in records:
        _print(record)
    for word in [word for word in words if word.cause == "failed"][-1:]:
        click.echo(f"{iso(word.event_time)[:16]}  {word.reason}")


def _print(record: Record) -> None:
    from quantlytic.learn.contest.shadowrecord import told_cause

    against = record.champion[:12] or "the base rate"
    name = record.model_id[:12]
    if record.passed_by:
        click.echo(f"{name} ended before it began: {record.passed_by[:12]} was trained in the meantime")
        return
    if record.outcomes:
        click.echo(f"{name} beside {against}, {record.state}: {record.outcomes:,} outcomes")
        click.echo(f"  {'':<12}{'challenger':>12}{'champion' if record.champion else 'base rate':>12}")
    else:
        click.echo(f"{name}, {record.state}: no outcomes")
    for score, value in record.scores.items() if record.outcomes else ():
        other = record.champion_scores.get(score)
        click.echo(f"  {score:<12}{_number(value):>12}{_number(other):>12}")
    if record.trouble:
        click.echo(f"  {record.trouble}")
    for word in record.words[-1:]:
        click.echo(f"  {told_cause(word, record.words)}: {word.reason}")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _plain(record: Record) -> dict[str, Any]:
    return {
        "model_id": record.model_id, "champion": record.champion, "outcomes": record.outcomes, "state": record.state,
        "passed_by": record.passed_by, "scores": record.scores,
        "champion_scores": record.champion_scores, "trouble": record.trouble, "said": _said(record.words),
    }  # fmt: skip


def _said(words: Any) -> list[dict[str, Any]]:
    return [
        {
            "time": iso(word.event_time),
            **{
                name: value
                for name, value in msgspec.structs.asdict(word).items()
                if name not in ("line", "event_time")
            },
        }
        for word in words
    ]
