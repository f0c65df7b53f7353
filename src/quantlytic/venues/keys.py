"""The key to an account: from the environment alone, and in no text."""

from __future__ import annotations

import os
import re

from quantlytic.model.errors import InputError

_HEADER_VALUE = re.compile(r"[!-~]*")


class Keys:
    """An API key and, where the venue has one, its secret. Neither appears in any text made of this object."""

    __slots__ = ("_secret", "api_key")

    def __init__(self, api_key: str, secret: str = "") -> None:
        if not _HEADER_VALUE.fullmatch(api_key):  # it goes into a header; the message must not show it
            raise InputError(
                "the API key holds characters that no key has: copy it again, without spaces or line breaks"
            )
        self.api_key = api_key
        self._secret = secret

    def __repr__(self) -> str:
        return f"{type(self).__name__}(...)"

    def __reduce__(self) -> str:
        raise TypeError("keys are not stored")

    def secret(self) -> str:
        """The secret itself: for the call that needs it, never for a message."""
        return self._secret

    def redacted(self, text: str) -> str:
        """The text without key and secret: for words that come from a library or a venue."""
        for part in (self._secret, self.api_key):
            if part:
                text = text.replace(part, "***")
        return text

    @staticmethod
    def values(*names: str) -> list[str]:
        """Those variables of the environment. Raises InputError naming the first one that is missing."""
        found = []
        for name in names:
            value = os.environ.get(name, "").strip()
            if not value:
                raise InputError(f"a key is needed: set {name} in the environment")
            found.append(value)
        return found
