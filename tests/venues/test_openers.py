"""Which adapter a name means, and what it is told."""

from __future__ import annotations

import asyncio
import importlib
from typing import Any

import pytest

from quantlytic.model.errors import InputError
from quantlytic.venues.alpaca.feed import AlpacaFeed
from quantlytic.venues.alpaca.normaliser import AlpacaNormaliser
from quantlytic.venues.alpaca.orders import AlpacaOrders
from quantlytic.venues.binance.feed import BinanceFeed
from quantlytic.venues.binance.normaliser import BinanceNormaliser
from quantlytic.venues.binance.orders import BinanceOrders
from quantlytic.venues.capabilities import NATIVE, capabilities_of
from quantlytic.venues.ccxt.feed import CcxtFeed
from quantlytic.venues.ccxt.normaliser import CcxtNormaliser
from quantlytic.venues.ccxt.orders import CcxtOrders
from quantlytic.venues.clock import GuardedClock
from quantlytic.venues.finnhub.feed import FinnhubFeed
from quantlytic.venues.finnhub.normaliser import FinnhubNormaliser
from quantlytic.venues.normalisers import normaliser_of
from quantlytic.venues.openers import BINANCE_NAMES, VenueOptions, alpaca_market, binance_market, open_feed, open_orders

KINDS: dict[str, tuple[type, type, type]] = {
    **dict.fromkeys(BINANCE_NAMES, (BinanceFeed, BinanceNormaliser, BinanceOrders)),
    "alpaca": (AlpacaFeed, AlpacaNormaliser, AlpacaOrders),
    "finnhub": (FinnhubFeed, FinnhubNormaliser, type(None)),
    "kraken": (CcxtFeed, CcxtNormaliser, CcxtOrders),
}


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in KINDS:
        for variable in capabilities_of(name).key_names:
            monkeypatch.setenv(variable, "k")


def opened(name: str, options: VenueOptions | None = None) -> Any:
    async def scenario() -> Any:
        async with open_orders(name, options) as entry:
            return entry

    return asyncio.run(scenario())


async def closed(feed: Any) -> Any:
    if isinstance(feed, CcxtFeed):
        await feed._exchange.close()
    return feed


@pytest.mark.parametrize("name", list(KINDS))
def test_a_name_opens_its_own_adapter(name: str) -> None:
    feed, normaliser, orders = KINDS[name]

    async def open_and_close() -> Any:
        return await closed(open_feed(name, ["AAPL"], GuardedClock()))

    assert type(asyncio.run(open_and_close())) is feed
    assert type(normaliser_of(name)) is normaliser
    if capabilities_of(name).orders:
        assert type(opened(name)) is orders
    else:
        with pytest.raises(InputError, match="takes no orders"):
            opened(name)


def test_every_native_venue_is_known_here() -> None:
    assert set(NATIVE) == {*BINANCE_NAMES, "alpaca", "finnhub"}
    assert all(capabilities_of(name).key_names or not capabilities_of(name).orders for name in NATIVE)


@pytest.mark.parametrize("name", [name for name in KINDS if capabilities_of(name).orders])
def test_a_missing_key_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    variable = capabilities_of(name).key_names[-1]
    monkeypatch.delenv(variable)
    with pytest.raises(InputError, match=variable):
        opened(name)


@pytest.mark.parametrize(("name", "module"), [("alpaca", "alpaca"), ("finnhub", "finnhub"), ("kraken", "ccxt")])
def test_a_missing_extra_is_named(name: str, module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.import_module

    def without(wanted: str, *more: Any) -> Any:
        if wanted.partition(".")[0] == module:
            raise ModuleNotFoundError(wanted)
        return real(wanted, *more)

    monkeypatch.setattr(importlib, "import_module", without)

    async def meet() -> None:
        await open_feed(name, ["AAPL"], GuardedClock()).load_instruments()

    with pytest.raises(InputError, match=rf"pip install 'quantlytic\[{module}\]'"):
        asyncio.run(meet())


def test_testnet_and_demo_are_not_the_real_thing() -> None:
    addresses = [binance_market(name) for name in ("binance", "binance-testnet", "binance-demo")]
    for part in ("rest_url", "stream_url", "trading_url"):
        assert len({getattr(market, part) for market in addresses}) == 3
    assert [market.venue for market in addresses] == ["binance", "binance-testnet", "binance-demo"]
    assert "testnet" in addresses[1].rest_url
    assert "demo" in addresses[2].trading_url


def test_addresses_can_be_set() -> None:
    options = VenueOptions(rest_url="http://r", stream_url="ws://s", trading_url="ws://t", data_url="http://d")
    market = binance_market("binance", options)
    assert (market.rest_url, market.stream_url, market.trading_url) == ("http://r", "ws://s", "ws://t")
    alpaca = alpaca_market(options)
    assert (alpaca.trading_url, alpaca.trading_stream_url, alpaca.data_url) == ("http://r", "ws://t", "http://d")
    assert (alpaca.stock_stream_url, "crypto" in alpaca.crypto_stream_url) == ("ws://s", True)


@pytest.mark.parametrize(("name", "said"), [("alpaca", "paper and live"), ("kraken", "live and sandbox")])
def test_an_unknown_environment_is_refused(name: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        opened(name, VenueOptions(environment="moon"))


def test_live_must_be_said() -> None:
    assert "paper" in alpaca_market().trading_url
    assert "paper" not in alpaca_market(VenueOptions(environment="live")).trading_url


def test_a_sandbox_of_ccxts_is_used_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in capabilities_of("bybit").key_names:
        monkeypatch.setenv(variable, "k")
    assert "testnet" in str(opened("bybit", VenueOptions(environment="sandbox"))._exchange.urls["api"])
    with pytest.raises(InputError, match="no sandbox of kraken"):
        opened("kraken", VenueOptions(environment="sandbox"))
