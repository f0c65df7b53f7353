"""Enters a run that is over, with its trial, in one transaction, and finds the trials made on the same data.

A backtest takes milliseconds; importing SQLAlchemy takes longer. So where the store is a SQLite file of the revision this
code knows, the rows are written and read by the standard library's driver; everything else goes through `Control`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from quantlytic.model.errors import StoreError
from quantlytic.model.run import Run
from quantlytic.store.control.records import Trial
from quantlytic.store.control.trialrow import COLUMNS, alike, like_pattern, newest, row_of, trial_of

REVISION = "0005"  # equal to `schema.HEAD`, which a test checks
_BUSY_S = 30


def enter_finished(
    home: Path,
    run: Run,
    trial: Trial | None,
    *,
    start_ns: int,
    end_ns: int,
    digest: str,
    summary: Mapping[str, Any],
    status: str = "finished",
) -> None:
    """Enter the run with its status ("finished" or "failed") in the control store of `home`; one that is there already
    gets the new result.

    The trial is entered once per run id: asking the same question again is no new trial. Raises StoreError when the store
    is damaged or cannot be written.
    """
    with _connected(home) as connection:
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("BEGIN IMMEDIATE")
        result = (status, start_ns, end_ns, digest, _text(dict(summary)))
        changed = connection.execute(
            "UPDATE runs SET status = ?, start_ns = ?, end_ns = ?, digest = ?, summary = ? WHERE run_id = ?",
            (*result, run.run_id),
        ).rowcount
        if not changed:
            connection.execute(
                "INSERT INTO runs (status, start_ns, end_ns, digest, summary, run_id, mode, strategy, settings) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (*result, run.run_id, run.mode, run.strategy, _text(run)),
            )
        entered = connection.execute("SELECT 1 FROM trials WHERE run_id = ? LIMIT 1", (run.run_id,)).fetchone()
        if trial is not None and entered is None:
            row = row_of(trial)
            marks = ", ".join("?" * len(COLUMNS))
            connection.execute(
                f"INSERT INTO trials ({', '.join(COLUMNS)}) VALUES ({marks})", [row[name] for name in COLUMNS]
            )
        connection.execute("COMMIT")


def trials_like(home: Path, trial: Trial) -> list[Trial]:
    """`port.Trials.like` of the control store in `home`. Raises StoreError when it is damaged."""
    with _connected(home) as connection:
        known = connection.execute("SELECT DISTINCT data, sketch FROM trials").fetchall() if trial.sketch else []
        values: list[Any] = alike(trial, known)
        chosen = f"data IN ({', '.join('?' * len(values))})"
        if trial.instruments and trial.start_ns is not None and trial.end_ns is not None:
            names = " OR ".join(["instruments LIKE ? ESCAPE '!'"] * len(trial.instruments))
            chosen += f" OR (start_ns < ? AND end_ns > ? AND ({names}))"
            values += [trial.end_ns, trial.start_ns, *map(like_pattern, trial.instruments)]
        rows = connection.execute(f"SELECT {', '.join(COLUMNS)} FROM trials WHERE {chosen} ORDER BY number", values)
        return newest(trial_of(row) for row in rows)


@contextmanager
def _connected(home: Path) -> Iterator[sqlite3.Connection]:
    """A connection to the store's file, of the revision known here; StoreError for whatever goes wrong with it."""
    path = home / "control.db"
    if not _is_current(path):
        from quantlytic.store.control import open_control

        open_control(home).close()  # makes it, or brings it up to date, or says what is wrong
    try:
        connection = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None)
        try:
            yield connection
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise StoreError(f"the control store {path} cannot be used: {error}") from None


def _is_current(path: Path) -> bool:
    if not path.is_file():
        return False
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_BUSY_S)
        try:
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        finally:
            connection.close()
    except sqlite3.Error:
        return False
    return bool(row == (REVISION,))


def _text(value: Any) -> str:
    return msgspec.json.encode(value).decode()
