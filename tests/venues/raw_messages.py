"""The captures' messages read with `json` alone, venue by venue: what our parsers are measured against."""

from __future__ import annotations

from typing import Any, NamedTuple

BINANCE = ("BINANCE", "BINANCE_FUTURES", "BINANCE_US")


class RawTrade(NamedTuple):
    """A trade; the side is the taker's."""

    instrument: str
    trade_id: str
    price: float
    size: float
    side: str


class RawQuote(NamedTuple):
    """A best bid and offer; sizes are 0 where the venue states none."""

    instrument: str
    bid: float
    bid_size: float
    ask: float
    ask_size: float


class RawBook(NamedTuple):
    """A book, or changes of one: (price, size), size 0 takes the level out. `last`: its number, 0 where it has none."""

    instrument: str
    is_whole: bool
    last: int
    bids: list[tuple[float, float]]
    asks: list[tuple[float, float]]


def _floats(levels: Any) -> list[tuple[float, float]]:
    return [(float(level[0]), float(level[1])) for level in levels]


def trades_of(venue: str, m: Any, names: dict[int, tuple[str, str]]) -> list[RawTrade]:
    """The trades that a message holds. `names`: Bitfinex's (channel, instrument) by number."""
    rows: list[tuple[Any, ...]] = []
    if venue in BINANCE and m["stream"].endswith("@aggTrade"):
        d = m["data"]
        rows = [(d["s"], d["a"], d["p"], d["q"], "sell" if d["m"] else "buy")]
    elif venue == "BITFINEX" and isinstance(m, list) and names[m[0]][0] == "trades" and m[1] != "hb":
        rows = [(names[m[0]][1], t[0], t[3], abs(t[2]), "buy" if t[2] > 0 else "sell") for t in m[1]]
    elif venue == "BITSTAMP" and m["event"] == "trade":
        d = m["data"]
        side = "sell" if d["type"] else "buy"
        rows = [(m["channel"].split("_")[2], d["id"], d["price_str"], d["amount_str"], side)]
    elif venue == "COINBASE" and m["type"] == "match":  # the side is the maker's
        side = "sell" if m["side"] == "buy" else "buy"
        rows = [(m["product_id"], m["trade_id"], m["price"], m["size"], side)]
    elif venue == "GATEIO" and m["channel"] == "spot.trades" and m["event"] == "update":
        d = m["result"]
        rows = [(d["currency_pair"], d["id"], d["price"], d["amount"], d["side"])]
    elif venue == "GEMINI":
        found = [m] if m["type"] == "trade" else m.get("trades", [])
        rows = [(m["symbol"].lower(), t["event_id"], t["price"], t["quantity"], t["side"]) for t in found]
    elif venue == "HUOBI" and m.get("ch", "").endswith("trade.detail"):
        name = m["ch"].split(".")[1]
        rows = [(name, t["id"], t["price"], t["amount"], t["direction"]) for t in m["tick"]["data"]]
    elif venue == "KUCOIN" and m.get("subject") == "trade.l3match":
        d = m["data"]
        rows = [(d["symbol"], d["tradeId"], d["price"], d["size"], d["side"])]
    elif venue == "OKX" and m["arg"]["channel"] == "trades" and "data" in m:
        rows = [(t["instId"], t["tradeId"], t["px"], t["sz"], t["side"]) for t in m["data"]]
    elif venue == "POLONIEX" and m["channel"] == "trades" and "data" in m:
        rows = [(t["symbol"], t["id"], t["price"], t["quantity"], t["takerSide"]) for t in m["data"]]
    return [RawTrade(name, str(number), float(price), float(size), side) for name, number, price, size, side in rows]


def quotes_of(venue: str, m: Any, names: dict[int, tuple[str, str]]) -> list[RawQuote]:
    """The best bids and offers that a message states."""
    row: tuple[Any, ...] = ()
    if venue in BINANCE and m["stream"].endswith("@bookTicker"):
        d = m["data"]
        row = (d["s"], d["b"], d["B"], d["a"], d["A"])
    elif venue == "BITFINEX" and isinstance(m, list) and names[m[0]][0] == "ticker" and m[1] != "hb":
        row = (names[m[0]][1], *m[1][:4])
    elif venue == "COINBASE" and m["type"] == "ticker":
        row = (m["product_id"], m["best_bid"], 0, m["best_ask"], 0)
    elif venue == "DERIBIT" and m.get("params", {}).get("channel", "").startswith("ticker."):
        d = m["params"]["data"]
        prices = d["best_bid_price"], d["best_ask_price"]
        if all(prices):  # 0: nobody bids, or nobody asks
            row = (d["instrument_name"], prices[0], d["best_bid_amount"], prices[1], d["best_ask_amount"])
    elif venue == "GATEIO" and m["channel"] == "spot.tickers" and m["event"] == "update":
        d = m["result"]
        row = (d["currency_pair"], d["highest_bid"], 0, d["lowest_ask"], 0)
    elif venue == "KUCOIN" and m.get("subject") == "trade.ticker":
        d = m["data"]
        row = (m["topic"].split(":")[1], d["bestBid"], d["bestBidSize"], d["bestAsk"], d["bestAskSize"])
    elif venue == "OKX" and m["arg"]["channel"] == "tickers" and "data" in m:
        (d,) = m["data"]
        row = (d["instId"], d["bidPx"], d["bidSz"], d["askPx"], d["askSz"])
    return [RawQuote(row[0], *(float(value) for value in row[1:]))] if row else []


