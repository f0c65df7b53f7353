"""Tokens of the API in the control store."""

from __future__ import annotations

import builtins
import hashlib

import sqlalchemy as sa

from quantlytic.store.control.database import Database
from quantlytic.store.control.schema import tokens


class SqlTokens:
    """`port.Tokens` over a database. A secret is long and random, so one SHA-256 keeps it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, name: str, secret: str) -> None:
        with self._database.writing() as connection:
            connection.execute(tokens.delete().where(tokens.c.name == name))
            connection.execute(tokens.insert().values(name=name, hash=_hash(secret)))

    def name_of(self, secret: str) -> str | None:
        with self._database.reading() as connection:
            return connection.execute(sa.select(tokens.c.name).where(tokens.c.hash == _hash(secret))).scalar()

    def list(self) -> builtins.list[str]:
        with self._database.reading() as connection:
            return builtins.list(connection.execute(sa.select(tokens.c.name).order_by(tokens.c.name)).scalars())

    def remove(self, name: str) -> None:
        with self._database.writing() as connection:
            connection.execute(tokens.delete().where(tokens.c.name == name))


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
