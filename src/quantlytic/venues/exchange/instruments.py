"""What the exchange lists, and its filters: steps are powers of ten, so that ticks and lots are exact integers."""

from __future__ import annotations

from typing import Any

import msgspec

from quantlytic.model.errors import InputError
from quantlytic.venues.exchange import rejects
from quantlytic.venues.exchange.units import E8, e8, e8_text

MAX_OPEN_ORDERS = 200
ORDER_TYPES = ("LIMIT", "LIMIT_MAKER", "MARKET")
QUOTES = ("USDT", "USDC", "FDUSD", "BUSD", "TUSD", "BTC", "ETH", "BNB", "EUR", "USD")
SEED_PRICES = {
    "BTCUSDT": "60000",
    "ETHUSDT": "3000",
    "SOLUSDT": "150",
    "BNBUSDT": "600",
    "XRPUSDT": "2",
    "DOGEUSDT": "0.2",
}


class Listing(msgspec.Struct, frozen=True):
    """One symbol. A tick is 10**-price_decimals quote, a lot 10**-lot_decimals base; together at most 8 decimals,
    where it is traded here, so that every notional is a whole number of e8 units."""

    symbol: str
    base: str
    quote: str
    price_decimals: int
    lot_decimals: int
    min_notional_e8: int = 5 * E8
    max_lots: int = 10**9

    @property
    def tick_e8(self) -> int:
        """One tick in e8 quote units."""
        return int(10 ** (8 - self.price_decimals))

    @property
    def lot_e8(self) -> int:
        """One lot in e8 base units."""
        return int(10 ** (8 - self.lot_decimals))

    @property
    def notional_e8(self) -> int:
        """The value of one lot at a price of one tick, in e8 quote units."""
        return int(10 ** (8 - self.price_decimals - self.lot_decimals))

    def ticks(self, price: str) -> int:
        """A price as text to ticks. Raises Reject for text that is no number or that is off the PRICE_FILTER's grid."""
        value = e8(price)
        if value is None:
            raise rejects.illegal("price")
        if value <= 0 or value % self.tick_e8 or value > 10**6 * E8:
            raise rejects.filtered("PRICE_FILTER")
        return value // self.tick_e8

    def lots(self, quantity: str, market: bool = False) -> int:
        """A quantity as text to lots. Raises Reject for text that is no number or that is off the LOT_SIZE grid."""
        value = e8(quantity)
        if value is None:
            raise rejects.illegal("quantity")
        lots, rest = divmod(value, self.lot_e8)
        if lots <= 0 or rest or lots > self.max_lots:
            raise rejects.filtered("LOT_SIZE")
        if market and lots > self.max_lots // 10:
            raise rejects.filtered("MARKET_LOT_SIZE")
        return lots

    def check_notional(self, ticks: int, lots: int) -> None:
        """Raise Reject when an order is worth less than the NOTIONAL filter's minimum."""
        if ticks * lots * self.notional_e8 < self.min_notional_e8:
            raise rejects.filtered("NOTIONAL")

    def check_band(self, ticks: int, last_ticks: int) -> None:
        """Raise Reject when a limit price is below a fifth or above five times the last (PERCENT_PRICE_BY_SIDE)."""
        if last_ticks and not last_ticks <= 5 * ticks <= 25 * last_ticks:
            raise rejects.filtered("PERCENT_PRICE_BY_SIDE")

    def info(self, status: str = "TRADING") -> dict[str, Any]:
        """The symbol's entry in exchangeInfo."""
        lot, most = e8_text(self.lot_e8), e8_text(self.max_lots * self.lot_e8)
        return {
            "symbol": self.symbol,
            "status": status,
            "baseAsset": self.base,
            "baseAssetPrecision": 8,
            "quoteAsset": self.quote,
            "quotePrecision": 8,
            "quoteAssetPrecision": 8,
            "baseCommissionPrecision": 8,
            "quoteCommissionPrecision": 8,
            "orderTypes": list(ORDER_TYPES),
            "icebergAllowed": False,
            "ocoAllowed": False,
            "otoAllowed": False,
            "quoteOrderQtyMarketAllowed": True,
            "allowTrailingStop": False,
            "cancelReplaceAllowed": False,
            "isSpotTradingAllowed": True,
            "isMarginTradingAllowed": False,
            "filters": [
                {
                    "filterType": "PRICE_FILTER",
                    "minPrice": e8_text(self.tick_e8),
                    "maxPrice": "1000000.00000000",
                    "tickSize": e8_text(self.tick_e8),
                },
                {"filterType": "LOT_SIZE", "minQty": lot, "maxQty": most, "stepSize": lot},
                {
                    "filterType": "MARKET_LOT_SIZE",
                    "minQty": lot,
                    "maxQty": e8_text(self.max_lots // 10 * self.lot_e8),
                    "stepSize": lot,
                },
                {
                    "filterType": "PERCENT_PRICE_BY_SIDE",
                    "bidMultiplierUp": "5",
                    "bidMultiplierDown": "0.2",
                    "askMultiplierUp": "5",
                    "askMultiplierDown": "0.2",
                    "avgPriceMins": 0,
                },
                {
                    "filterType": "NOTIONAL",
                    "minNotional": e8_text(self.min_notional_e8),
                    "applyMinToMarket": True,
                    "maxNotional": "9000000.00000000",
                    "applyMaxToMarket": False,
                    "avgPriceMins": 0,
                },
                {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": MAX_OPEN_ORDERS},
            ],
            "permissions": [],
            "permissionSets": [["SPOT"]],
            "defaultSelfTradePreventionMode": "EXPIRE_MAKER",
            "allowedSelfTradePreventionModes": ["EXPIRE_MAKER"],
        }


def split_symbol(symbol: str) -> tuple[str, str]:
    """`"BTCUSDT"` -> `("BTC", "USDT")`. Raises InputError when no known quote currency ends it."""
    for quote in QUOTES:
        if symbol.endswith(quote) and len(symbol) > len(quote):
            return symbol[: -len(quote)], quote
    raise InputError(f"symbol {symbol!r}: its quote currency is not one of {', '.join(QUOTES)}")


def listing_for(symbol: str) -> Listing:
    """The listing of a symbol that the synthetic market knows. Raises InputError naming those it knows."""
    symbol = symbol.upper()
    if symbol not in SEED_PRICES:
        raise InputError(f"the synthetic market does not list {symbol!r}; it knows {', '.join(SEED_PRICES)}")
    base, quote = split_symbol(symbol)
    decimals = {"BTCUSDT": (2, 5), "ETHUSDT": (2, 4), "SOLUSDT": (2, 3), "BNBUSDT": (2, 3), "XRPUSDT": (4, 1)}
    price_decimals, lot_decimals = decimals.get(symbol, (5, 0))
    return Listing(symbol, base, quote, price_decimals, lot_decimals)
