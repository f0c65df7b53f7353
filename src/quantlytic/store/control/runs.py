"""Runs in the control store."""

from __future__ import annotations

import builtins
from typing import Any

import msgspec
import sqlalchemy as sa

from quantlytic.model.errors import InputError, StoreError
from quantlytic.model.run import Run
from quantlytic.store.control.database import Database
from quantlytic.store.control.records import RunRecord
from quantlytic.store.control.schema import runs

_RUN = msgspec.json.Decoder(Run)


class SqlRuns:
    """`port.Runs` over a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, run: Run) -> RunRecord:
        with self._database.writing() as connection:
            there = _one(connection, runs.c.run_id == run.run_id)
            if there is None:
                row = {
                    "run_id": run.run_id,
                    "mode": run.mode,
                    "strategy": run.strategy,
                    "settings": _text(_settings(run)),
                }
                connection.execute(runs.insert().values(**row, status="running", digest="", summary="{}"))
            elif _settings(there) != _settings(run):
                raise InputError(f"run {run.run_id!r} exists with other settings: choose another id")
            else:
                connection.execute(runs.update().where(runs.c.run_id == run.run_id).values(status="running"))
        return self.get(run.run_id)

    def finish(
        self,
        run_id: str,
        *,
        start_ns: int | None = None,
        end_ns: int | None = None,
        status: str = "finished",
        digest: str = "",
        summary: dict[str, Any] | None = None,
    ) -> RunRecord:
        values = {
            "start_ns": start_ns,
            "end_ns": end_ns,
            "status": status,
            "digest": digest,
            "summary": _text(summary or {}),
        }
        with self._database.writing() as connection:
            connection.execute(runs.update().where(runs.c.run_id == run_id).values(**values))
        return self.get(run_id)

    def get(self, run_id: str) -> RunRecord:
        if run_id == "last":
            found = self.last()
        else:
            with self._database.reading() as connection:
                found = _one(connection, runs.c.run_id == run_id)
        if found is None:
            what = "there is no run yet" if run_id == "last" else f"there is no run {run_id!r}: see `quantlytic runs`"
            raise InputError(what)
        return found

    def last(self, mode: str | None = None) -> RunRecord | None:
        with self._database.reading() as connection:
            return _one(connection, sa.true() if mode is None else runs.c.mode == mode)

    def list(self, mode: str | None = None) -> builtins.list[RunRecord]:
        chosen = sa.select(runs).where(sa.true() if mode is None else runs.c.mode == mode).order_by(runs.c.number)
        with self._database.reading() as connection:
            return [_record(row) for row in connection.execute(chosen)]


def _one(connection: sa.Connection, where: sa.ColumnElement[bool]) -> RunRecord | None:
    row = connection.execute(sa.select(runs).where(where).order_by(runs.c.number.desc()).limit(1)).first()
    return None if row is None else _record(row)


def _record(row: sa.Row[Any]) -> RunRecord:
    try:
        run, summary = _RUN.decode(row.settings), msgspec.json.decode(row.summary)
    except msgspec.MsgspecError as error:
        raise StoreError(
            f"the control store's run {row.run_id} cannot be read ({error}): it is damaged, or of a newer Quantlytic; "
            "restore control.db from a copy"
        ) from None
    return RunRecord(
        **msgspec.structs.asdict(run),
        start_ns=row.start_ns,
        end_ns=row.end_ns,
        status=row.status,
        digest=row.digest,
        summary=summary,
    )


def _settings(run: Run) -> Run:
    """The part of a record that a `Run` is."""
    return Run(**{name: getattr(run, name) for name in Run.__struct_fields__})


def _text(value: Any) -> str:
    return msgspec.json.encode(value).decode()
