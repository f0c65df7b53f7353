"""`quantlytic daily`: the day's bars, checked and enriched; signals, recommendations, digests."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import click

from quantlytic.model.errors import InputError

if TYPE_CHECKING:
    from quantlytic.app.config import Settings
    from quantlytic.daily.day import Day
    from quantlytic.daily.runner import Outcome

_TROUBLE_SHOWN = 10


@click.command()
@click.option("--date", "day_text", metavar="YYYY-MM-DD", help="The day; without it, the last one that is over.")
@click.option("--source", metavar="SOURCE", help="files:DIR, yahoo, venue or auto; without it, that of the settings.")
@click.option(
    "--instrument", "instruments", multiple=True, metavar="VENUE:SYMBOL",
    help="Track this one, instead of those of the settings. May be repeated.",
)  # fmt: skip
@click.option("--strategy", "strategies", multiple=True, metavar="NAME", help="Run this one over the day's bar.")
@click.option("--candidate", "candidates", multiple=True, metavar="NAME", help="Recommend among these alone.")
@click.option("--folds", type=int, metavar="N", help="Stretches out of sample for recommendations.")
@click.option("--draws", type=int, metavar="N", help="Parameter sets to try before each stretch.")
@click.option("--task", metavar="NAME", help="This task alone; what it needs must be done.")
@click.option(
    "--accept", "accepts", multiple=True, metavar="VENUE:SYMBOL@DAY",
    help="Prices of that day that are held back are right. May be repeated; kept for good.",
)  # fmt: skip
@click.option("--again", is_flag=True, help="Begin the day from the beginning: fetch anew, store and tell what is new.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    day_text: str | None, source: str | None, task: str | None, accepts: tuple[str, ...], again: bool, dry_run: bool,
    as_json: bool, **given: Any,
) -> None:  # fmt: skip
    """Fetch the day's bars, check and repair them, average, run strategies, recommend, and queue the digests.

    \b
    Tasks, in this order:
    plan       which instruments, from when on      enrich     averages of 7 to 200 days
    backfill   the whole history of new ones        signals    strategies over the day's bar
    pull       the new rows of known ones           recommend  which strategy suits which instrument
    check      against calendar and vendors' errors digest     one message a subscriber
    repair     bars, actions, ledger into the lake

    Each task is done once for each day: the same command again does what is left, and nothing where all is done. Ended in the
    middle, by whatever, it goes on at the task where it was. An option comes too late for a task that is done: that is said, and
    --again begins the day anew.
    """
    from quantlytic.app.config import load_settings
    from quantlytic.daily.runner import begin_again, run_day

    settings = load_settings()
    day, close = open_day(settings, day_text, source, {name: value for name, value in given.items() if value})
    try:
        _accept(day, accepts)
        if dry_run:
            _tell_plan(day, as_json)
            return
        if again:
            day = begin_again(day)
        with _Progress(shown=not as_json) as progress:
            told = None if as_json else progress.told
            day = _with_progress(day, progress)
            outcomes = run_day(day, task, told)
        given |= {"source": source, "accepts": accepts}
        late = _too_late([name for name, value in given.items() if value], outcomes)
        if as_json:
            click.echo(json.dumps({"date": day.name, "tasks": [_row(one) for one in outcomes], "not_used": late}))
        else:
            _print(day, outcomes)
            if late:
                said = ", ".join(f"{option} ({done})" for option, done in late.items())
                click.echo(f"! came too late for tasks that were done before: {said}; --again begins the day anew")
    finally:
        close()


def open_day(
    settings: Settings, day_text: str | None, source: str | None, changes: dict[str, Any]
) -> tuple[Day, Callable[[], None]]:
    """(the day with everything that it needs, what closes it). `changes` take the place of settings."""
    from quantlytic.app.wiring.stores import Stores
    from quantlytic.app.wiring.telling import Telling
    from quantlytic.daily.calendar import due_day
    from quantlytic.daily.day import Day
    from quantlytic.daily.runner import round_of
    from quantlytic.daily.sources.choose import source_of
    from quantlytic.daily.tracked import tracked
    from quantlytic.store.control import open_control
    from quantlytic.store.lake import Lake

    section = settings.daily
    plain, home = section.plain(**changes), settings.home
    chosen = source_of(
        source or section.source, cache=home / "daily", equities=set(plain.calendars), rest_urls=_rest_urls(settings)
    )
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    control = open_control(home)
    try:
        names = tracked(control, plain)
        if day_text is None and names:
            found = due_day(map(plain.calendar_of, names), time.time_ns(), 0)
        else:
            found = _date(day_text or date.today().isoformat())
        if found is None:
            raise InputError("no exchange of the instruments has had a session for two weeks: name a --date")
        lake = Lake(home / "lake")
    except BaseException:
        control.close()
        raise
    number = round_of(control, found.isoformat())
    operators = tuple(Telling(settings, Stores(settings)).operators())
    day = Day(
        found, home, control, lake, plain, chosen, time.time_ns, lambda *_: None, operators=operators, round=number
    )
    return day, control.close


def _rest_urls(settings: Settings) -> dict[str, str]:
    """Where the settings' own venue is, if elsewhere than usual."""
    venue = settings.venue
    if venue.name == "box":
        return {"box": venue.rest_url or f"http://127.0.0.1:{venue.box_port}"}
    return {venue.name: venue.rest_url} if venue.rest_url else {}


