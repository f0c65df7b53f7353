"""Instruments that were asked for, in the control store."""

from __future__ import annotations

import builtins

import sqlalchemy as sa

from quantlytic.store.control.database import Database
from quantlytic.store.control.records import WantedInstrument
from quantlytic.store.control.schema import wanted_instruments as wanted


class SqlWanted:
    """`port.Wanted` over a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, instrument: str, now_ns: int) -> bool:
        mine = wanted.c.instrument == instrument
        with self._database.writing() as connection:
            connection.execute(wanted.delete().where(mine, wanted.c.error != ""))
            if connection.execute(sa.select(wanted.c.instrument).where(mine)).first() is not None:
                return False
            row = {"instrument": instrument, "asked_ns": now_ns, "done_ns": 0, "error": ""}
            connection.execute(wanted.insert().values(**row))
        return True

    def list(self, *, is_done: bool | None = False) -> builtins.list[WantedInstrument]:
        chosen = sa.select(*(wanted.c[name] for name in WantedInstrument.__struct_fields__))
        if is_done is not None:
            chosen = chosen.where(wanted.c.done_ns != 0 if is_done else wanted.c.done_ns == 0)
        with self._database.reading() as connection:
            rows = connection.execute(chosen.order_by(wanted.c.asked_ns, wanted.c.instrument))
            return [WantedInstrument(*row) for row in rows]

    def done(self, instrument: str, now_ns: int, error: str = "") -> None:
        with self._database.writing() as connection:
            changed = wanted.update().where(wanted.c.instrument == instrument)
            connection.execute(changed.values(done_ns=now_ns, error=error))
