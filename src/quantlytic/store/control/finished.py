"""Enters a run that is over, with its trial, in one transaction.

A backtest takes milliseconds; importing SQLAlchemy takes longer. So where the store is a SQLite file of the revision this
code knows, the two rows are written by the standard library's driver; everything else goes through `Control`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from quantlytic.model.errors import StoreError
from quantlytic.model.run import Run
from quantlytic.store.control.records import Trial

REVISION = "0001"  # equal to `schema.HEAD`, which a test checks
_BUSY_S = 30


def enter_finished(
    home: Path, run: Run, trial: Trial, *, start_ns: int, end_ns: int, digest: str, summary: Mapping[str, Any]
) -> None:
    """Enter the run as "finished" in the control store of `home`; one that is there already gets the new result.

    The trial is entered once per run id: asking the same question again is no new trial. Raises StoreError when the store
    is damaged or cannot be written.
    """
    path = home / "control.db"
    if not _is_current(path):
        from quantlytic.store.control import open_control

        open_control(home).close()  # makes it, or brings it up to date, or says what is wrong
    try:
        connection = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None)
        try:
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("BEGIN IMMEDIATE")
            result = ("finished", start_ns, end_ns, digest, _text(dict(summary)))
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
                params = _text({name: float(trial.params[name]) for name in sorted(trial.params)})
                connection.execute(
                    "INSERT INTO trials (strategy, params, data, time_ns, run_id, bars, sharpe) VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (trial.strategy, params, trial.data, trial.time_ns, trial.run_id, trial.bars, trial.sharpe),
                )
            connection.execute("COMMIT")
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise StoreError(f"the control store {path} cannot be written: {error}") from None


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
