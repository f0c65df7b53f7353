"""The venues under the conformance suite, each over real sockets: Binance and ccxt against the exchange in a box, Alpaca and
Finnhub, with their unmodified SDKs, against local servers that speak their documented protocols."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import TracebackType
from typing import Any, ClassVar, Self

from tests.venues.alpaca.server import AlpacaServer
from tests.venues.conformance import SECRETS, Rig
from tests.venues.finnhub.server import KEY, FinnhubServer, article

from quantlytic.model.order import Order, OrderType, TimeInForce
from quantlytic.model.side import Side
from quantlytic.venues.alpaca.feed import AlpacaFeed, AlpacaFeedTimings
from quantlytic.venues.alpaca.keys import AlpacaKeys
from quantlytic.venues.alpaca.market import AlpacaMarket
from quantlytic.venues.alpaca.orders import AlpacaOrders, AlpacaTimings
from quantlytic.venues.binance.feed import BinanceFeed, FeedTimings
from quantlytic.venues.binance.keys import Keys
from quantlytic.venues.binance.market import BinanceMarket, spot
from quantlytic.venues.binance.orders import BinanceOrders, OrderTimings
from quantlytic.venues.capabilities import capabilities_of
from quantlytic.venues.ccxt.feed import CcxtFeed
from quantlytic.venues.ccxt.library import open_exchange
from quantlytic.venues.ccxt.normaliser import CcxtNormaliser
from quantlytic.venues.ccxt.orders import CcxtOrders
from quantlytic.venues.clock import GuardedClock
from quantlytic.venues.exchange.config import AccountConfig, ExchangeConfig
from quantlytic.venues.exchange.server import ExchangeServer
from quantlytic.venues.finnhub.feed import FinnhubFeed, FinnhubTimings
from quantlytic.venues.finnhub.keys import FinnhubKeys
from quantlytic.venues.normalisers import normaliser_of
from quantlytic.venues.port import Normaliser, OrderEntry

NOBODY = "http://127.0.0.1:9", "ws://127.0.0.1:9"


class BoxRig(Rig):
    """What Binance's adapter and ccxt's have in common: the exchange in a box behind them, where trades never stop."""

    base = "BTC"
    lot = 0.01
    too_little = 0.00001
    faults: ClassVar = {
        "html": "html", "5xx": "http5xx", "throttle": "http429", "unanswered": "order_timeout", "cut": "order_cut",
    }  # fmt: skip

    def __enter__(self) -> Self:
        accounts = (AccountConfig(deposits={"USDT": "10000000"}), AccountConfig(name="looker", read_only=True))
        self.box = ExchangeServer(
            ExchangeConfig(
                port=0, trades_per_s=50, accounts=accounts, weight_limit=10**9, delisted=("ETHUSDT",), order_limit=10**6
            )
        ).start()
        while self.box.state()["symbols"]["BTCUSDT"]["last_price"] is None:
            time.sleep(0.01)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.box.stop()

    def stir(self) -> None: ...

    def cut(self) -> None:
        self.box.disconnect_all()

    def strike(self, fault: str) -> None:
        name = self.faults[fault]
        self.box.faults.set({name: 1, f"{name}.times": 1, "retry_after_s": 0.1})

    def calm(self) -> None:
        self.box.faults.clear()

    def mute_account(self) -> None:
        self.box.faults.set({"drop.user": 1})

    def price(self) -> float:
        return float(self.box.state()["symbols"]["BTCUSDT"]["last_price"])

    def partial(self) -> Order:
        """All that is offered within 0.1 %, at once or never: less than the 40 that are asked for, more than nothing."""
        limit = round(self.price() * 1.001, 2)
        return Order("run", 1, self.instrument, 0, Side.BUY, OrderType.LIMIT, TimeInForce.IOC, 40.0, limit)

    def keys_of(self, key: str) -> tuple[str, str]:
        return {"good": self.box.keys(), "wrong": SECRETS, "read-only": self.box.keys("looker")}[key]


class BinanceRig(BoxRig):
    name = "box"
    can = capabilities_of("box")
    symbol = "BTCUSDT"
    delisted = "ETHUSDT"
    quote = "USDT"

    def feed(
        self, clock: GuardedClock, symbols: list[str] | None = None, key: str = "good", is_dead: bool = False
    ) -> Any:
        rest_url, stream_url = NOBODY if is_dead else (self.box.rest_url, self.box.stream_url)
        market = spot("box", rest_url, f"{stream_url}/stream")
        return BinanceFeed(
            market, symbols or [self.symbol], clock, timings=FeedTimings(start=3, backoff=0.05, request=2)
        )

    def normaliser(self) -> Normaliser:
        return normaliser_of("box")

    def orders(self, key: str = "good", skew_s: float = 0.0) -> AbstractAsyncContextManager[OrderEntry]:
        timings = OrderTimings(request=0.3, window=0.3, poll=0.02, patience=8)
        wall = {"wall_ns": lambda: time.time_ns() + int(skew_s * 1e9)}
        return BinanceOrders(self.market(), Keys(*self.keys_of(key)), timings=timings, **wall)

    def market(self) -> BinanceMarket:
        url = self.box.stream_url
        return spot("box", self.box.rest_url, f"{url}/stream", f"{url}/ws-api/v3")


class CcxtRig(BoxRig):
    name = "ccxtbox"
    can = capabilities_of("ccxtbox")
    symbol = "BTC/USDT"
    delisted = "ETH/USDT"
    unknown = "NOPE/USDT"
    quote = "USDT"

    def exchange(self, key: str = "good", is_dead: bool = False, skew_s: float = 0.0) -> Any:
        name, secret = self.keys_of(key)
        options = {
            "fetchMarkets": {"types": ["spot"]},
            "fetchCurrencies": False,
            "adjustForTimeDifference": bool(skew_s),
        }
        config = {"apiKey": name, "secret": secret, "options": options, "timeout": 700, "enableRateLimit": False}
        exchange = open_exchange("binance", config)
        urls = NOBODY if is_dead else (self.box.rest_url, self.box.stream_url)
        _point(exchange.urls["api"], *urls)
        exchange.id = self.name
        if skew_s:
            right = exchange.milliseconds
            exchange.milliseconds = lambda: right() + int(skew_s * 1000)
        return exchange

    def feed(
        self, clock: GuardedClock, symbols: list[str] | None = None, key: str = "good", is_dead: bool = False
    ) -> Any:
        return CcxtFeed(self.exchange(is_dead=is_dead), symbols or [self.symbol], clock, start_s=5)

    def normaliser(self) -> Normaliser:
        return CcxtNormaliser(self.name)

    @asynccontextmanager
    async def orders(self, key: str = "good", skew_s: float = 0.0) -> AsyncIterator[OrderEntry]:  # type: ignore[override]
        exchange = self.exchange(key, skew_s=skew_s)
        try:
            await exchange.load_markets()
            yield CcxtOrders(self.name, exchange, poll_s=0.05, patience_s=1)
        finally:
            await exchange.close()


class AlpacaRig(Rig):
    name = "alpaca"
    can = capabilities_of("alpaca")
    symbol = "AAPL"
    delisted = "GONE"
    base, quote = "AAPL", "USD"
    lot = 1.0
    too_little = 0.5  # of a share, good till cancelled: fractions are for the day
    faults: ClassVar = {
        "html": "html", "5xx": "http5xx", "throttle": "http429", "unanswered": "order_timeout", "cut": "order_cut",
    }  # fmt: skip

    def __enter__(self) -> Self:
        self.server = AlpacaServer().__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.server.__exit__(kind, error, trace)
        assert all(agent.startswith("APCA-PY/") for agent in self.server.agents), "not by alpaca-py"

    def market(self, is_dead: bool = False) -> AlpacaMarket:
        rest, socket = NOBODY if is_dead else (self.server.rest_url, self.server.socket_url)
        return AlpacaMarket(
            trading_url=rest,
            trading_stream_url=f"{socket}/stream",
            data_url=rest,
            stock_stream_url=f"{socket}/v2/iex",
            crypto_stream_url=f"{socket}/v1beta3/crypto/us",
            calls_per_minute=60_000,
        )

    def feed(
        self, clock: GuardedClock, symbols: list[str] | None = None, key: str = "good", is_dead: bool = False
    ) -> Any:
        timings = AlpacaFeedTimings(start=3, backoff=0.05, request=2)
        keys = AlpacaKeys(*self.keys_of(key))
        return AlpacaFeed(self.market(is_dead), symbols or [self.symbol], keys, clock, timings=timings)

    def normaliser(self) -> Normaliser:
        return normaliser_of("alpaca")

    def orders(self, key: str = "good", skew_s: float = 0.0) -> AbstractAsyncContextManager[OrderEntry]:
        timings = AlpacaTimings(request=0.4, poll=0.02, settle=2, tie=0.02, patience=8)
        return AlpacaOrders(self.market(), AlpacaKeys(*self.keys_of(key)), timings=timings)

    def stir(self) -> None:
        if self.server.listeners("stocks"):
            self.server.quote(self.symbol, self.price() - 0.05, self.price() + 0.05)
            self.server.print(self.symbol, self.price())

    def stir_unseen(self) -> None:
        for step in (0.01, 0.02, 0.03):
            self.server.print(self.symbol, round(150 + step, 2), told=False)

    def cut(self) -> None:
        self.server.cut()

    def strike(self, fault: str) -> None:
        self.server.fail(self.faults[fault])

    def calm(self) -> None:
        self.server.faults.clear()
        self.server.brokerage.depth.clear()

    def mute_account(self) -> None:
        self.server.fail("no_updates", 1000)

    def price(self) -> float:
        return self.server.brokerage.price[self.symbol]

    def partial(self) -> Order:
        self.server.brokerage.depth[self.symbol] = 3.0
        return self.order(10.0)

    @staticmethod
    def keys_of(key: str) -> tuple[str, str]:
        return {"good": ("KEY", "SECRET"), "wrong": SECRETS}[key]


class FinnhubRig(Rig):
    name = "finnhub"
    can = capabilities_of("finnhub")
    symbol = "AAPL"
    base, quote = "AAPL", "USD"

    def __enter__(self) -> Self:
        self.server = FinnhubServer().__enter__()
        self.server.news = [article(7, "First"), article(8, "Second", published_s=1_700_000_100)]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.server.__exit__(kind, error, trace)
        assert self.server.agents == {"finnhub/python"}, "not by finnhub-python"
        assert not any(KEY in query for query in self.server.queries), "the key was in an address"

    def feed(
        self, clock: GuardedClock, symbols: list[str] | None = None, key: str = "good", is_dead: bool = False
    ) -> Any:
        rest, stream = NOBODY if is_dead else (self.server.rest_url, self.server.stream_url)
        keys = FinnhubKeys(KEY if key == "good" else SECRETS[0])
        timings = FinnhubTimings(start=5, backoff=0.05, request=2, news=0.1)
        urls = {"rest_url": rest, "stream_url": stream}
        return FinnhubFeed(symbols or [self.symbol], keys, clock, news=True, timings=timings, **urls)

    def normaliser(self) -> Normaliser:
        return normaliser_of("finnhub")

    def stir(self) -> None:
        if self.server.listens(self.symbol):
            now_ms = time.time_ns() // 10**6
            self.server.print((self.symbol, 150.0, now_ms, 10.0), (self.symbol, 150.1, now_ms, 5.0))
            self.server.send({"type": "ping"})

    def cut(self) -> None:
        self.server.cut()

    def strike(self, fault: str) -> None:
        self.server.fail({"html": "html", "5xx": "http5xx", "throttle": "http429"}[fault])

    def calm(self) -> None:
        self.server.faults.clear()


RIGS: dict[str, type[Rig]] = {
    "binance": BinanceRig,
    "ccxt": CcxtRig,
    "alpaca": AlpacaRig,
    "finnhub": FinnhubRig,
}


def _point(urls: dict[str, Any], rest_url: str, stream_url: str) -> None:
    """Every address of a ccxt exchange to the box."""
    for name, url in urls.items():
        if isinstance(url, dict):
            _point(url, rest_url, stream_url)
        elif url.startswith("wss"):
            urls[name] = f"{stream_url}/ws"
        else:
            urls[name] = rest_url + "/" + url.partition("://")[2].partition("/")[2]


async def stirring(rig: Rig) -> None:
    """Let things happen until cancelled."""
    while True:
        await asyncio.to_thread(rig.stir)
        await asyncio.sleep(0.03)
