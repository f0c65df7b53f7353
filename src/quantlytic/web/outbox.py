"""The outbox folder: mails that were written instead of sent, listed and opened for reading."""

from __future__ import annotations

import base64
import email
import email.policy
import heapq
import os
import time
from email.message import EmailMessage
from email.utils import parsedate_to_datetime
from pathlib import Path

import msgspec

MAX_MAIL_BYTES = 1_000_000
_HEADER_BYTES = 16_384
_GRAIN_NS = 2_000_000_000
_PICTURES = ("image/png", "image/jpeg", "image/gif")


class Mail(msgspec.Struct, frozen=True):
    """A mail in the folder: file `name`, the local part of its Message-ID, and what its headers say."""

    name: str
    message_id: str
    time_ms: float
    subject: str
    sender: str
    recipient: str


class OpenMail(msgspec.Struct, frozen=True):
    """A mail opened: its headers, its plain text and its HTML ("" for a part it does not have), with its pictures in it."""

    mail: Mail
    text: str
    html: str


class Outbox:
    """Lists the newest .eml files of a folder, which may not exist yet. Reads headers once, and anew when a file changed."""

    def __init__(self, folder: Path, limit: int = 50) -> None:
        self._folder, self._limit = folder, limit
        self._stamp, self._settled = -1, False
        self._read: dict[str, tuple[tuple[int, int], Mail]] = {}  # by file name: (size, time), headers

    def refresh(self) -> bool:
        """Look again; True when the list changed."""
        try:
            stamp = self._folder.stat().st_mtime_ns
            if stamp == self._stamp and self._settled:
                return False
            # Folder times may be coarse: while the last change is young, another could bear the same time.
            self._settled = time.time_ns() - stamp > _GRAIN_NS
            with os.scandir(self._folder) as entries:
                mails = [entry for entry in entries if entry.name.endswith(".eml")]
            newest = heapq.nlargest(self._limit, mails, key=lambda entry: entry.name)
            found = {entry.name: (entry.stat().st_size, entry.stat().st_mtime_ns) for entry in newest}
        except OSError:
            stamp, found = -1, {}
        before, read = self._read, {}
        for name, version in found.items():
            old = before.get(name)
            mail = old[1] if old and old[0] == version else self._headers(name)
            if mail is not None:
                read[name] = version, mail
        self._stamp, self._read = stamp, read
        return read != before

    def mails(self) -> list[Mail]:
        """The newest mails, newest first (file names begin with the time)."""
        return [mail for _, mail in self._read.values()]

    def open(self, name: str) -> OpenMail | None:
        """The mail of that file name; None for a name that is no mail of this folder, or is gone."""
        if Path(name).name != name or not name.endswith(".eml"):
            return None
        try:
            with (self._folder / name).open("rb") as file:
                message = _parse(file.read(MAX_MAIL_BYTES))
        except OSError:
            return None
        return OpenMail(_mail_of(name, message), _part(message, "plain"), _with_pictures(message))

    def _headers(self, name: str) -> Mail | None:
        try:
            with (self._folder / name).open("rb") as file:
                return _mail_of(name, _parse(file.read(_HEADER_BYTES)))
        except OSError:
            return None


def _parse(data: bytes) -> EmailMessage:
    return email.message_from_bytes(data, policy=email.policy.default)


def _mail_of(name: str, message: EmailMessage) -> Mail:
    try:
        time_ms = parsedate_to_datetime(str(message["Date"])).timestamp() * 1000
    except ValueError:
        time_ms = 0.0
    message_id = str(message["Message-ID"] or "").strip().strip("<>").partition("@")[0]
    sender, recipient = str(message["From"] or ""), str(message["To"] or "")
    return Mail(name, message_id, time_ms, str(message["Subject"] or "(no subject)"), sender, recipient)


def _with_pictures(message: EmailMessage) -> str:
    """The HTML with each picture that comes with it (`cid:`) in place: a page cannot look into the mail for it."""
    html = _part(message, "html")
    for part in message.walk():
        cid = str(part["Content-ID"] or "").strip("<> ")
        if cid and part.get_content_type() in _PICTURES and f"cid:{cid}" in html:
            content = part.get_payload(decode=True)
            if isinstance(content, bytes):
                data = base64.b64encode(content).decode()
                html = html.replace(f"cid:{cid}", f"data:{part.get_content_type()};base64,{data}")
    return html


def _part(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    if part is None:
        return ""
    try:
        return str(part.get_content())
    except (LookupError, ValueError):
        return "(this part cannot be read)"
