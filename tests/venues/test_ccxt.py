"""The ccxt adapter: against the exchange in a box, and its pure part alone."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantlytic.model.book import BookDelta
from quantlytic.model.codec import decode_batch, encode_batch
from quantlytic.model.errors import InputError, VenueError
from quantlytic.model.frame import RawFrame
from quantlytic.model.ledger import LedgerEntry, LedgerKind
from quantlytic.model.order import Order, OrderStatus, OrderType, TimeInForce
from quantlytic.model.quote import Quote
from quantlytic.model.side import Side
from quantlytic.model.trade import Trade
from quantlytic.venues.ccxt.feed import CcxtFeed
from quantlytic.venues.ccxt.library import open_exchange
from quantlytic.venues.ccxt.normaliser import CcxtNormaliser
from quantlytic.venues.ccxt.orders import CcxtOrders
from quantlytic.venues.clock import GuardedClock
from quantlytic.venues.exchange.config import ExchangeConfig
from quantlytic.venues.exchange.server import ExchangeServer
from quantlytic.venues.port import CONNECTED, LOST, STARTED

pytest.importorskip("ccxt", reason="needs ccxt (pip install quantlytic[ccxt])")
SYMBOL = "BTC/USDT"
INSTRUMENT = f"box:{SYMBOL}"


class Inboxed(list[RawFrame]):
    """An `Inbox` that keeps everything."""

    async def put(self, frame: RawFrame) -> None:
        self.append(frame)


def point_at(urls: dict[str, Any], server: ExchangeServer) -> None:
    for name, url in urls.items():
        if isinstance(url, dict):
            point_at(url, server)
        elif url.startswith("wss"):
            urls[name] = f"{server.stream_url}/ws"
        else:
            urls[name] = server.rest_url + "/" + url.partition("://")[2].partition("/")[2]


def exchange_at(server: ExchangeServer, account: str = "demo") -> Any:
    key, secret = server.keys(account)
    options = {"fetchMarkets": {"types": ["spot"]}, "fetchCurrencies": False}
    exchange = open_exchange("binance", {"apiKey": key, "secret": secret, "options": options})
    point_at(exchange.urls["api"], server)
    return exchange


def trade_frame(*ids: str | None, at: int = 5) -> RawFrame:
    items = [{"id": i, "price": 10.5, "amount": 2, "side": "sell", "timestamp": 7} for i in ids]
    return RawFrame(f"trades {SYMBOL}", at, f"ccxt:trades {SYMBOL}", json.dumps(items).encode())


def test_the_feed_records_trades_books_and_quotes() -> None:
    async def scenario(server: ExchangeServer) -> Inboxed:
        feed, inbox = CcxtFeed(exchange_at(server), [SYMBOL], GuardedClock()), Inboxed()
        running = asyncio.create_task(feed.run(inbox))
        kinds = {f"ccxt:{kind} {SYMBOL}" for kind in ("trades", "book", "quotes")}
        async with asyncio.timeout(20):
            while not kinds <= {frame.channel for frame in inbox} or len(inbox) < 50:
                assert not running.done()
                await asyncio.sleep(0.02)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return inbox

    with ExchangeServer(ExchangeConfig(port=0, trades_per_s=100)) as server:
        inbox = asyncio.run(scenario(server))
        normaliser = CcxtNormaliser("box")
        events = [event for frame in inbox for event in normaliser.feed(frame)]
        trades = [event for event in events if isinstance(event, Trade)]
        state = server.state()["symbols"]["BTCUSDT"]
    ids = [trade.trade_id for trade in trades]
    assert ids == list(range(ids[0], ids[0] + len(ids)))
    assert ids[-1] <= state["last_trade_id"]
    assert {type(event) for event in events} == {Trade, Quote, BookDelta}
    assert all(len(e.bid_prices) <= 20 and e.snapshot for e in events if isinstance(e, BookDelta))
    rebuilt = [event for fresh in [CcxtNormaliser("box")] for frame in inbox for event in fresh.feed(frame)]
    assert encode_batch(rebuilt) == encode_batch(events)


def test_an_unknown_symbol_and_a_dead_venue_are_one_line() -> None:
    async def run(exchange: Any, symbols: list[str]) -> None:
        await CcxtFeed(exchange, symbols, GuardedClock(), start_s=5).run(Inboxed())

    with ExchangeServer(ExchangeConfig(port=0)) as server, pytest.raises(InputError, match="does not list NOPE/USDT"):
        asyncio.run(run(exchange_at(server), ["NOPE/USDT"]))
    with pytest.raises(VenueError, match="cannot be reached") as caught:
        asyncio.run(run(exchange_at_stopped(server), [SYMBOL]))
    assert "\n" not in str(caught.value)


def exchange_at_stopped(server: ExchangeServer) -> Any:
    exchange = open_exchange("binance", {"options": {"fetchMarkets": {"types": ["spot"]}, "fetchCurrencies": False}})
    point_at(exchange.urls["api"], server)
    return exchange


def test_an_unknown_exchange_is_named() -> None:
    with pytest.raises(InputError, match="'nope'"):
        open_exchange("nope")


def test_orders_live_from_submit_to_cancel() -> None:
    def order(kind: OrderType, price: float, quantity: float = 0.001) -> Order:
        return Order("r", 1, INSTRUMENT, 0, Side.BUY, kind, TimeInForce.GTC, quantity, price)

    async def scenario(server: ExchangeServer) -> None:
        exchange = exchange_at(server)
        orders = CcxtOrders("box", exchange, poll_s=0.05, patience_s=5)
        try:
            await exchange.load_markets()
            last = float(server.state()["symbols"]["BTCUSDT"]["last_price"])
            resting = await orders.submit(order(OrderType.LIMIT, round(last * 0.9, 2)), "c.1")
            assert (resting.status, resting.client_order_id) == (OrderStatus.NEW, "c.1")
            assert [each.client_order_id for each in await orders.open_orders()] == ["c.1"]
            assert (await orders.balances())["USDT"].locked > 0
            assert await orders.reconcile([resting]) == []
            assert (await orders.cancel(INSTRUMENT, "c.1")).status == OrderStatus.CANCELED
            filled = await orders.submit(order(OrderType.MARKET, float("nan")), "c.2")
            assert (filled.status, filled.filled_quantity) == (OrderStatus.FILLED, 0.001)
            fills = await orders.my_trades(INSTRUMENT)
            assert sum(fill.quantity for fill in fills) == pytest.approx(0.001)
            assert {fill.venue_order_id for fill in fills} == {filled.venue_order_id}
            refused = await orders.submit(order(OrderType.MARKET, float("nan"), 5.0), "c.3")
            assert refused.status == OrderStatus.REJECTED
            server.faults.set({"order_cut": 1, "order_cut.times": 1})
            adopted = await orders.submit(order(OrderType.MARKET, float("nan")), "c.4")
            assert adopted.status == OrderStatus.FILLED
            assert await orders.status(INSTRUMENT, "c.9") is None
            with pytest.raises(InputError, match="not traded"):
                await orders.status("other:BTC/USDT", "c.1")
        finally:
            await exchange.close()

    with ExchangeServer(ExchangeConfig(port=0)) as server:
        while server.state()["symbols"]["BTCUSDT"]["last_price"] is None:
            time.sleep(0.01)
        asyncio.run(scenario(server))


def test_repeated_trades_are_dropped_also_after_a_restart() -> None:
    first = CcxtNormaliser("box")
    assert [e.trade_id for e in first.feed(trade_frame("1", "2"))] == [1, 2]  # type: ignore[attr-defined]
    second = CcxtNormaliser("box")
    second.restore(first.save())
    (restarted,) = second.feed(RawFrame("recorder", 6, STARTED, b""))
    assert isinstance(restarted, LedgerEntry)
    trade, entry = second.feed(trade_frame("2", "3"))
    assert isinstance(trade, Trade)
    assert isinstance(entry, LedgerEntry)
    assert (trade.trade_id, entry.kind, entry.count) == (3, LedgerKind.DUPLICATE, 1)


def test_ids_that_are_no_numbers_become_stable_ones() -> None:
    def ids(*names: str | None) -> list[int]:
        return [e.trade_id for e in CcxtNormaliser("box").feed(trade_frame(*names))]  # type: ignore[attr-defined]

    assert ids("a-b", "c-d") == ids("a-b", "c-d")
    assert len(set(ids("a-b", "c-d", None, "9" * 30))) == 4
    assert all(0 <= number < 2**62 for number in ids("a-b", "c-d", None, "9" * 30))


def test_a_lost_connection_is_entered_when_it_is_back() -> None:
    normaliser = CcxtNormaliser("box")
    assert normaliser.feed(RawFrame("trades X", 1, LOST, b"gone")) == ()
    (entry,) = normaliser.feed(RawFrame("trades X", 2, CONNECTED, b""))
    assert isinstance(entry, LedgerEntry)
    assert (entry.kind, entry.detail) == (LedgerKind.RECONNECT, "trades X: gone")


@given(
    kind=st.sampled_from(["trades", "book", "quotes", ""]),
    payload=st.binary(max_size=60)
    | st.recursive(
        st.none() | st.floats() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["bids", "asks", "price", "amount", "id", "timestamp", "bid"]), inner, max_size=4
            )
        ),
        max_leaves=12,
    ).map(lambda value: json.dumps(value).encode()),
)
def test_junk_never_raises_and_stays_encodable(kind: str, payload: bytes) -> None:
    events = CcxtNormaliser("box").feed(RawFrame("x", 1, f"ccxt:{kind} X/Y", payload))
    assert decode_batch(encode_batch(events)) == list(events)
