"""Finnhub's key."""

from __future__ import annotations

from quantlytic.venues.keys import Keys


class FinnhubKeys(Keys):
    """An API key; Finnhub has no secret beside it."""

    __slots__ = ()

    @classmethod
    def from_environment(cls) -> FinnhubKeys:
        """From FINNHUB_API_KEY. Raises InputError when it is missing."""
        return cls(*cls.values("FINNHUB_API_KEY"))
