"""`quantlytic models`: what was trained, and which of it is used."""

from __future__ import annotations

import getpass
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from quantlytic.model.errors import DataError, MismatchError
from quantlytic.model.time import iso

if TYPE_CHECKING:
    from quantlytic.learn.live.lastwords import LastWords
    from quantlytic.learn.registry.artifact import Manifest
    from quantlytic.learn.registry.registry import AliasChange, Registry
    from quantlytic.store.log.port import Log

_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_reason = click.option("--reason", required=True, help="Why; it is kept.")


@click.group()
def command() -> None:
    """Trained models: list, show, promote, roll back, withdraw, prune, verify."""


@command.command("list")
@_json
def list_models(as_json: bool) -> None:
    """List models, oldest first, with the aliases that mean them, and what their lines made of that."""
    registry = _registry()
    manifests, damaged = registry.list()
    meaning: dict[str, list[str]] = {}
    for alias, change in registry.changes().items():
        if change.model_id:
            meaning.setdefault(change.model_id, []).append(alias)
        elif change.cause == "damaged":
            damaged.append(change.reason)
    words = _last_words({one.name for one in manifests})
    rows: list[dict[str, Any]] = [
        {
            "model_id": one.model_id, "line": one.line, "kind": one.kind, "rows": one.data.rows, "scores": one.scores,
            "created": iso(one.created_ns), "aliases": meaning.get(one.model_id, []), **_heard(one, meaning, words),
        }
        for one in manifests
    ]  # fmt: skip
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    elif not rows:
        click.echo(f"no models in {registry.address} yet: `quantlytic train SPEC` makes them")
    else:
        from rich.table import Table

        from quantlytic.app.console import print_table

        table = Table(box=None, pad_edge=False)
        for name in ("model", "line", "kind", "rows", "score", "trained", "is"):
            table.add_column(name)
        for row in rows:
            name, value = next(iter(row["scores"].items()), ("", None))
            table.add_row(
                row["model_id"][:12], row["line"], row["kind"], f"{row['rows']:,}",
                "-" if value is None else f"{name} {value:.4g}", row["created"][:16],
                ", ".join([alias.rpartition("/")[2] for alias in row["aliases"]] + [row["trouble"]] * bool(row["trouble"])),
            )  # fmt: skip
        print_table(table)
        for row in rows:
            if row["trouble"] and row["aliases"]:
                click.echo(f"{row['model_id'][:12]} {row['trouble']}: {row['why']}")
    if damaged:
        raise DataError("; ".join(damaged))


@command.command()
@click.argument("model")
@_json
def show(model: str, as_json: bool) -> None:
    """Show the manifest of MODEL (an id, its first digits, or an alias such as trend/pooled/champion)."""
    registry = _registry()
    manifest = registry.manifest(_id_of(registry, model))
    if as_json:
        click.echo(manifest.to_json())
        return
    data = manifest.data
    click.echo(f"model     {manifest.model_id}")
    click.echo(f"line      {manifest.line}: {manifest.kind}, trained {iso(manifest.created_ns)[:16]}")
    click.echo(
        f"data      {data.rows:,} rows, {iso(data.start_ns)[:16]} to {iso(data.end_ns)[:16]}, {data.bar_size} bars"
    )
    click.echo(f"of        {', '.join(data.instruments)}")
    click.echo(f"label     {manifest.label.kind}, {manifest.horizon} bars ahead")
    click.echo(f"features  {', '.join(manifest.columns)}")
    click.echo(f"params    {', '.join(f'{name}={value}' for name, value in manifest.params.items())}")
    click.echo(f"scores    {', '.join(f'{name} {value}' for name, value in manifest.scores.items())}")
    click.echo(f"trials    {manifest.trials}")


@command.command()
@click.argument("model")
@click.argument("alias")
@_reason
@click.option(
    "--new-label", is_flag=True, help="It forecasts another label (another horizon) than the line, and is to."
)
@_json
def promote(model: str, alias: str, reason: str, new_label: bool, as_json: bool) -> None:
    """Let ALIAS (LINE/pooled/champion, LINE/INSTRUMENT/challenger, ...) mean MODEL from now on.

    What the line of that name in quantlytic.toml would refuse is refused here.
    """
    from quantlytic.app.promoting import check_promotion

    registry = _registry()
    model_id = _id_of(registry, model)
    registry.check_alias(model_id, alias)
    notes = check_promotion(registry, model_id, alias, new_label=new_label)
    change = registry.promote(model_id, alias, reason, getpass.getuser(), time.time_ns(), new_label=new_label)
    _told(alias, change, as_json, notes)


@command.command()
@click.argument("alias")
@_reason
@_json
def withdraw(alias: str, reason: str, as_json: bool) -> None:
    """Let ALIAS, a pin or a challenger, mean no model: the champion behind the pin serves, the challenger is asked no more."""
    from quantlytic.app.promoting import check_withdrawal

    registry = _registry()
    notes = check_withdrawal(registry, alias)
    change = registry.withdraw(alias, reason, getpass.getuser(), time.time_ns())
    _told(alias, change, as_json, notes)


