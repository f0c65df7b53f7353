"""The tasks in the order of what they need, each once a day, whoever calls."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from quantlytic.daily.day import Day, Summary
from quantlytic.daily.tasks import backfill, check, digest, enrich, plan, pull, recommend, repair, signals
from quantlytic.model.errors import InputError, QuantlyticError, StoreError
from quantlytic.store.control.control import Control
from quantlytic.store.control.records import TaskRecord

LAST = "digest"
"""The task that ends a day."""

_LOCK_WAIT_S = 3600.0
_LOCK_LOOK_S = 0.2


class Task(NamedTuple):
    """`needs`: the tasks that must be done before."""

    name: str
    needs: tuple[str, ...]
    run: Callable[[Day], Summary]
    says: str


TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task("plan", (), plan.run, "which instruments, from when on"),
        Task("backfill", ("plan",), backfill.run, "the whole history of new instruments"),
        Task("pull", ("plan",), pull.run, "the new rows of known instruments"),
        Task("check", ("backfill", "pull"), check.run, "against calendar, ledger and vendors' errors"),
        Task("repair", ("check",), repair.run, "bars, actions and ledger into the lake"),
        Task("enrich", ("repair",), enrich.run, "averages of 7 to 200 days"),
        Task("signals", ("repair",), signals.run, "strategies over the day's bar"),
        Task("recommend", ("repair",), recommend.run, "which strategy suits which instrument"),
        Task("digest", ("enrich", "signals", "recommend"), digest.run, "one message a subscriber"),
    )
}


_ROUND = "daily.round."


def round_of(control: Control, day: str) -> int:
    """Which round of the day is the present one."""
    found: int = control.preferences.get(_ROUND + day, 1)
    return found


def begin_again(day: Day) -> Day:
    """The day from the beginning: all of its tasks are to be done, its rows are fetched anew. What it stored stays, and is not
    stored again; whom it told is not told again."""
    with _alone(day.home):
        number = round_of(day.control, day.name) + 1
        day.control.preferences.put(_ROUND + day.name, number)
        day.staging.clear()
        day.control.tasks.forget(day.name)
    return replace(day, round=number)


class Outcome(NamedTuple):
    """A task's record, and whether it was done before this call."""

    record: TaskRecord
    was_done: bool


def run_day(day: Day, only: str | None = None, told: Callable[[Outcome], None] | None = None) -> list[Outcome]:
    """Run the day's tasks, or one of them; what is done is left alone. `told` is called after each.

    One process at a time works on a data folder; another waits. A task that fails is entered as failed, and its error raised:
    the next call begins it again. Raises InputError for a task that is none, or whose needs are not done.
    """
    if only is not None and only not in TASKS:
        raise InputError(f"there is no task {only!r}: choose one of {', '.join(TASKS)}")
    outcomes = []
    with _alone(day.home):
        for task in TASKS.values() if only is None else (TASKS[only],):
            outcomes.append(_run(day, task))
            if told is not None:
                told(outcomes[-1])
    return outcomes


def _run(day: Day, task: Task) -> Outcome:
    tasks = day.control.tasks
    for need in task.needs:
        record = tasks.get(day.name, need)
        if record is None or record.state != "done":
            raise InputError(f"task {task.name} of {day.name} needs {need}, which is not done")
    record = tasks.begin(day.name, task.name, day.now_ns())
    if record.state == "done":
        return Outcome(record, was_done=True)
    try:
        summary = task.run(day)
    except QuantlyticError as error:
        tasks.failed(day.name, task.name, day.now_ns(), str(error))
        raise
    tasks.done(day.name, task.name, day.now_ns(), summary)
    done = tasks.get(day.name, task.name)
    assert done is not None
    return Outcome(done, was_done=False)


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """A lock that ends with its process, however that ends."""
    folder = home / "daily"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StoreError(f"{folder} cannot be used: {error.strerror}") from None
    try:
        until_s = time.monotonic() + _LOCK_WAIT_S
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until_s:
                    raise StoreError(
                        f"another daily run has held {folder / 'lock'} for an hour: end it, then try again"
                    ) from None
                time.sleep(_LOCK_LOOK_S)
        yield
    finally:
        os.close(handle)