def book_of(venue: str, m: Any, names: dict[int, tuple[str, str]]) -> RawBook | None:
    """The book, or the changes of one, that a message holds."""
    if venue in BINANCE and "@depth" in m["stream"]:
        d = m["data"]
        return RawBook(d["s"], False, d["u"], _floats(d["b"]), _floats(d["a"]))
    if venue == "BITFINEX" and isinstance(m, list) and names[m[0]][0] == "book" and m[1] != "hb":
        is_whole = not m[1] or isinstance(m[1][0], list)
        rows = [(p, abs(size) if count else 0.0, size > 0) for p, count, size in (m[1] if is_whole else [m[1]])]
        bids = [(float(p), float(size)) for p, size, is_bid in rows if is_bid]
        return RawBook(names[m[0]][1], is_whole, 0, bids, [(float(p), float(s)) for p, s, is_bid in rows if not is_bid])
    if venue == "BITSTAMP" and m["event"] == "data":
        d = m["data"]
        last = int(d["microtimestamp"])
        return RawBook(m["channel"].split("_")[3], False, last, _floats(d["bids"]), _floats(d["asks"]))
    if venue == "COINBASE" and m["type"] == "snapshot":
        return RawBook(m["product_id"], True, 0, _floats(m["bids"]), _floats(m["asks"]))
    if venue == "COINBASE" and m["type"] == "l2update":
        return _of_changes(m["product_id"], False, m["changes"])
    if venue == "GEMINI" and m["type"] == "l2_updates":
        return _of_changes(m["symbol"].lower(), False, m["changes"])
    if venue == "DERIBIT" and m.get("params", {}).get("channel", "").startswith("book."):
        d = m["params"]["data"]
        sides = [[(float(p), float(s)) for _, p, s in d[side]] for side in ("bids", "asks")]
        return RawBook(d["instrument_name"], d["type"] == "snapshot", d["change_id"], *sides)
    if venue == "OKX" and m["arg"]["channel"] == "books" and "data" in m:
        (d,) = m["data"]
        whole = m["action"] == "snapshot"
        return RawBook(m["arg"]["instId"], whole, 0, _floats(d["bids"]), _floats(d["asks"]))
    if venue == "POLONIEX" and m["channel"] == "book_lv2" and "data" in m:
        (d,) = m["data"]
        return RawBook(d["symbol"], m["action"] == "snapshot", d["id"], _floats(d["bids"]), _floats(d["asks"]))
    if venue == "KUCOIN" and m.get("subject") == "trade.l2update":
        d = m["data"]
        sides = [[(float(p), float(s)) for p, s, _ in d["changes"][k] if float(p)] for k in ("bids", "asks")]
        return RawBook(d["symbol"], False, d["sequenceEnd"], *sides)
    return None


def _of_changes(name: str, is_whole: bool, changes: Any) -> RawBook:
    bids = [(float(price), float(size)) for side, price, size in changes if side == "buy"]
    return RawBook(name, is_whole, 0, bids, [(float(p), float(s)) for side, p, s in changes if side == "sell"])


def snapshot_of(venue: str, url: str, m: Any) -> RawBook | None:
    """The whole book that a REST reply holds."""
    name = url.partition("symbol=")[2].partition("&")[0] or url.rpartition("/")[2]
    if venue in BINANCE and "/depth?" in url:
        return RawBook(name, True, m["lastUpdateId"], _floats(m["bids"]), _floats(m["asks"]))
    if venue == "BITSTAMP" and "/order_book/" in url:
        return RawBook(name, True, int(m["microtimestamp"]), _floats(m["bids"]), _floats(m["asks"]))
    if venue == "KUCOIN" and "/orderbook/" in url:
        d = m["data"]
        return RawBook(name, True, int(d["sequence"]), _floats(d["bids"]), _floats(d["asks"]))
    return None


class PlainBook:
    """A book kept in two dicts."""

    def __init__(self) -> None:
        self.sides: tuple[dict[float, float], dict[float, float]] = ({}, {})

    def apply(self, change: RawBook) -> None:
        for side, levels in zip(self.sides, (change.bids, change.asks), strict=True):
            if change.is_whole:
                side.clear()
            for price, size in levels:
                if size:
                    side[price] = size
                else:
                    side.pop(price, None)

    def best(self, levels: int) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
        bids, asks = self.sides
        return sorted(bids.items(), reverse=True)[:levels], sorted(asks.items())[:levels]
