"""The latch: while it is shut nothing new is sent to the venue. It outlives every process and needs neither log nor store."""

from __future__ import annotations

import contextlib
import os
import re
import threading
from pathlib import Path

import msgspec

from quantlytic.model.errors import InputError, StoreError
from quantlytic.model.halt import Halt

DEAD_MAN, KILL = "dead-man", "kill"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_FILE, _HALT = msgspec.json.Decoder(dict[str, str | int | bool]), msgspec.msgpack.Decoder(Halt)
_Stamp = tuple[int, int, int]


class Latch:
    """A file a person can read: `folder/ACCOUNT.json`. Ask it before every request that makes an order, repeats included;
    cancels may always be sent. `read` costs two looks at the folder (some microseconds) while nothing changes.

    Two files, so that what lets go by itself cannot undo what a person shut: `ACCOUNT.json` is opened again by typing the
    account's name, `ACCOUNT.dead-man.json` also by the dead-man's switch. A file that cannot be read counts as shut.
    """

    def __init__(self, folder: Path, account: str) -> None:
        if not _NAME.fullmatch(account):
            raise InputError(f"account name {account!r}: write 1 to 64 letters, digits, dots, dashes or underscores")
        self.account = account
        self._hard = _HaltFile(folder / f"{account}.json", account)
        self._soft = _HaltFile(folder / f"{account}.{DEAD_MAN}.json", account)

    def read(self) -> Halt | None:
        """Why nothing new may be sent; None when it may. Never raises: what is not known counts as shut."""
        return self._hard.read() or self._soft.read()

    def read_dead_man(self) -> Halt | None:
        """What the dead-man's switch has shut, and nobody released yet."""
        return self._soft.read()

    def released_ns(self) -> int:
        """When a person last let go what only a person can; 0 while it is shut, or never was."""
        word = self._hard.last()
        return 0 if word is None or word.is_halted else word.event_time

    def words(self) -> list[Halt]:
        """The last word in each file, also a release, oldest first: what people are told, and shown."""
        found = [word for file in (self._hard, self._soft) if (word := file.last()) is not None]
        return sorted(found, key=lambda word: word.event_time)

    def engage(self, cause: str, by: str, text: str, now_ns: int) -> Halt:
        """Shut it, on disk before this returns; the Halt now in force. Raises StoreError when it cannot be written.

        What is shut already keeps its first cause, but for a kill, which goes before all others.
        """
        file = self._soft if cause == DEAD_MAN else self._hard
        shut = file.read()
        if shut is not None and (shut.cause in (cause, KILL)):
            return shut
        halt = Halt(self.account, now_ns, True, cause, by, text)
        file.write(halt)
        return halt

    def release(self, typed: str, by: str, now_ns: int) -> Halt:
        """Open it. Raises InputError unless `typed` is the account's name, or when it is not shut."""
        if typed.strip() != self.account:
            raise InputError(
                f"to let account {self.account} trade again its name has to be typed: {self.account!r}, not {typed!r}"
            )
        halt = self.read()
        if halt is None:
            raise InputError(f"account {self.account} is not halted: there is nothing to release")
        released = Halt(self.account, now_ns, False, halt.cause, by, f"released by {by}; it was: {halt.text}")
        for file in (self._hard, self._soft):
            if file.read() is not None:
                file.write(released)
        return released

    def release_dead_man(self, by: str, text: str, now_ns: int) -> Halt | None:
        """Open what the dead-man's switch shut, and nothing else; None when it had not."""
        if self._soft.read() is None:
            return None
        released = Halt(self.account, now_ns, False, DEAD_MAN, by, text)
        self._soft.write(released)
        return released


class _HaltFile:
    """One Halt in one file, decoded again only when the file has changed."""

    def __init__(self, path: Path, account: str) -> None:
        self._path, self._account = path, account
        self._stamp: _Stamp | None = None
        self._halt: Halt | None = None

    def read(self) -> Halt | None:
        halt = self.last()
        return halt if halt is not None and halt.is_halted else None

    def last(self) -> Halt | None:
        try:
            status = os.stat(self._path)
        except FileNotFoundError:
            return None
        except OSError as error:
            return self._damaged(error.strerror or str(error))
        stamp = (status.st_ino, status.st_mtime_ns, status.st_size)
        if stamp != self._stamp:
            halt = self._decode()  # taken before it is kept: a file that changes meanwhile is read again
            self._stamp, self._halt = stamp, halt
        return self._halt

    def _decode(self) -> Halt:
        try:
            found = _FILE.decode(self._path.read_bytes())
            fields = [Halt.__struct_config__.tag, *(found[name] for name in Halt.__struct_fields__)]
            halt = _HALT.decode(msgspec.msgpack.encode(fields))
        except (OSError, KeyError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            return self._damaged(f"{type(error).__name__}: {error}")
        if halt.account != self._account:
            return self._damaged(f"it is of account {halt.account!r}")
        return halt

    def _damaged(self, why: str) -> Halt:
        text = f"{self._path} cannot be read and therefore counts as shut ({' '.join(why.split())})"
        return Halt(self._account, 0, True, "damaged", "", text)

    def write(self, halt: Halt) -> None:
        fields = {name: getattr(halt, name) for name in Halt.__struct_fields__}
        part = self._path.with_name(f".{self._path.name}.{os.getpid()}.{threading.get_ident()}")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with open(part, "wb") as file:
                file.write(msgspec.json.format(msgspec.json.encode(fields), indent=2) + b"\n")
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, self._path)
            _sync_folder(self._path.parent)
        except OSError as error:
            with contextlib.suppress(OSError):
                part.unlink()
            raise StoreError(
                f"the latch {self._path} cannot be written ({error.strerror or error}): free the disk or its rights"
            ) from None


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
