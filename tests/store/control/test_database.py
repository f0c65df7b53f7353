"""Either database has the same tables and takes turns; one that is not there is one line."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from quantlytic.model.errors import StoreError
from quantlytic.store.control import open_control
from quantlytic.store.control.database import Database
from quantlytic.store.control.schema import metadata


def test_the_migrations_lead_to_what_the_code_uses(target: Path | str) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    database = Database(target)
    with database.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    database.close()


def test_many_open_it_anew_and_write_at_once(target: Path | str) -> None:
    failures: list[BaseException] = []

    def write(name: str) -> None:
        try:
            with open_control(target) as control:
                for number in range(10):
                    control.preferences.put("shared", f"{name}{number}")
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with open_control(target) as control:
        assert control.preferences.get("shared")[1] == "9"


def test_a_postgresql_that_is_not_there_is_one_line() -> None:
    with pytest.raises(StoreError, match="control store") as caught:
        open_control("postgresql://me:s3cret@127.0.0.1:1/none")
    assert "s3cret" not in str(caught.value)
    assert "\n" not in str(caught.value)
