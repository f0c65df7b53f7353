"""A signing client, servers that stop by themselves, and short ways to write orders."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from quantlytic.venues.exchange.config import ExchangeConfig
from quantlytic.venues.exchange.core import Core
from quantlytic.venues.exchange.instruments import listing_for
from quantlytic.venues.exchange.matching import BUY, SELL, Order
from quantlytic.venues.exchange.server import ExchangeServer
from quantlytic.venues.exchange.units import E8

SYMBOL = "BTCUSDT"


class Client:
    """What a bot does: REST with a key and a signature."""

    def __init__(self, url: str, key: str, secret: str) -> None:
        self.http = httpx.Client(base_url=url, timeout=10)
        self.key = key
        self.secret = secret

    def get(self, path: str, **params: Any) -> httpx.Response:
        return self.http.get(f"/api/v3/{path}", params=params)

    def sign(self, params: dict[str, Any]) -> str:
        text = "&".join(f"{name}={value}" for name, value in ({"timestamp": int(time.time() * 1000)} | params).items())
        return f"{text}&signature={self.signature(text)}"

    def signature(self, text: str) -> str:
        return hmac.new(self.secret.encode(), text.encode(), hashlib.sha256).hexdigest()

    def send(self, method: str, path: str, *, text: str | None = None, **params: Any) -> httpx.Response:
        query = self.sign(params) if text is None else text
        return self.http.request(method, f"/api/v3/{path}?{query}", headers={"X-MBX-APIKEY": self.key})

    def order(self, side: str = "BUY", **params: Any) -> httpx.Response:
        return self.send("POST", "order", symbol=SYMBOL, side=side, **params)

    def limit(self, side: str, price: object, quantity: object, **params: Any) -> httpx.Response:
        return self.order(
            side, **({"type": "LIMIT", "timeInForce": "GTC", "price": price, "quantity": quantity} | params)
        )

    def balances(self) -> dict[str, tuple[str, str]]:
        rows = self.send("GET", "account").json()["balances"]
        return {row["asset"]: (row["free"], row["locked"]) for row in rows}

    def bid(self) -> float:
        return float(self.get("ticker/bookTicker", symbol=SYMBOL).json()["bidPrice"])


@pytest.fixture(scope="session")
def client_type() -> type[Client]:
    return Client


@pytest.fixture
def serve() -> Iterator[Callable[..., tuple[ExchangeServer, Client]]]:
    """Start an exchange (keywords of ExchangeConfig) and a client of its demo account."""
    servers: list[ExchangeServer] = []
    clients: list[Client] = []

    def start(**settings: Any) -> tuple[ExchangeServer, Client]:
        server = ExchangeServer(ExchangeConfig(**({"port": 0} | settings))).start()
        servers.append(server)
        client = Client(server.rest_url, *server.keys())
        clients.append(client)
        return server, client

    yield start
    for client in clients:
        client.http.close()
    for server in servers:
        server.stop()


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[ExchangeServer, Client]]:
    """One exchange for all tests of a file that only look, or clean up after themselves."""
    with ExchangeServer(ExchangeConfig(port=0, order_limit=10_000, weight_limit=1_000_000)) as server:
        client = Client(server.rest_url, *server.keys())
        yield server, client
        client.http.close()


class Pit:
    """A bare core with two rich traders, for orders in ticks and lots of BTCUSDT."""

    def __init__(self, **fees: int) -> None:
        self.core = Core([listing_for(SYMBOL)], **fees)
        self.book = self.core.desks[SYMBOL].book
        self.clock = 0
        for name in ("ann", "bob", "cyd"):
            self.core.accounts.deposit(name, "BTC", 10**6 * E8)
            self.core.accounts.deposit(name, "USDT", 10**9 * E8)

    def place(
        self, who: str, side: str, lots: int, price: int = 0, *, tif: str = "GTC", kind: str | None = None
    ) -> Order:
        self.clock += 1
        order = Order(
            0, who, SYMBOL, BUY if side == "buy" else SELL, kind or ("LIMIT" if price else "MARKET"), tif, price, lots,
            self.clock,
        )  # fmt: skip
        self.core.place(order)
        return order

    def trades(self) -> list[tuple[int, int]]:
        """(ticks, lots) of the trades since the last call."""
        listing = self.core.desks[SYMBOL].listing
        return [(p.price_e8 // listing.tick_e8, p.quantity_e8 // listing.lot_e8) for p in self.core.take().prints]


@pytest.fixture
def pit() -> Pit:
    return Pit()


@pytest.fixture(scope="session")
def new_pit() -> type[Pit]:
    return Pit
