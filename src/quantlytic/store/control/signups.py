"""What strangers asked for, in the control store, until it was worked off."""

from __future__ import annotations

import sqlalchemy as sa

from quantlytic.store.control.database import Database
from quantlytic.store.control.records import SignUp
from quantlytic.store.control.schema import sign_ups


class SqlSignUps:
    """`port.SignUps` over a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, kind: str, email: str, asked: str, time_ns: int) -> None:
        row = {"kind": kind, "email": email, "asked": asked, "time_ns": time_ns}
        with self._database.writing() as connection:
            connection.execute(sign_ups.insert().values(**row))

    def waiting(self, limit: int) -> list[SignUp]:
        chosen = sa.select(*(sign_ups.c[name] for name in SignUp.__struct_fields__))
        with self._database.reading() as connection:
            return [SignUp(*row) for row in connection.execute(chosen.order_by(sign_ups.c.number).limit(limit))]

    def done(self, number: int) -> None:
        with self._database.writing() as connection:
            connection.execute(sign_ups.delete().where(sign_ups.c.number == number))