@command.command()
@click.argument("alias")
@_reason
@_json
def rollback(alias: str, reason: str, as_json: bool) -> None:
    """Let ALIAS mean again what it meant before its last promotion.

    Where that was no model, it is withdrawn: a pin only where a champion stands behind it.
    """
    from quantlytic.app.promoting import check_rollback

    registry = _registry()
    notes = check_rollback(registry, alias)
    change = registry.rollback(alias, reason, getpass.getuser(), time.time_ns())
    _told(alias, change, as_json, notes)


@command.command()
@click.argument("model", required=False)
@_json
def verify(model: str | None, as_json: bool) -> None:
    """Load MODEL, or all, check every byte, and ask the golden rows. Exits with 6 when one is not as it was."""
    from quantlytic.learn.registry.runtime import ServedModel

    registry = _registry()
    manifests, damaged = registry.list()
    ids = [one.model_id for one in manifests] if model is None else [_id_of(registry, model)]
    found: dict[str, str] = {}
    for model_id in ids:
        try:
            ServedModel(registry.get(model_id)).golden()
            found[model_id] = ""
        except DataError as error:
            found[model_id] = str(error)
    if as_json:
        click.echo(json.dumps({"models": found, "damaged": damaged}, indent=2))
    else:
        for model_id, wrong in found.items():
            click.echo(f"{model_id[:12]}  {wrong or 'as it was trained'}")
    wrong_ones = [*(one for one in found.values() if one), *(damaged if model is None else [])]
    if wrong_ones:
        raise MismatchError(f"{len(wrong_ones)} of {len(ids) + len(damaged)} models cannot be used: {wrong_ones[0]}")


@command.command()
@click.option(
    "--keep", type=click.IntRange(1), default=10, show_default=True, help="The newest so many of each line stay."
)
@click.option("--yes", is_flag=True, help="Remove them; else they are only named.")
@_json
def prune(keep: int, yes: bool, as_json: bool) -> None:
    """Remove models that nobody will ask for again.

    What an alias means, or meant as champion or pin, what the tape speaks of, what these were trained to follow, and what is
    younger than a day stays.
    """
    from quantlytic.learn.registry.pruning import prunable, remove

    registry = _registry()
    with _log() as log:
        found = prunable(registry, log, keep, time.time_ns())
    if yes:
        gone = {one.model_id for one in remove(registry, found)}
        found = [one for one in found if one.model_id in gone]  # the others are wanted again
    if as_json:
        click.echo(json.dumps({"models": [one.model_id for one in found], "removed": yes}))
        return
    for one in found:
        click.echo(f"{one.model_id[:12]}  {one.line}  {iso(one.created_ns)[:16]}")
    count = f"{len(found)} model{'' if len(found) == 1 else 's'}"
    click.echo(
        f"{count} removed" if yes else f"{count} would be removed: --yes does it" if found else "nothing to remove"
    )


def _registry() -> Registry:
    from quantlytic.learn.registry.registry import Registry
    from quantlytic.store.home import home_folder

    return Registry(home_folder() / "lake")


def _id_of(registry: Registry, model: str) -> str:
    from quantlytic.model.errors import InputError

    if "/" not in model:
        return model
    found = registry.alias(model)
    if found is None:
        raise InputError(f"{model} means no model yet: `quantlytic models promote ID {model} --reason ...`")
    return found


def _last_words(names: set[str]) -> dict[str, LastWords]:
    """What each line said last."""
    from quantlytic.learn.live.lastwords import last_words

    with _log() as log:
        if log is None:
            return {}
        return {name: last_words(log, name) for name in sorted(names) if log.bounds(f"forecasts.{name}")[1]}


@contextmanager
def _log() -> Iterator[Log | None]:
    """The tape; None, and none is made, where nothing was recorded yet."""
    from quantlytic.app.bootstrap import Bootstrap
    from quantlytic.app.config import load_settings

    settings = load_settings()
    if settings.log.kind == "sqlite" and not (settings.home / "log").exists():
        yield None
        return
    with Bootstrap(settings).stores.open_log() as log:
        yield log


def _heard(one: Manifest, meaning: Mapping[str, list[str]], words: Mapping[str, LastWords]) -> dict[str, Any]:
    """What a line made of a model: which instruments it forecasts, and why it does not, though it was to."""
    said = words.get(one.name)
    if said is None:
        return {"forecasts": [], "trouble": "", "why": ""}
    word, forecasts = said.trouble.get(one.model_id), said.serves(one.model_id)
    trouble, why = ("", "") if word is None else (word.cause, word.reason)
    is_to_serve = any(not alias.endswith("/challenger") for alias in meaning.get(one.model_id, []))
    if is_to_serve and not forecasts and not trouble:
        by = ", ".join(sorted({model[:12] or "nobody" for model in said.serving.values()}))
        trouble, why = "not serving", f"the line's last bars were forecast by {by}"
    return {"forecasts": forecasts, "trouble": trouble, "why": why}


def _told(alias: str, change: AliasChange, as_json: bool, notes: Sequence[str] = ()) -> None:
    if as_json:
        whole = {name: getattr(change, name) for name in change.__struct_fields__}
        click.echo(json.dumps({"alias": alias, **whole, "notes": list(notes)}))
        return
    before = f", before {change.previous[:12]}" if change.previous else ""
    click.echo(f"{alias} is {change.model_id[:12] or 'no model'}{before}")
    for note in notes:
        click.echo(note)
