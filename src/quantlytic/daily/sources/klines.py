"""Daily history from Binance, or a server that speaks like it: its candles of a day."""

from __future__ import annotations

import asyncio
from datetime import date
from typing import Any
from urllib.parse import urlencode

import msgspec
import numpy as np

from quantlytic.daily.calendar import DAY_NS, label_ns
from quantlytic.model.errors import InputError, VenueError
from quantlytic.venues.answers import Refused
from quantlytic.venues.binance.market import BinanceMarket
from quantlytic.venues.binance.rest import RestClient
from quantlytic.venues.budget import WeightBudget
from quantlytic.venues.daily import DAILY, DailyHistory

_PAGE = 1000
_WEIGHT = 2
_UNKNOWN_SYMBOL = -1121


class KlinesDaily:
    """Candles over whole days of UTC."""

    def __init__(self, market: BinanceMarket, timeout_s: float = 10.0) -> None:
        self.name = market.venue
        self._market, self._timeout_s = market, timeout_s

    def history(self, instrument: str, start: date, end: date) -> DailyHistory:
        symbol = instrument.partition(":")[2]
        try:
            candles = asyncio.run(self._fetch(symbol, label_ns(start) // 10**6, (label_ns(end) + DAY_NS) // 10**6 - 1))
        except Refused as error:
            if error.code == _UNKNOWN_SYMBOL:
                raise InputError(f"{self.name} has no symbol {symbol!r}") from None
            raise
        rows = np.zeros(len(candles), DAILY)
        rows["adj_close"] = np.nan
        for at, candle in enumerate(candles):
            rows["time"][at] = int(candle[0]) * 10**6
            for place, name in enumerate(("open", "high", "low", "close", "volume"), 1):
                rows[name][at] = float(candle[place])
        return DailyHistory(instrument, rows, "raw")

    async def _fetch(self, symbol: str, first_ms: int, last_ms: int) -> list[Any]:
        """Page by page, oldest first."""
        found: list[Any] = []
        budget = WeightBudget(self._market.weight_per_minute)
        async with RestClient(self._market.rest_url, budget=budget, timeout_s=self._timeout_s) as client:
            while first_ms <= last_ms:
                asked = {"symbol": symbol, "interval": "1d", "startTime": first_ms, "endTime": last_ms, "limit": _PAGE}
                answer = await client.get(f"{self._market.api}/klines?{urlencode(asked)}", _WEIGHT)
                page = _decoded(answer, self.name)
                found += page
                if len(page) < _PAGE:
                    break
                first_ms = int(page[-1][6]) + 1
        return found


def _decoded(answer: bytes, name: str) -> list[list[Any]]:
    try:
        return msgspec.json.decode(answer, type=list[list[Any]])
    except msgspec.DecodeError:
        raise VenueError(f"{name} answers with something that is no candles: {answer[:60]!r}") from None
