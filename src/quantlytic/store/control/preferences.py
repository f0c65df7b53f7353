"""Settings made at run time, in the control store."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from quantlytic.store.control.database import Database
from quantlytic.store.control.schema import preferences


class SqlPreferences:
    """`port.Preferences` over a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, name: str, default: Any = None) -> Any:
        with self._database.reading() as connection:
            found = connection.execute(sa.select(preferences.c.value).where(preferences.c.name == name)).scalar()
        return default if found is None else msgspec.json.decode(found)

    def put(self, name: str, value: Any) -> None:
        with self._database.writing() as connection:
            connection.execute(preferences.delete().where(preferences.c.name == name))
            connection.execute(preferences.insert().values(name=name, value=msgspec.json.encode(value).decode()))
