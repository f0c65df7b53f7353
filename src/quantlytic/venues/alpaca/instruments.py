"""Alpaca's assets as instruments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar
from urllib.parse import quote

import msgspec

from quantlytic.model.errors import InputError
from quantlytic.model.instrument import Instrument
from quantlytic.venues.alpaca import wire
from quantlytic.venues.alpaca.library import AlpacaRest, load, repeated
from quantlytic.venues.alpaca.market import AlpacaMarket, is_crypto
from quantlytic.venues.answers import Refused, Unheard

MANY = 20
"""More symbols than these are looked up in one list, not one by one."""
TICK, SUB_DOLLAR_TICK = 0.01, 0.0001
FRACTION, FRACTION_NOTIONAL = 1e-9, 1.0
Row = TypeVar("Row")


async def load_instruments(
    market: AlpacaMarket, rest: AlpacaRest, symbols: Sequence[str], *, fractional: bool = False
) -> list[Instrument]:
    """The rules of those symbols. Raises InputError for one that Alpaca does not list or does not trade (any more).

    Shares: a tick of 0.01 dollars, of 0.0001 below a dollar (Regulation NMS, rule 612), by the last trade; lots of one
    share, or with `fractional`, where the asset allows it, of 1e-9 from one dollar on. Crypto: as the asset says.
    """
    if len(symbols) > MANY:
        assets = await _listed(market, rest, symbols)
    else:
        assets = [await _asset(market, rest, symbol) for symbol in symbols]
    for row in assets:
        if row.status != "active" or not row.tradable:
            reason = f"it is {row.status}, not tradable"
            raise InputError(f"{market.venue} does not trade {row.symbol} any more: {reason}")
    prices = await _last_prices(market, rest, [symbol for symbol in symbols if not is_crypto(symbol)])
    return [_instrument(market.venue, row, prices.get(row.symbol), fractional) for row in assets]


async def _asset(market: AlpacaMarket, rest: AlpacaRest, symbol: str) -> wire.AssetRow:
    try:
        reply = await repeated(rest, rest.trading.get_asset, quote(symbol, safe=""))
    except Refused as error:
        if error.status == 404:
            raise InputError(f"{market.venue} does not list {symbol}") from None
        raise
    return _convert(reply, wire.AssetRow)


async def _listed(market: AlpacaMarket, rest: AlpacaRest, symbols: Sequence[str]) -> list[wire.AssetRow]:
    """Out of the list of all assets: large, but one call."""
    rows = _convert(await repeated(rest, rest.trading.get_all_assets), list[wire.AssetRow])
    known = {row.symbol: row for row in rows if row.status == "active"}
    known |= {row.symbol: row for row in rows if row.symbol not in known}  # a symbol may have had other owners before
    if unknown := [symbol for symbol in symbols if symbol not in known]:
        raise InputError(f"{market.venue} does not list {', '.join(unknown)}")
    return [known[symbol] for symbol in symbols]


async def _last_prices(market: AlpacaMarket, rest: AlpacaRest, shares: list[str]) -> dict[str, float]:
    if not shares:
        return {}
    request = load("data.requests").StockLatestTradeRequest(symbol_or_symbols=shares, feed=market.stock_feed)
    reply = await repeated(rest, rest.stocks.get_stock_latest_trade, request)
    return {symbol: row.price for symbol, row in _convert(reply, dict[str, _Last]).items()}


class _Last(msgspec.Struct):
    price: float = msgspec.field(name="p", default=0.0)


def _instrument(venue: str, row: wire.AssetRow, price: float | None, fractional: bool) -> Instrument:
    name = f"{venue}:{row.symbol}"
    if row.asset_class == "crypto":
        base, _, quoted = row.symbol.partition("/")
        tick, lot = row.price_increment or 0.0, row.min_trade_increment or 0.0
        return Instrument(id=name, base=base, quote=quoted, tick_size=tick, lot_size=lot)
    tick = SUB_DOLLAR_TICK if price is not None and 0 < price < 1 else TICK
    is_whole = not (fractional and row.fractionable)
    lot, least = (1.0, 0.0) if is_whole else (FRACTION, FRACTION_NOTIONAL)
    return Instrument(id=name, base=row.symbol, quote="USD", tick_size=tick, lot_size=lot, min_notional=least)


def _convert(reply: object, kind: type[Row]) -> Row:
    try:
        return msgspec.convert(reply, kind, strict=False)
    except msgspec.ValidationError as error:
        raise Unheard(f"alpaca: an answer that cannot be read: {error}") from None
