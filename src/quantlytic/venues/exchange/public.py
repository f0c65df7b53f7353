"""The market data half of the REST API: what Binance Spot answers under /api/v3 without a key."""

from __future__ import annotations

import itertools
from collections.abc import Collection
from typing import Any

import msgspec

from quantlytic.venues.exchange import candles, params, rejects, render
from quantlytic.venues.exchange.candles import INTERVALS_MS
from quantlytic.venues.exchange.market import Market
from quantlytic.venues.exchange.params import Params
from quantlytic.venues.exchange.units import e8_text


class PublicApi:
    """Answers as JSON values, or as `msgspec.Raw` where the text is at hand. Raises Reject."""

    def __init__(self, market: Market, weight_limit: int, order_limit: int, delisted: Collection[str] = ()) -> None:
        self.market = market
        self._delisted = frozenset(delisted)
        self._limits = (weight_limit, order_limit)
        self.trading = True

    def ping(self, _: Params) -> Any:
        """Nothing, as proof of life."""
        return {}

    def time(self, _: Params) -> Any:
        """The market's time in ms."""
        return {"serverTime": self.market.time_ms}

    def exchange_info(self, sent: Params) -> Any:
        """Rate limits and listings with their filters."""
        listings = self.market.listings
        wanted = self._symbols(sent) or list(listings)
        weight, orders = self._limits
        return {
            "timezone": "UTC",
            "serverTime": self.market.time_ms,
            "rateLimits": [
                {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": weight},
                {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": orders},
            ],
            "exchangeFilters": [],
            "symbols": [self.market.listing(symbol).info(self._status(symbol)) for symbol in wanted],
        }

    def _status(self, symbol: str) -> str:
        if symbol in self._delisted:
            return "BREAK"
        return "TRADING" if self.trading else "HALT"

    def depth(self, sent: Params) -> Any:
        """The book."""
        symbol = self._symbol(sent)
        return msgspec.Raw(render.depth_text(*self.market.depth(symbol, params.limit(sent, 100, 5000))).encode())

    def trades(self, sent: Params) -> Any:
        """The last trades."""
        return self._trades(self._symbol(sent), None, params.limit(sent, 500, 1000))

    def historical_trades(self, sent: Params) -> Any:
        """Trades from `fromId` on."""
        return self._trades(self._symbol(sent), params.integer(sent, "fromId"), params.limit(sent, 500, 1000))

    def agg_trades(self, sent: Params) -> Any:
        """Trades of one taker at one price, together: the last ones, from `fromId`, or between two times."""
        symbol, limit = self._symbol(sent), params.limit(sent, 500, 1000)
        from_id, start, end = (params.integer(sent, name) for name in ("fromId", "startTime", "endTime"))
        journal = self.market.journal
        if from_id is not None:
            first = journal.first_of_agg(symbol, from_id)
            found = [] if first is None else journal.trades(symbol, first, 20 * limit)
        elif start is not None or end is not None:
            found = journal.trades_between(symbol, start or 0, self.market.time_ms if end is None else end, 20 * limit)
        else:
            found = journal.trades(symbol, None, 20 * limit)
        runs = [list(run) for _, run in itertools.groupby(found, key=lambda trade: trade.agg_id)]
        runs = [run for run in runs if from_id is None or run[0].agg_id >= from_id]
        runs = runs[:limit] if from_id is not None or start is not None else runs[-limit:]
        return [render.agg_row(run) for run in runs]

    def klines(self, sent: Params) -> Any:
        """Candles."""
        symbol = self._symbol(sent)
        interval = params.choice(sent, "interval", tuple(INTERVALS_MS))
        start, end = params.integer(sent, "startTime"), params.integer(sent, "endTime")
        found = self.market.klines(symbol, interval, start, end, params.limit(sent, 500, 1000))
        return [candles.kline_row(candle, INTERVALS_MS[interval]) for candle in found]

    def ticker_day(self, sent: Params) -> Any:
        """The rolling day, of one symbol or of all."""
        return self._each(sent, self.market.day)

    def ticker_price(self, sent: Params) -> Any:
        """The last price, of one symbol or of all."""

        def price(symbol: str) -> dict[str, str]:
            last = self.market.last_trade.get(symbol)
            return {"symbol": symbol, "price": e8_text(last.price_e8 if last else 0)}

        return self._each(sent, price)

    def ticker_book(self, sent: Params) -> Any:
        """Best bid and ask, of one symbol or of all."""

        def book(symbol: str) -> dict[str, str]:
            bid, bid_quantity, ask, ask_quantity = map(e8_text, self.market.best(symbol))
            row = {"symbol": symbol, "bidPrice": bid, "bidQty": bid_quantity}
            return row | {"askPrice": ask, "askQty": ask_quantity}

        return self._each(sent, book)

    def nothing(self, _: Params) -> Any:
        """An empty list: there is no margin trading here."""
        return []

    def _symbol(self, sent: Params) -> str:
        return self.market.listing(params.text(sent, "symbol")).symbol

    def _symbols(self, sent: Params) -> list[str]:
        if sent.get("symbol"):
            return [self._symbol(sent)]
        if not sent.get("symbols"):
            return []
        try:
            return msgspec.json.decode(sent["symbols"], type=list[str])
        except msgspec.MsgspecError:
            raise rejects.illegal("symbols") from None

    def _each(self, sent: Params, answer: Any) -> Any:
        if sent.get("symbol"):
            return answer(self._symbol(sent))
        return [answer(self.market.listing(symbol).symbol) for symbol in self._symbols(sent) or self.market.listings]

    def _trades(self, symbol: str, from_id: int | None, limit: int) -> Any:
        return [render.trade_row(trade) for trade in self.market.journal.trades(symbol, from_id, limit)]
