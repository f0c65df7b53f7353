"""The captures of 15 venues: their lines, and what ccxt has to know of them (its exchange, the listed instruments)."""

from __future__ import annotations

import ast
import gzip
import re
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from quantlytic.model.frame import RawFrame
from quantlytic.venues.ccxt.library import open_exchange

FOLDER = "raw_ws_cryptofeed"
EXCHANGES = {
    "BINANCE": "binance",
    "BINANCE_FUTURES": "binanceusdm",
    "BINANCE_US": "binanceus",
    "BITFINEX": "bitfinex",
    "BITMEX": None,
    "BITSTAMP": "bitstamp",
    "COINBASE": "coinbaseexchange",
    "DERIBIT": "deribit",
    "GATEIO": "gate",
    "GEMINI": "gemini",
    "HUOBI": "htx",
    "KRAKEN": "kraken",
    "KUCOIN": "kucoin",
    "OKX": "okx",
    "POLONIEX": "poloniex",
}
"""Of ccxt 4.5; None: it streams no such venue."""
_SPOT = {
    "BINANCE": "NKN-USDT BLZ-ETH LRC-BTC RUNE-EUR",
    "BINANCE_US": "CRV-USDT COMP-USDT OMG-BUSD ZRX-USDT",
    "BITFINEX": "BFT-USD IOT-ETH DOG-USD MNA-BTC ODE-USD TESTBTC-TESTUSD SNG-USD",
    "BITSTAMP": "SGB-EUR ETH-USD XRP-EUR BAT-EUR USDT-EUR USDT-USD XLM-GBP ADA-EUR BAT-BTC GALA-EUR",
    "COINBASE": "SKL-USD SKL-BTC BAND-GBP NMR-EUR BAND-BTC YFI-BTC DASH-BTC NU-GBP CRV-EUR SKL-GBP",
    "GATEIO": "INK-USDT HAI-ETH BTC-USDC NANO-USDT QTUM3S-USDT DIS-USDT NEO-BTC FAST-USDT ZKS-ETH OMG-USDT",
    "GEMINI": "BTC-GBP LINK-ETH FIL-USD ZEC-LTC BAT-BTC ETH-EUR LTC-ETH GRT-USD ANKR-USD ALCX-USD",
    "HUOBI": "PROPY-ETH ZEN-ETH TRIO-ETH XVG-ETH YFI-HUSD OMG-BTC NEST-ETH BOR-USDT FIL3S-USDT DOGE-ETH",
    "KRAKEN": "WAVES-EUR XMR-USD KSM-XBT GRT-ETH SC-EUR ETH-CHF OCEAN-XBT OMG-USD XBT-CHF ADA-XBT",
    "KUCOIN": "EQZ-BTC ANKR-BTC SNX-BTC FET-BTC BCHSV-USDT NRG-BTC CAPP-BTC DAPPT-BTC COV-BTC LTX-USDT",
    "OKX": "BTC-USDT",
    "POLONIEX": "BCH-USDT EFI-USDT USDJ-USDT DYP-USDT SOL-USDT MDT-BTC GRT-USDT GF-USDT BCH-BTC ZEC-USDT BTC-USDT",
}
"""What was subscribed to, each as base and quote in the venue's own words."""
_BETWEEN = {"COINBASE": "-", "GATEIO": "_", "KRAKEN": "/", "KUCOIN": "-", "OKX": "-", "POLONIEX": "_"}
_DERIVATIVES = {
    "BINANCE_FUTURES": {f"{base}USDT": f"{base}/USDT:USDT" for base in ("SUSHI", "AKRO", "KEEP", "CTK")},
    "DERIBIT": {
        "BTC-24SEP21-8000-P": "BTC/USD:BTC-210924-8000-P",
        "BTC-30JUL21-24000-P": "BTC/USD:BTC-210730-24000-P",
        "ETH-30JUL21-2800-C": "ETH/USD:ETH-210730-2800-C",
        "BTC-31DEC21-34000-P": "BTC/USD:BTC-211231-34000-P",
        "BTC-24SEP21-34000-P": "BTC/USD:BTC-210924-34000-P",
        "BTC-24JUN22-15000-C": "BTC/USD:BTC-220624-15000-C",
        "BTC-31DEC21-300000-C": "BTC/USD:BTC-211231-300000-C",
        "ETH-27AUG21-4000-P": "ETH/USD:ETH-210827-4000-P",
        "BTC-25MAR22-30000-C": "BTC/USD:BTC-220325-30000-C",
        "ETH-23JUL21-2300-C": "ETH/USD:ETH-210723-2300-C",
    },
    "OKX": {"BTC-USD-220527": "BTC/USD:BTC-220527", "UNI-USD-SWAP": "UNI/USD:UNI"},
}
_BULLET = b'{"code":"200000","data":{"token":"t","instanceServers":[{"endpoint":"wss://push-private.kucoin.com"}]}}'
"""What KuCoin answers when it is asked where to connect to; the capture has not got it."""
_SENT_OR_REPLY = re.compile(rb"^(\S+) (<-|->|<->) ([\d.]+):? ?(.*)$", re.DOTALL)
_MESSAGE = re.compile(rb"^([\d.]+): (.*)$", re.DOTALL)


