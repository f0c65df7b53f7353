"""The trial ledger in the control store."""

from __future__ import annotations

import builtins
from collections.abc import Sequence

import sqlalchemy as sa

from quantlytic.store.control.database import Database
from quantlytic.store.control.records import Trial
from quantlytic.store.control.schema import trials
from quantlytic.store.control.trialrow import COLUMNS, alike, like_pattern, newest, row_of, trial_of


class SqlTrials:
    """`port.Trials` over a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, trials_made: Sequence[Trial]) -> None:
        rows = [row_of(trial) for trial in trials_made]
        if rows:
            with self._database.writing() as connection:
                connection.execute(trials.insert(), rows)

    def list(self, data: str | None = None) -> builtins.list[Trial]:
        return self._where(sa.true() if data is None else trials.c.data == data)

    def count(self, data: str) -> int:
        return len({one.tried for one in self.list(data)})

    def like(self, trial: Trial) -> builtins.list[Trial]:
        same: sa.ColumnElement[bool] = trials.c.data.in_(alike(trial, self._sketches() if trial.sketch else []))
        if trial.instruments and trial.start_ns is not None and trial.end_ns is not None:
            names = [trials.c.instruments.like(like_pattern(name), escape="!") for name in trial.instruments]
            overlap = sa.and_(trials.c.start_ns < trial.end_ns, trials.c.end_ns > trial.start_ns)
            same = sa.or_(same, sa.and_(overlap, sa.or_(*names)))
        return newest(self._where(same))

    def _sketches(self) -> builtins.list[tuple[str, str]]:
        chosen = sa.select(trials.c.data, trials.c.sketch).distinct()
        with self._database.reading() as connection:
            return [(data, sketch) for data, sketch in connection.execute(chosen)]

    def _where(self, condition: sa.ColumnElement[bool]) -> builtins.list[Trial]:
        chosen = sa.select(*(trials.c[name] for name in COLUMNS)).where(condition).order_by(trials.c.number)
        with self._database.reading() as connection:
            return [trial_of(row) for row in connection.execute(chosen)]
