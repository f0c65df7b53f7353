"""Daily history from any exchange that ccxt knows."""

from __future__ import annotations

import asyncio
from datetime import date
from typing import Any

import numpy as np

from quantlytic.daily.calendar import DAY_NS, label_ns
from quantlytic.model.errors import InputError, VenueError
from quantlytic.venues.ccxt.library import errors, one_line, open_exchange
from quantlytic.venues.daily import DAILY, DailyHistory

_PAGE = 500


class CcxtDaily:
    """Candles over whole days of UTC. `exchange` is a name ccxt knows, or its object."""

    def __init__(self, exchange: Any) -> None:
        self._exchange = exchange
        self.name = exchange if isinstance(exchange, str) else str(exchange.id)

    def history(self, instrument: str, start: date, end: date) -> DailyHistory:
        symbol = instrument.partition(":")[2]
        known = errors()
        try:
            candles = asyncio.run(self._fetch(symbol, label_ns(start), label_ns(end)))
        except (known.BadSymbol, known.NotSupported) as error:
            raise InputError(f"{self.name} has no daily candles of {symbol!r}: {one_line(error)}") from None
        except known.BaseError as error:
            raise VenueError(f"{self.name} cannot be asked for {symbol!r}: {one_line(error)}") from None
        rows = np.zeros(len(candles), DAILY)
        rows["adj_close"] = np.nan
        for at, (time_ms, *values) in enumerate(candles):
            rows["time"][at] = int(time_ms) * 10**6
            for name, value in zip(("open", "high", "low", "close", "volume"), values, strict=True):
                rows[name][at] = np.nan if value is None else float(value)
        return DailyHistory(instrument, rows, "raw")

    async def _fetch(self, symbol: str, first_ns: int, last_ns: int) -> list[Any]:
        is_ours = isinstance(self._exchange, str)
        exchange = open_exchange(self._exchange) if is_ours else self._exchange
        found: dict[int, Any] = {}
        try:
            since_ns = first_ns
            while since_ns <= last_ns:
                page = await exchange.fetch_ohlcv(symbol, "1d", since=since_ns // 10**6, limit=_PAGE)
                new = [row for row in page if first_ns <= row[0] * 10**6 <= last_ns and row[0] not in found]
                found |= {row[0]: row for row in new}
                if not new:
                    break
                since_ns = int(new[-1][0]) * 10**6 + DAY_NS
        finally:
            if is_ours:
                await exchange.close()
        return [found[time_ms] for time_ms in sorted(found)]
