"""Candles: minutes are kept, seconds are made from the trades, longer ones from the minutes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from quantlytic.venues.exchange.events import Print
from quantlytic.venues.exchange.units import e8_text

SECOND_MS = 1000
MINUTE_MS = 60_000
DAY_MS = 86_400_000
WEEK_SHIFT_MS = 4 * DAY_MS  # 1970-01-01 was a Thursday, and weeks begin on Monday

INTERVALS_MS = {
    "1s": SECOND_MS,
    "1m": MINUTE_MS,
    "3m": 3 * MINUTE_MS,
    "5m": 5 * MINUTE_MS,
    "15m": 15 * MINUTE_MS,
    "30m": 30 * MINUTE_MS,
    "1h": 60 * MINUTE_MS,
    "2h": 120 * MINUTE_MS,
    "4h": 240 * MINUTE_MS,
    "6h": 360 * MINUTE_MS,
    "8h": 480 * MINUTE_MS,
    "12h": 720 * MINUTE_MS,
    "1d": DAY_MS,
    "3d": 3 * DAY_MS,
    "1w": 7 * DAY_MS,
}


class Candle(msgspec.Struct):
    """A stretch of trades, in e8 units. `taker_*`: the part in which a buyer was the taker."""

    symbol: str
    open_ms: int
    open: int
    high: int
    low: int
    close: int
    volume: int
    quote: int
    trades: int
    taker_volume: int
    taker_quote: int
    first_id: int
    last_id: int

    def merge(self, later: Candle) -> None:
        """Take in the candle that follows."""
        self.high = max(self.high, later.high)
        self.low = min(self.low, later.low)
        self.close = later.close
        self.volume += later.volume
        self.quote += later.quote
        self.trades += later.trades
        self.taker_volume += later.taker_volume
        self.taker_quote += later.taker_quote
        self.last_id = later.last_id


def open_of(time_ms: int, interval_ms: int) -> int:
    """The open time of the candle that holds a time."""
    shift = WEEK_SHIFT_MS if interval_ms == 7 * DAY_MS else 0
    return (time_ms - shift) // interval_ms * interval_ms + shift


def candle_of(trade: Print, open_ms: int) -> Candle:
    """One trade as a candle."""
    price, size, quote = trade.price_e8, trade.quantity_e8, trade.quote_e8
    bought = 0 if trade.buyer_is_maker else 1
    ids = trade.trade_id
    return Candle(
        trade.symbol, open_ms, price, price, price, price, size, quote, 1, size * bought, quote * bought, ids, ids
    )


def group(parts: Iterable[Candle], interval_ms: int) -> list[Candle]:
    """Merge candles, given in time order, into longer ones. A stretch without trades has none."""
    grouped: list[Candle] = []
    for part in parts:
        open_ms = open_of(part.open_ms, interval_ms)
        if grouped and grouped[-1].open_ms == open_ms:
            grouped[-1].merge(part)
        else:
            grouped.append(msgspec.structs.replace(part, open_ms=open_ms))
    return grouped


def from_trades(trades: Iterable[Print], interval_ms: int) -> list[Candle]:
    """Candles of trades given in time order."""
    return group((candle_of(trade, trade.time_ms) for trade in trades), interval_ms)


def kline_row(candle: Candle, interval_ms: int) -> list[Any]:
    """A candle as /klines gives it."""
    return [
        candle.open_ms,
        e8_text(candle.open),
        e8_text(candle.high),
        e8_text(candle.low),
        e8_text(candle.close),
        e8_text(candle.volume),
        candle.open_ms + interval_ms - 1,
        e8_text(candle.quote),
        candle.trades,
        e8_text(candle.taker_volume),
        e8_text(candle.taker_quote),
        "0",
    ]


def kline_frame(candle: Candle, interval: str, event_ms: int, closed: bool) -> dict[str, Any]:
    """A message of @kline_<interval>."""
    row = kline_row(candle, INTERVALS_MS[interval])
    return {
        "e": "kline",
        "E": event_ms,
        "s": candle.symbol,
        "k": {
            "t": row[0],
            "T": row[6],
            "s": candle.symbol,
            "i": interval,
            "f": candle.first_id,
            "L": candle.last_id,
            "o": row[1],
            "c": row[4],
            "h": row[2],
            "l": row[3],
            "v": row[5],
            "n": row[8],
            "x": closed,
            "q": row[7],
            "V": row[9],
            "Q": row[10],
            "B": "0",
        },
    }


def ticker(symbol: str, day: Candle | None, last: Print | None, best: tuple[int, ...], now_ms: int) -> dict[str, Any]:
    """The rolling day as /ticker/24hr gives it. `best`: bid, bid quantity, ask, ask quantity in e8 units."""
    opened = day.open if day else (last.price_e8 if last else 0)
    close = day.close if day else opened
    volume, quote = (day.volume, day.quote) if day else (0, 0)
    percent = (close - opened) / opened * 100 if opened else 0.0
    return {
        "symbol": symbol,
        "priceChange": e8_text(close - opened),
        "priceChangePercent": f"{percent:.3f}",
        "weightedAvgPrice": e8_text(quote * 100_000_000 // volume if volume else close),
        "prevClosePrice": e8_text(opened),
        "lastPrice": e8_text(close),
        "lastQty": e8_text(last.quantity_e8 if last else 0),
        "bidPrice": e8_text(best[0]),
        "bidQty": e8_text(best[1]),
        "askPrice": e8_text(best[2]),
        "askQty": e8_text(best[3]),
        "openPrice": e8_text(opened),
        "highPrice": e8_text(day.high if day else close),
        "lowPrice": e8_text(day.low if day else close),
        "volume": e8_text(volume),
        "quoteVolume": e8_text(quote),
        "openTime": now_ms - DAY_MS,
        "closeTime": now_ms,
        "firstId": day.first_id if day else -1,
        "lastId": day.last_id if day else -1,
        "count": day.trades if day else 0,
    }


_TICKER_KEYS = {
    "p": "priceChange",
    "P": "priceChangePercent",
    "w": "weightedAvgPrice",
    "x": "prevClosePrice",
    "c": "lastPrice",
    "Q": "lastQty",
    "b": "bidPrice",
    "B": "bidQty",
    "a": "askPrice",
    "A": "askQty",
    "o": "openPrice",
    "h": "highPrice",
    "l": "lowPrice",
    "v": "volume",
    "q": "quoteVolume",
    "O": "openTime",
    "C": "closeTime",
    "F": "firstId",
    "L": "lastId",
    "n": "count",
}


def ticker_frame(row: dict[str, Any], event_ms: int, mini: bool = False) -> dict[str, Any]:
    """A message of @ticker, or of @miniTicker."""
    keys = ("c", "o", "h", "l", "v", "q") if mini else tuple(_TICKER_KEYS)
    frame = {"e": "24hrMiniTicker" if mini else "24hrTicker", "E": event_ms, "s": row["symbol"]}
    return frame | {key: row[_TICKER_KEYS[key]] for key in keys}
