"""The key to an account, and what is signed with it."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from collections.abc import Mapping

from quantlytic.model.errors import InputError

_HEADER_VALUE = re.compile(r"[!-~]*")


class Keys:
    """An API key and its secret (HMAC). Neither appears in any text made of this object."""

    __slots__ = ("_secret", "api_key")

    def __init__(self, api_key: str, secret: str) -> None:
        if not _HEADER_VALUE.fullmatch(api_key):  # it goes into a header; the message must not show it
            raise InputError(
                "the API key holds characters that no key has: copy it again, without spaces or line breaks"
            )
        self.api_key = api_key
        self._secret = secret.encode()

    def __repr__(self) -> str:
        return "Keys(...)"

    def __reduce__(self) -> str:
        raise TypeError("keys are not stored")

    @classmethod
    def from_environment(cls, prefix: str = "BINANCE") -> Keys:
        """From PREFIX_API_KEY and PREFIX_API_SECRET. Raises InputError naming the one that is missing."""
        values = []
        for name in (f"{prefix}_API_KEY", f"{prefix}_API_SECRET"):
            value = os.environ.get(name, "").strip()
            if not value:
                raise InputError(f"orders need a key: set {name} in the environment")
            values.append(value)
        return cls(*values)

    def signature(self, payload: str) -> str:
        """HMAC-SHA256 of the payload, in hex."""
        return hmac.new(self._secret, payload.encode(), hashlib.sha256).hexdigest()

    def signed_call(self, params: Mapping[str, str | int]) -> dict[str, str | int]:
        """Parameters of a WebSocket API call: with the key, and signed in the order of their names."""
        full = {**params, "apiKey": self.api_key}
        payload = "&".join(f"{name}={full[name]}" for name in sorted(full))
        return {**full, "signature": self.signature(payload)}
