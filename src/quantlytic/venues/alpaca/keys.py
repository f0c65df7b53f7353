"""Alpaca's key: paper and live accounts have keys of their own."""

from __future__ import annotations

from quantlytic.venues.keys import Keys


class AlpacaKeys(Keys):
    """An API key id and its secret."""

    __slots__ = ()

    @classmethod
    def from_environment(cls) -> AlpacaKeys:
        """From ALPACA_API_KEY and ALPACA_API_SECRET. Raises InputError naming the one that is missing."""
        return cls(*cls.values("ALPACA_API_KEY", "ALPACA_API_SECRET"))