class Capture(NamedTuple):
    """One connection: its address, what came over it, and the venue's REST replies, by time."""

    venue: str
    url: str
    frames: tuple[RawFrame, ...]
    replies: tuple[RawFrame, ...]


def _lines(path: Path) -> list[bytes]:
    with gzip.open(path) as file:
        return [line.rstrip(b"\r\n") for line in file if line.strip()]


def _time(stamp: bytes) -> int:
    whole, _, part = stamp.decode().partition(".")
    return int(whole) * 10**9 + int(part.ljust(9, "0")[:9] or "0")


@cache
def captures_of(folder: Path, venue: str) -> tuple[Capture, ...]:
    """Its connections, oldest first."""
    replies = []
    for path in [folder / FOLDER / f"{venue}.0.gz", *sorted((folder / FOLDER).glob(f"{venue}.http.*.gz"))]:
        for line in _lines(path):
            if (match := _SENT_OR_REPLY.match(line)) and match[2] == b"->":
                url = match[1].decode().replace("v3/market/orderbook/level2", "v1/market/orderbook/level2_100")
                replies.append(RawFrame("rest", _time(match[3]), url, match[4]))
    found = []
    for path in sorted((folder / FOLDER).glob(f"{venue}.ws.*.gz")):
        url, frames = "", []
        for line in _lines(path):
            if match := _MESSAGE.match(line):
                body = match[2]
                payload = ast.literal_eval(body.decode()) if body.startswith(b"b'") or body.startswith(b'b"') else body
                frames.append(RawFrame(path.name, _time(match[1]), "", payload))
            elif (match := _SENT_OR_REPLY.match(line)) and match[2] != b"->":
                url = match[1].decode()
            else:
                raise ValueError(f"{path.name}: a line of no known form: {line[:80]!r}")
        found.append((url, tuple(frames)))
    if venue == "KUCOIN":
        replies.append(RawFrame("rest", 0, "https://api.kucoin.com/api/v1/bullet-public", _BULLET))
    ordered = tuple(sorted(replies, key=lambda reply: reply.receive_time))
    return tuple(Capture(venue, url, frames, ordered) for url, frames in found)


def instruments_of(venue: str) -> dict[str, str]:
    """ccxt's symbol of each instrument, by the venue's name for it."""
    found = {}
    for name in _SPOT.get(venue, "").split():
        base, quote = name.split("-")
        between = _BETWEEN.get(venue, ":" if len(base) > 4 and venue == "BITFINEX" else "")
        market_id = base + between + quote
        if venue in ("BITSTAMP", "HUOBI", "GEMINI"):
            market_id = market_id.lower()
        found["t" + market_id if venue == "BITFINEX" else market_id] = f"{base}/{quote}".replace("XBT", "BTC")
    return found | _DERIVATIVES.get(venue, {})


def exchange_of(venue: str) -> Any:
    """ccxt's object with these instruments listed, and no others; None where ccxt has none."""
    name = EXCHANGES[venue]
    if name is None:
        return None
    exchange = open_exchange(name)
    markets = []
    for market_id, symbol in instruments_of(venue).items():
        pair, _, rest = symbol.partition(":")
        base, quote = pair.split("/")
        settle, _, terms = rest.partition("-")
        kind = "spot" if not rest else "option" if terms.count("-") else "future" if terms else "swap"
        market = {
            "id": market_id, "lowercaseId": market_id.lower(), "symbol": symbol, "type": kind, kind: True, "active": True,
            "base": base, "quote": quote, "baseId": base, "quoteId": quote, "settle": settle or None,
            "settleId": settle or None, "spot": not rest, "contract": bool(rest), "contractSize": 1.0 if rest else None,
            "linear": settle == quote if rest else None, "inverse": settle == base if rest else None,
            "precision": {"price": 1e-8, "amount": 1e-8}, "info": {},
        }  # fmt: skip
        markets.append(exchange.safe_market_structure(market))
    exchange.set_markets(markets)
    return exchange
