"""A venue's request budget, kept on our side so that its limit is never met."""

from __future__ import annotations

import asyncio


class WeightBudget:
    """A bucket that fills by `per_minute` a minute and holds half a minute's worth: no burst can break the limit."""

    def __init__(self, per_minute: int) -> None:
        self._per_s = per_minute / 60
        self._capacity = per_minute / 2
        self._level = self._capacity
        self._at = 0.0

    async def spend(self, weight: int) -> None:
        """Take `weight` out of the bucket; waits while it is empty."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._level = min(self._capacity, self._level + (now - self._at) * self._per_s)
        self._at = now
        self._level -= weight
        if self._level < 0:
            await asyncio.sleep(-self._level / self._per_s)
