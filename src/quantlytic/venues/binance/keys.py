"""The key to an account, and what is signed with it."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping

from quantlytic.venues.keys import Keys as VenueKeys


class Keys(VenueKeys):
    """An API key and its secret (HMAC). Neither appears in any text made of this object."""

    __slots__ = ()

    @classmethod
    def from_environment(cls, prefix: str = "BINANCE") -> Keys:
        """From PREFIX_API_KEY and PREFIX_API_SECRET. Raises InputError naming the one that is missing."""
        return cls(*cls.values(f"{prefix}_API_KEY", f"{prefix}_API_SECRET"))

    def signature(self, payload: str) -> str:
        """HMAC-SHA256 of the payload, in hex."""
        return hmac.new(self._secret.encode(), payload.encode(), hashlib.sha256).hexdigest()

    def signed_call(self, params: Mapping[str, str | int]) -> dict[str, str | int]:
        """Parameters of a WebSocket API call: with the key, and signed in the order of their names."""
        full = {**params, "apiKey": self.api_key}
        payload = "&".join(f"{name}={full[name]}" for name in sorted(full))
        return {**full, "signature": self.signature(payload)}
