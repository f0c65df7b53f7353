"""Links that are mailed: whoever has one may do what it is for, and nothing else."""

from __future__ import annotations

import hashlib
import hmac
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import NamedTuple
from urllib.parse import urlsplit

from quantlytic.model.errors import InputError
from quantlytic.model.time import NS_PER_S

LIFETIME_S = {"confirm": 2 * 86400, "mine": 86400, "unsubscribe": 5 * 365 * 86400}
"""Purpose -> how long its links are good. Mails are kept for long, and each must be good for ending the next one."""
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


def _clean_base(text: str) -> str:
    try:
        parts = urlsplit(text)
        is_good = parts.scheme in ("http", "https") and bool(parts.hostname) and not (parts.query or parts.fragment)
        is_good = is_good and parts.username is None and (parts.port is None or parts.port > 0)
    except ValueError:
        is_good = False
    if not is_good or not re.fullmatch(r"[!-;=?-~]+", text):  # as mails take it
        raise InputError(f"{text!r} is no address of the alert pages: write one such as https://alerts.example.com")
    return text.rstrip("/")
