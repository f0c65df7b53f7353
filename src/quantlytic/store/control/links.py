"""Links that are mailed: whoever has one may do what it is for, and nothing else."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from quantlytic.model.errors import InputError, StoreError
from quantlytic.model.time import NS_PER_S

LIFETIME_S = {"confirm": 2 * 86400, "mine": 86400, "unsubscribe": 5 * 365 * 86400}
"""Purpose -> how long its links are good. Mails are kept for long, and each must be good for ending the next one."""
SECRET_FILE = "alerts.secret"
_MIN_SECRET = 32
_CLOCKS_DIFFER_S = 300  # of the two machines that make and read a link
_VERSION = b"\x01"
_TOKEN = re.compile(r"[A-Za-z0-9_-]{72}")  # 54 bytes: no bits to spare, so that each token has one spelling
_ID = re.compile(r"[0-9a-f]{32}")
_FOREIGN = "This link is not one of ours, or a part of it is missing: open it from the mail once more."
_EXPIRED = "This link is too old: ask for a new one."


class Opened(NamedTuple):
    """What a link says: whose it is, and when it was made (ns UTC, whole seconds)."""

    subscriber_id: str
    issued_ns: int


class Links:
    """Makes and reads links: version, time and subscriber, signed by HMAC-SHA256 with a key of each purpose's own (RFC 2104).

    `secret`: at least 32 bytes, the same for all who make and read links. `base_url`: where the pages are for those who get
    the mails, such as "https://alerts.example.com". Raises InputError when either cannot be.
    """

    def __init__(self, secret: bytes, base_url: str) -> None:
        if len(secret) < _MIN_SECRET:
            raise InputError(f"the secret of the mailed links is too short: take at least {_MIN_SECRET} random bytes")
        self.base_url = _clean_base(base_url)
        self._keys = {purpose: hmac.digest(secret, f"link {purpose}".encode(), "sha256") for purpose in LIFETIME_S}

    def url(self, purpose: str, subscriber_id: str, now_ns: int) -> str:
        """The address of the page for that purpose: "confirm", "mine" or "unsubscribe" (which takes RFC 8058's POST as well)."""
        return f"{self.base_url}/{purpose}?token={self.token(purpose, subscriber_id, now_ns)}"

    def token(self, purpose: str, subscriber_id: str, now_ns: int) -> str:
        """What such an address carries; 72 characters of A-Z a-z 0-9 _ -."""
        if not _ID.fullmatch(subscriber_id):
            raise ValueError("a subscriber_id has 32 hexadecimal digits")
        body = _VERSION + (now_ns // NS_PER_S).to_bytes(5, "big") + bytes.fromhex(subscriber_id)
        return urlsafe_b64encode(body + self._signature(purpose, body)).decode()

    def open(self, token: str, purpose: str, now_ns: int) -> Opened:
        """What a token of that purpose says. Raises InputError, in a sentence for whoever followed the link, when it is forged,
        damaged, of another purpose or too old."""
        if not _TOKEN.fullmatch(token):
            raise InputError(_FOREIGN)
        raw = urlsafe_b64decode(token)
        body = raw[:22]
        is_ours = hmac.compare_digest(raw[22:], self._signature(purpose, body))
        age_s = now_ns // NS_PER_S - int.from_bytes(body[1:6], "big")
        if not is_ours or body[:1] != _VERSION or age_s < -_CLOCKS_DIFFER_S:
            raise InputError(_FOREIGN)
        if age_s > LIFETIME_S[purpose]:
            raise InputError(_EXPIRED)
        return Opened(body[6:].hex(), int.from_bytes(body[1:6], "big") * NS_PER_S)

    def _signature(self, purpose: str, body: bytes) -> bytes:
        return hmac.new(self._keys[purpose], body, hashlib.sha256).digest()


def link_secret(home: Path) -> bytes:
    """The secret of the links of that home folder: made once, in a file that only this user can read.

    Raises StoreError when it can be neither made nor read, or is damaged.
    """
    path = home / SECRET_FILE
    try:
        if not path.exists():
            _put_new(path, secrets.token_bytes(_MIN_SECRET).hex())
        text = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise StoreError(f"the secret of the mailed links {path} cannot be used: {reason}") from None
    if not re.fullmatch(r"[0-9a-f]{64,}", text):
        raise StoreError(
            f"the secret of the mailed links {path} is damaged: restore it from a copy, or remove it (links that were mailed "
            "are then good no more)"
        )
    return bytes.fromhex(text)


def _put_new(path: Path, text: str) -> None:
    """All or nothing, and only where there is none: of two processes that make it, one wins and both read that one."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with open(part, "w", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(text)
        os.link(part, path)
    except FileExistsError:
        pass
    finally:
        part.unlink(missing_ok=True)


def _clean_base(text: str) -> str:
    try:
        parts = urlsplit(text)
        is_good = parts.scheme in ("http", "https") and bool(parts.hostname) and not (parts.query or parts.fragment)
        is_good = is_good and parts.username is None and (parts.port is None or parts.port > 0)
    except ValueError:
        is_good = False
    if not is_good or not re.fullmatch(r"[!-~]+", text):
        raise InputError(f"{text!r} is no address of the alert pages: write one such as https://alerts.example.com")
    return text.rstrip("/")
