"""Who may do what, and how often: API keys, HMAC signatures, time windows, listen keys, rate limits."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable, Collection, Mapping
from urllib.parse import parse_qsl

from quantlytic.venues.exchange import rejects
from quantlytic.venues.exchange.rejects import Reject

LISTEN_KEY_MS = 60 * 60_000


class Access:
    """API keys of accounts (`keys`: API key -> (account, secret)), those of `lookers` without the right to trade, and the
    listen keys given out."""

    def __init__(
        self, keys: Mapping[str, tuple[str, str]], now_ms: Callable[[], int], lookers: Collection[str] = ()
    ) -> None:
        self._keys = keys
        self._lookers = frozenset(lookers)
        self._now_ms = now_ms
        self._listen_keys: dict[str, tuple[str, int]] = {}

    def account(self, api_key: str) -> str:
        """The account of a key. Raises Reject for none, or an unknown one."""
        return self._entry(api_key)[0]

    def signed(self, api_key: str, payload: str, params: Mapping[str, str]) -> str:
        """The account that signed `payload` (the parameters as sent, without the signature). Raises Reject."""
        account, secret = self._entry(api_key)
        signature = params.get("signature", "")
        if not signature:
            raise rejects.missing("signature")
        expected = hmac.new(secret.encode(), payload.encode(), hashlib.sha256).hexdigest()
        if not hmac.compare_digest(expected.encode(), signature.lower().encode()):
            raise Reject(-1022, "Signature for this request is not valid.")
        self._check_window(params)
        return account

    def check_trading(self, account: str) -> None:
        """Raises Reject when the account's key may only look."""
        if account in self._lookers:
            raise Reject(-2015, "Invalid API-key, IP, or permissions for action.", 401)

    def open_listen_key(self, account: str) -> str:
        """The account's listen key: a new one, or the valid one with its time renewed."""
        now = self._now_ms()
        self._listen_keys = {key: entry for key, entry in self._listen_keys.items() if entry[1] > now}
        for key, (owner, _) in self._listen_keys.items():
            if owner == account:
                self.keep_listen_key(key)
                return key
        key = secrets.token_hex(32)
        self._listen_keys[key] = (account, now + LISTEN_KEY_MS)
        return key

    def keep_listen_key(self, key: str) -> None:
        """Renew. Raises Reject for a key that is not, or no longer, valid."""
        account = self.listener(key)
        if account is None:
            raise Reject(-1125, "This listenKey does not exist.")
        self._listen_keys[key] = (account, self._now_ms() + LISTEN_KEY_MS)

    def close_listen_key(self, key: str) -> None:
        """Make a key invalid."""
        self._listen_keys.pop(key, None)

    def listener(self, key: str) -> str | None:
        """The account of a valid listen key."""
        account, until = self._listen_keys.get(key, ("", 0))
        return account if until > self._now_ms() else None

    def _entry(self, api_key: str) -> tuple[str, str]:
        if not api_key:
            raise Reject(-2014, "API-key format invalid.", 401)
        entry = self._keys.get(api_key)
        if entry is None:
            raise Reject(-2015, "Invalid API-key, IP, or permissions for action.", 401)
        return entry

    def _check_window(self, params: Mapping[str, str]) -> None:
        stamp, window = params.get("timestamp", ""), params.get("recvWindow", "5000")
        if not stamp.isdecimal():
            raise rejects.missing("timestamp")
        if not window.isdecimal() or not 0 < int(window) <= 60_000:
            raise Reject(-1131, "recvWindow must be less than 60000.")
        now = self._now_ms()
        if int(stamp) >= now + 1000:
            raise Reject(-1021, "Timestamp for this request was 1000ms ahead of the server's time.")
        if now - int(stamp) > int(window):
            raise Reject(-1021, "Timestamp for this request is outside of the recvWindow.")


def split_signature(query: str, body: str) -> tuple[str, dict[str, str]]:
    """What is signed (query and body as sent, one after the other, without the signature) and all parameters."""
    parts = []
    for text in (query, body):
        parts.append("&".join(part for part in text.split("&") if part and not part.startswith("signature=")))
    params = dict(parse_qsl(body, keep_blank_values=True)) | dict(parse_qsl(query, keep_blank_values=True))
    return "".join(parts), params


class Limits:
    """Request weight a minute per address, orders in ten seconds per account."""

    def __init__(self, weight: int, orders: int, now_ms: Callable[[], int]) -> None:
        self.weight = weight
        self.orders = orders
        self._now_ms = now_ms
        self._used: dict[tuple[str, str], tuple[int, int]] = {}

    def spend(self, address: str, weight: int) -> int:
        """Add to the address's weight in this minute and return it. Raises Reject (429, Retry-After) over the limit."""
        used = self._add("weight", address, 60_000, weight)
        if used > self.weight:
            wait_s = 60 - self._now_ms() % 60_000 // 1000
            text = f"Too much request weight used; current limit is {self.weight} request weight per 1 MINUTE."
            raise Reject(
                -1003, f"{text} Please use WebSocket Streams for live updates to avoid polling the API.", 429, wait_s
            )
        return used

    def order(self, account: str) -> int:
        """Count an order of an account and return its orders in these ten seconds. Raises Reject over the limit."""
        used = self._add("orders", account, 10_000, 1)
        if used > self.orders:
            wait_s = 10 - self._now_ms() % 10_000 // 1000
            text = f"Too many new orders; current limit is {self.orders} orders per 10 SECOND."
            raise Reject(-1015, text, 429, wait_s)
        return used

    def orders_used(self, account: str) -> int:
        """The account's orders in these ten seconds."""
        window, used = self._used.get(("orders", account), (0, 0))
        return used if window == self._now_ms() // 10_000 else 0

    def _add(self, kind: str, owner: str, size_ms: int, amount: int) -> int:
        window = self._now_ms() // size_ms
        known, used = self._used.get((kind, owner), (window, 0))
        used = used + amount if known == window else amount
        self._used[(kind, owner)] = (window, used)
        return used
