"""A control store in each of its databases: a SQLite file, and (in the group `cluster`) a real PostgreSQL."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from quantlytic.store.control import open_control
from quantlytic.store.control.control import Control


class Postgres:
    """Debian's PostgreSQL, in a folder of its own, on a free loopback port; as another user when started by root."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="quantlytic-postgres-"))
        is_root = os.geteuid() == 0
        self._user = pwd.getpwnam("postgres") if is_root else None
        if self._user:
            os.chown(self._folder, self._user.pw_uid, self._user.pw_gid)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self._count = 0
        self._run("initdb", "-D", str(self._folder / "data"), "-U", "quantlytic", "-A", "trust", "--no-sync")
        options = (
            f"-c listen_addresses=127.0.0.1 -p {self._port} -c unix_socket_directories={self._folder} -c fsync=off"
        )
        self._run(
            "pg_ctl", "-D", str(self._folder / "data"), "-w", "-l", str(self._folder / "log"), "-o", options, "start"
        )

    def fresh(self) -> str:
        """The URL of a new database."""
        self._count += 1
        name = f"control{self._count}"
        self._run("createdb", "-h", "127.0.0.1", "-p", str(self._port), "-U", "quantlytic", name)
        return f"postgresql://quantlytic@127.0.0.1:{self._port}/{name}"

    def stop(self) -> None:
        self._run("pg_ctl", "-D", str(self._folder / "data"), "-w", "-m", "immediate", "stop")
        shutil.rmtree(self._folder)

    def _run(self, program: str, *arguments: str) -> None:
        found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{program}")) or [Path(shutil.which(program) or program)]
        ids = {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []} if self._user else {}
        subprocess.run(
            [str(found[-1]), *arguments], check=True, cwd=self._folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            timeout=60, **ids,
        )  # fmt: skip


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One server for all; fails, rather than skips, where PostgreSQL is missing: who runs this group wants to know."""
    server = Postgres()
    yield server
    server.stop()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.cluster)])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """Where a new control store is to be."""
    url: Path | str = tmp_path if request.param == "sqlite" else request.getfixturevalue("postgres").fresh()
    return url


@pytest.fixture
def control(target: Path | str) -> Iterator[Control]:
    """An empty control store."""
    with open_control(target) as control:
        yield control
