"""The daily run's tasks in the control store."""

from __future__ import annotations

import builtins
from typing import Any

import msgspec
import sqlalchemy as sa

from quantlytic.store.control.database import Database
from quantlytic.store.control.records import TaskRecord
from quantlytic.store.control.schema import tasks


class SqlTasks:
    """`port.Tasks` over a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, day: str, task: str) -> TaskRecord | None:
        with self._database.reading() as connection:
            row = connection.execute(sa.select(tasks).where(_of(day, task))).first()
        return None if row is None else _record(row)

    def list(self, day: str) -> builtins.list[TaskRecord]:
        chosen = sa.select(tasks).where(tasks.c.day == day).order_by(tasks.c.begun_ns, tasks.c.task)
        with self._database.reading() as connection:
            return [_record(row) for row in connection.execute(chosen)]

    def begin(self, day: str, task: str, now_ns: int) -> TaskRecord:
        with self._database.writing() as connection:
            row = connection.execute(sa.select(tasks).where(_of(day, task))).first()
            if row is not None and row.state == "done":
                return _record(row)
            attempts = 1 if row is None else row.attempts + 1
            connection.execute(tasks.delete().where(_of(day, task)))
            begun = TaskRecord(day=day, task=task, attempts=attempts, begun_ns=now_ns)
            connection.execute(tasks.insert().values(**msgspec.structs.asdict(begun) | {"summary": "{}"}))
        return begun

    def done(self, day: str, task: str, now_ns: int, summary: dict[str, Any]) -> None:
        self._end(day, task, state="done", ended_ns=now_ns, summary=msgspec.json.encode(summary).decode(), error="")

    def failed(self, day: str, task: str, now_ns: int, error: str) -> None:
        self._end(day, task, state="failed", ended_ns=now_ns, error=error)

    def forget(self, day: str) -> None:
        with self._database.writing() as connection:
            connection.execute(tasks.delete().where(tasks.c.day == day))

    def last_day(self, task: str, until: str = "9999-12-31") -> str | None:
        chosen = sa.select(sa.func.max(tasks.c.day)).where(
            tasks.c.task == task, tasks.c.state == "done", tasks.c.day <= until
        )
        with self._database.reading() as connection:
            found: str | None = connection.execute(chosen).scalar()
        return found

    def _end(self, day: str, task: str, **values: Any) -> None:
        with self._database.writing() as connection:
            connection.execute(tasks.update().where(_of(day, task), tasks.c.state != "done").values(**values))


def _of(day: str, task: str) -> sa.ColumnElement[bool]:
    return sa.and_(tasks.c.day == day, tasks.c.task == task)


def _record(row: sa.Row[Any]) -> TaskRecord:
    return TaskRecord(**dict(row._mapping) | {"summary": msgspec.json.decode(row.summary)})
