"""Instruments in the control store."""

from __future__ import annotations

import builtins
from collections.abc import Sequence

import msgspec
import sqlalchemy as sa

from quantlytic.model.instrument import Instrument
from quantlytic.store.control.database import Database
from quantlytic.store.control.schema import instruments


class SqlInstruments:
    """`port.Instruments` over a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, wanted: Sequence[Instrument]) -> None:
        rows = {instrument.id: msgspec.structs.asdict(instrument) for instrument in wanted}
        if rows:
            with self._database.writing() as connection:
                connection.execute(instruments.delete().where(instruments.c.id.in_(rows)))
                connection.execute(instruments.insert(), list(rows.values()))

    def get(self, instrument_id: str) -> Instrument | None:
        with self._database.reading() as connection:
            row = connection.execute(sa.select(instruments).where(instruments.c.id == instrument_id)).first()
        return None if row is None else Instrument(**row._mapping)

    def list(self, venue: str | None = None) -> builtins.list[Instrument]:
        with self._database.reading() as connection:
            rows = connection.execute(sa.select(instruments).order_by(instruments.c.id))
            found = [Instrument(**row._mapping) for row in rows]
        return [instrument for instrument in found if venue in (None, instrument.venue)]
