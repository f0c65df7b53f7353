"""Where everything recorded is: the home folder, and handles on what lies in it."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from quantlytic.app.config import Settings
from quantlytic.model.errors import StoreError
from quantlytic.store.log import open_log
from quantlytic.store.log.port import Log

if TYPE_CHECKING:
    from quantlytic.store.control.control import Control
    from quantlytic.store.lake import Lake

_TOKEN = re.compile(r"[!-~]{16,}")


class Stores:
    """Log, lake, control store and secrets of these settings. Nothing is opened before it is asked for."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.home = settings.home

    @property
    def strategies(self) -> Path:
        """Where the code of strategies is kept that took over from others."""
        return self.home / "strategies"

    def make_home(self) -> None:
        """Make the folder that holds everything recorded, readable by this user alone."""
        try:
            self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise StoreError(
                f"the folder {self.home} cannot be made: {error.strerror}; choose another: QUANTLYTIC_HOME"
            ) from None

    @contextmanager
    def open_log(self) -> Iterator[Log]:
        """A handle on the tape, closed at the end."""
        log = self.log_handle()
        try:
            yield log
        finally:
            log.close()

    def log_handle(self) -> Log:
        """A handle on the tape for the calling thread, which closes it."""
        kind = self._settings.log
        return open_log(kind.kind, folder=self.home / "log", servers=kind.kafka_servers, durability=kind.durability)

    def control(self) -> Control:
        """The control store."""
        from quantlytic.store.control import open_control

        return open_control(self.home)

    def lake(self) -> Lake:
        """The lake."""
        from quantlytic.store.lake import Lake

        return Lake(self.home / "lake")

    def token(self) -> str:
        """The page's token: from the settings, or made once and kept in a file that only this user can read."""
        given = self._settings.web.token
        return self.secret("token", "the page's token") if given is None else given.get_secret_value()

    def secret(self, name: str, what: str) -> str:
        """A random secret, made once and kept in the home folder in a file that only this user can read."""
        path = self.home / name
        try:
            if not path.exists():
                _put_new(path, secrets.token_urlsafe(24))
            found = path.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is no text"
            raise StoreError(f"{what} {path} cannot be used: {reason}; move it away for a new one") from None
        if not _TOKEN.fullmatch(found):
            raise StoreError(f"{what} {path} is damaged; move it away for a new one")
        return found


def _put_new(path: Path, text: str) -> None:
    """A file for this user alone, whole or not there; if another process was quicker, its file stays."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(part, "w", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(text)
        with contextlib.suppress(FileExistsError):
            os.link(part, path)
    finally:
        part.unlink(missing_ok=True)
