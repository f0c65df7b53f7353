"""The trial ledger in the control store."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from quantlytic.store.control.database import Database
from quantlytic.store.control.records import Trial
from quantlytic.store.control.schema import trials


class SqlTrials:
    """`port.Trials` over a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, trials_made: Sequence[Trial]) -> None:
        rows = [msgspec.structs.asdict(trial) | {"params": _text(trial.params)} for trial in trials_made]
        if rows:
            with self._database.writing() as connection:
                connection.execute(trials.insert(), rows)

    def list(self, data: str | None = None) -> builtins.list[Trial]:
        chosen = sa.select(trials).where(sa.true() if data is None else trials.c.data == data).order_by(trials.c.number)
        with self._database.reading() as connection:
            return [_trial(row) for row in connection.execute(chosen)]

    def count(self, data: str) -> int:
        tried = sa.select(trials.c.strategy, trials.c.params).where(trials.c.data == data).distinct().subquery()
        with self._database.reading() as connection:
            return connection.execute(sa.select(sa.func.count()).select_from(tried)).scalar_one()


def _trial(row: sa.Row[Any]) -> Trial:
    values = {name: getattr(row, name) for name in Trial.__struct_fields__}
    return Trial(**values | {"params": msgspec.json.decode(row.params, type=dict[str, float])})


def _text(params: dict[str, float]) -> str:
    """Equal parameters give equal text, whatever their order."""
    return msgspec.json.encode({name: float(params[name]) for name in sorted(params)}).decode()
