"""The connection to the control store's database, and its schema brought up to date."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, NoSuchModuleError, SQLAlchemyError

from quantlytic.model.errors import InputError, StoreError
from quantlytic.store.control.schema import HEAD

_BUSY_S = 30
_LOCK_KEY = 0x51_55_41_4E_54  # PostgreSQL's advisory lock of who writes: one at a time, as in SQLite
_PLAIN_URL = "postgresql://"


class Database:
    """An engine for SQLite (a file, WAL, several processes) or PostgreSQL. Its errors become StoreError lines."""

    def __init__(self, target: Path | str) -> None:
        url = str(target) if "://" in str(target) else f"sqlite:///{Path(target) / 'control.db'}"
        if url.startswith(_PLAIN_URL):
            url = f"postgresql+psycopg://{url.removeprefix(_PLAIN_URL)}"
        try:
            self.engine = sa.create_engine(url)
        except (SQLAlchemyError, NoSuchModuleError) as error:
            raise InputError(f"{url.partition('@')[2] or url!r} is no database URL: {_line(error)}") from None
        except ModuleNotFoundError as error:
            package = "'psycopg[binary]'" if error.name == "psycopg" else error.name
            raise InputError(f"that database needs a driver: pip install {package}") from None
        self.name = str(self.engine.url.render_as_string(hide_password=True))
        if self.engine.dialect.name == "sqlite":
            self.name = self.engine.url.database or ":memory:"
            self._prepare_sqlite()
        try:
            self._bring_up_to_date()
        except BaseException:
            self.close()
            raise

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A connection to read by."""
        with self._guarded(), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A transaction: committed at the end, rolled back on an exception. Waits its turn behind other writers."""
        with self._guarded(), self.engine.connect().execution_options(immediate=True) as connection, connection.begin():
            if self.engine.dialect.name == "postgresql":
                connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})
            yield connection

    def close(self) -> None:
        self.engine.dispose()

    # ---- schema

    def _bring_up_to_date(self) -> None:
        with self.reading() as connection:
            found = self._revision(connection)
        if found == HEAD:
            return
        with self.writing() as connection:
            if self._revision(connection) != HEAD:  # unless another process was quicker
                self._migrate(connection)

    def _revision(self, connection: sa.Connection) -> str | None:
        if not sa.inspect(connection).has_table("alembic_version"):
            return None
        found: str | None = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
        return found

    def _migrate(self, connection: sa.Connection) -> None:
        from alembic import command
        from alembic.config import Config
        from alembic.util import CommandError

        config = Config()
        config.set_main_option("script_location", "quantlytic.store.control:migrations")
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError:
            raise StoreError(
                f"{self.name} was made by a newer Quantlytic: its schema is {self._revision(connection)}, this version "
                f"knows {HEAD}; upgrade Quantlytic"
            ) from None

    # ---- details

    def _prepare_sqlite(self) -> None:
        if self.engine.url.database:
            try:
                Path(self.engine.url.database).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            except OSError as error:
                raise StoreError(f"{self.name} cannot be made: {error.strerror}") from None

        @sa.event.listens_for(self.engine, "connect")
        def connected(connection: Any, record: Any) -> None:  # noqa: ARG001
            connection.isolation_level = None  # transactions are begun below, not by the driver's guess
            for setting in (f"busy_timeout = {_BUSY_S * 1000}", "journal_mode = WAL", "synchronous = NORMAL"):
                connection.execute(f"PRAGMA {setting}")

        @sa.event.listens_for(self.engine, "begin")
        def begun(connection: sa.Connection) -> None:
            # a transaction that reads first and then writes could not wait for its turn: writers say so at once
            immediate = connection.get_execution_options().get("immediate")
            connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            raise StoreError(f"the control store {self.name} cannot be used: {_line(error)}") from None


def _line(error: Exception) -> str:
    text = str(getattr(error, "orig", None) or error)
    return next((line.strip() for line in text.splitlines() if line.strip()), type(error).__name__)