def _date(text: str) -> date:
    try:
        found = date.fromisoformat(text)
    except ValueError:
        raise InputError(f"{text!r} is no date: write 2026-11-20") from None
    if found > datetime.now(UTC).date():
        raise InputError(f"{text} is not over yet: name a day that is, or none for the last one")
    return found


def _with_progress(day: Day, progress: _Progress) -> Day:
    from dataclasses import replace

    return replace(day, progress=progress)


def _tell_plan(day: Day, as_json: bool) -> None:
    """What each task would do."""
    from quantlytic.daily.runner import TASKS
    from quantlytic.daily.tasks.plan import refuse_unfinished, works_of

    works = works_of(day)
    refuse_unfinished(day, works)
    done = {one.task for one in day.control.tasks.list(day.name) if one.state == "done"}
    if as_json:
        rows = [
            {"instrument": one.instrument, "calendar": one.calendar, "since": one.since.isoformat(), "new": one.is_new,
             "due": one.is_due, "wanted": one.is_wanted} for one in works
        ]  # fmt: skip
        click.echo(json.dumps({"date": day.name, "left": [name for name in TASKS if name not in done], "works": rows}))
        return
    new = [one.instrument for one in works if one.is_new]
    count = f"{len(works)} instrument{'s' if len(works) != 1 else ''}"
    click.echo(f"{day.name}: {count}, {sum(one.is_due for one in works)} with a session, {len(new)} new")
    for one in works:
        said = "whole history" if one.is_new else "rows"
        click.echo(
            f"  {one.instrument:<24} {one.calendar:<6} {said} since {one.since}{'' if one.is_due else ', closed'}"
        )
    for task in TASKS.values():
        click.echo(f"{task.name:<10} {'done already' if task.name in done else task.says}")
    click.echo("nothing was done: --dry-run")


def _accept(day: Day, accepts: tuple[str, ...]) -> None:
    """Enter what a person has found to be right. Raises InputError for what is no tracked instrument's day; then nothing is."""
    from quantlytic.daily.accepted import accept
    from quantlytic.daily.tracked import tracked

    names = tracked(day.control, day.settings)
    for text in accepts:
        name = text.rpartition("@")[0]
        if name not in names:
            raise InputError(
                f"--accept {text}: {name or text!r} is not tracked; write VENUE:SYMBOL@2026-11-20 with one of: "
                f"{', '.join(names) or 'none is tracked yet'}"
            )
    for text in accepts:
        accept(day.control, text)


_OPTION_OF = {
    "source": ("--source", "pull"), "instruments": ("--instrument", "plan"), "strategies": ("--strategy", "signals"),
    "candidates": ("--candidate", "recommend"), "folds": ("--folds", "recommend"), "draws": ("--draws", "recommend"),
    "accepts": ("--accept", "repair"),
}  # fmt: skip
"""Parameter -> the option, and the task that reads it."""


def _too_late(given: list[str], outcomes: list[Outcome]) -> dict[str, str]:
    """Option -> the task that would have read it, of those whose task was done before this call."""
    done = {one.record.task for one in outcomes if one.was_done}
    options = [_OPTION_OF[name] for name in given]
    return {option: task for option, task in options if task in done}


def _row(outcome: Outcome) -> dict[str, Any]:
    one = outcome.record
    took_s = (one.ended_ns - one.begun_ns) / 1e9
    return {
        "task": one.task, "was_done": outcome.was_done, "attempts": one.attempts, "took_s": round(took_s, 3), **one.summary,
    }  # fmt: skip


class _Progress:
    """The task and how far it is, on the error stream of a terminal; nothing elsewhere."""

    def __init__(self, shown: bool) -> None:
        self._shown = shown
        self._bar: Any = None

    def __enter__(self) -> _Progress:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        self._bar = Progress(
            *columns, console=console, transient=True, disable=not (self._shown and console.is_terminal)
        )
        self._bar.start()
        self._task = self._bar.add_task("", total=None)
        return self

    def __call__(self, what: str, done: int, of: int) -> None:
        self._bar.update(self._task, description=what, completed=done, total=of)

    def told(self, outcome: Outcome) -> None:
        self._bar.update(self._task, description=f"{outcome.record.task} done", completed=0, total=None)

    def __exit__(self, *_error: object) -> None:
        self._bar.stop()


def _print(day: Day, outcomes: list[Outcome]) -> None:
    from rich.table import Table

    from quantlytic.app.console import print_table

    table = Table(box=None, pad_edge=False)
    for name in ("task", "", "took", "did"):
        table.add_column(name, justify="right" if name == "took" else "left")
    for outcome in outcomes:
        one = outcome.record
        took = f"{(one.ended_ns - one.begun_ns) / 1e9:.1f} s"
        counts = [(value, name) for name, value in one.summary.items() if isinstance(value, int) and value]
        did = ", ".join(f"{value:,} {name.removesuffix('s') if value == 1 else name}" for value, name in counts)
        table.add_row(one.task, "done before" if outcome.was_done else "done", took, did or "nothing to do")
    click.echo(f"\n{day.name}")
    print_table(table)
    trouble = [text for outcome in outcomes for text in outcome.record.summary.get("trouble", [])]
    for text in trouble[:_TROUBLE_SHOWN]:
        click.echo(f"! {text}")
    if len(trouble) > _TROUBLE_SHOWN:
        click.echo(f"! and {len(trouble) - _TROUBLE_SHOWN} more: --json lists them")
