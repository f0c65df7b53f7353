"""Order entry against the exchange in a box, faults of the single kinds included."""

from __future__ import annotations

import asyncio
import pickle
import time
from collections.abc import Awaitable, Callable, Iterator

import msgspec
import pytest

from quantlytic.model.errors import InputError, VenueError
from quantlytic.model.order import Order, OrderStatus, OrderType, TimeInForce
from quantlytic.model.side import Side
from quantlytic.venues.binance.keys import Keys
from quantlytic.venues.binance.market import spot
from quantlytic.venues.binance.orders import BinanceOrders, OrderTimings
from quantlytic.venues.exchange.config import ExchangeConfig
from quantlytic.venues.exchange.server import ExchangeServer
from quantlytic.venues.port import OrderState

QUICK = OrderTimings(request=0.25, window=0.3, poll=0.02, patience=8)
BTC = "box:BTCUSDT"
Work = Callable[[BinanceOrders], Awaitable[None]]


@pytest.fixture(scope="module")
def box() -> Iterator[ExchangeServer]:
    with ExchangeServer(ExchangeConfig(port=0, trades_per_s=50)) as server:
        while server.state()["symbols"]["BTCUSDT"]["last_price"] is None:
            time.sleep(0.01)
        yield server


def client(
    box: ExchangeServer, timings: OrderTimings = QUICK, keys: Keys | None = None, **more: object
) -> BinanceOrders:
    market = spot("box", box.rest_url, box.stream_url + "/stream", box.stream_url + "/ws-api/v3")
    return BinanceOrders(market, keys or Keys(*box.keys()), timings=timings, **more)  # type: ignore[arg-type]


def run(orders: BinanceOrders, work: Work) -> None:
    async def scenario() -> None:
        async with orders, asyncio.timeout(30):
            await work(orders)

    asyncio.run(scenario())


def market_order(side: Side = Side.BUY, quantity: float = 0.001) -> Order:
    return Order("run", 1, BTC, 0, side, OrderType.MARKET, TimeInForce.GTC, quantity, float("nan"))


def limit_order(price: float, quantity: float = 0.001, side: Side = Side.BUY) -> Order:
    return Order("run", 1, BTC, 0, side, OrderType.LIMIT, TimeInForce.GTC, quantity, price)


def last_price(box: ExchangeServer) -> float:
    return float(box.state()["symbols"]["BTCUSDT"]["last_price"])


def far_price(box: ExchangeServer) -> float:
    """A bid that will not be reached."""
    return round(last_price(box) * 0.9, 2)


def test_an_order_lives_from_submit_to_cancel(box: ExchangeServer) -> None:
    async def work(orders: BinanceOrders) -> None:
        state = await orders.submit(limit_order(far_price(box)), "life.1")
        assert (state.status, state.client_order_id, state.instrument) == (OrderStatus.NEW, "life.1", BTC)
        assert await orders.status(BTC, "life.1") == state
        assert [each.client_order_id for each in await orders.open_orders()] == ["life.1"]
        assert await orders.reconcile([state]) == []
        balances = await orders.balances()
        assert balances["USDT"].locked == pytest.approx(state.price * state.quantity)
        gone = await orders.cancel(BTC, "life.1")
        assert (gone.status, gone.client_order_id, gone.filled_quantity) == (OrderStatus.CANCELED, "life.1", 0.0)
        again = await orders.cancel(BTC, "life.1")
        assert again.status == OrderStatus.CANCELED
        assert await orders.status(BTC, "never-sent") is None
        with pytest.raises(VenueError, match="Unknown order"):
            await orders.cancel(BTC, "never-sent")

    run(client(box), work)


def test_a_market_order_fills_and_its_trades_and_balances_agree(box: ExchangeServer) -> None:
    async def work(orders: BinanceOrders) -> None:
        before = await orders.balances()
        state = await orders.submit(market_order(quantity=0.002), "fill.1")
        assert (state.status, state.filled_quantity) == (OrderStatus.FILLED, 0.002)
        fills = [fill for fill in await orders.my_trades(BTC) if fill.venue_order_id == state.venue_order_id]
        assert sum(fill.quantity for fill in fills) == pytest.approx(0.002)
        assert sum(fill.quantity * fill.price for fill in fills) == pytest.approx(state.quote_filled)
        after = await orders.balances()
        assert before["USDT"].free - after["USDT"].free == pytest.approx(state.quote_filled)
        fees = sum(fill.fee for fill in fills if fill.fee_asset == "BTC")
        assert after["BTC"].free - before["BTC"].free == pytest.approx(0.002 - fees)
        totals = {asset: row.free + row.locked for asset, row in after.items()}
        assert await orders.reconcile([state], totals) == []
        found = await orders.reconcile([], {**totals, "BTC": totals["BTC"] + 1})
        assert [(each.what, each.name) for each in found] == [("balance", "BTC")]

    run(client(box), work)


@pytest.mark.parametrize("fault", ["order_timeout", "order_cut", "order_unknown"])
def test_an_accepted_order_whose_answer_is_lost_is_adopted_not_repeated(box: ExchangeServer, fault: str) -> None:
    async def work(orders: BinanceOrders) -> None:
        box.faults.set({fault: 1, f"{fault}.times": 1})
        state = await orders.submit(market_order(), f"lost.{fault}")
        assert (state.status, state.filled_quantity) == (OrderStatus.FILLED, 0.001)
        trades = [fill for fill in await orders.my_trades(BTC) if fill.venue_order_id == state.venue_order_id]
        assert sum(fill.quantity for fill in trades) == pytest.approx(0.001)
        assert await orders.reconcile([state]) == []

    try:
        run(client(box), work)
    finally:
        box.faults.clear()


@pytest.mark.parametrize("fault", ["http5xx", "html", "http429"])
def test_an_order_that_never_arrived_is_sent_again(box: ExchangeServer, fault: str) -> None:
    async def work(orders: BinanceOrders) -> None:
        box.faults.set({fault: 1, f"{fault}.times": 1})
        state = await orders.submit(limit_order(far_price(box)), f"again.{fault}")
        assert state.status == OrderStatus.NEW
        await orders.cancel(BTC, f"again.{fault}")

    try:
        run(client(box), work)
    finally:
        box.faults.clear()


def test_a_signature_made_before_a_long_wait_is_not_used_after_it(box: ExchangeServer) -> None:
    async def work(orders: BinanceOrders) -> None:
        await orders.submit(limit_order(far_price(box)), "wait.1")
        box.faults.set({"http429": 1, "http429.times": 1})  # Retry-After: 1 s, longer than the receive window
        assert await orders.open_orders()
        assert (await orders.cancel(BTC, "wait.1")).status == OrderStatus.CANCELED

    try:
        run(client(box), work)
    finally:
        box.faults.clear()


def test_a_repeated_id_is_the_order_that_is_there(box: ExchangeServer) -> None:
    async def work(orders: BinanceOrders) -> None:
        first = await orders.submit(market_order(), "same.1")
        second = await orders.submit(market_order(), "same.1")
        assert second.venue_order_id == first.venue_order_id

    run(client(box), work)


def test_a_venue_that_stays_dumb_leaves_the_order_unresolved(box: ExchangeServer) -> None:
    async def work(orders: BinanceOrders) -> None:
        box.faults.set({"http5xx": 1})
        state = await orders.submit(market_order(), "dumb.1")
        assert state.status == OrderStatus.UNRESOLVED
        assert "503" in state.reason

    try:
        run(client(box, OrderTimings(request=0.2, window=0.1, poll=0.01, patience=0.3)), work)
    finally:
        box.faults.clear()


def test_refusals_are_states_with_the_venues_words(box: ExchangeServer) -> None:
    async def work(orders: BinanceOrders) -> None:
        too_much = await orders.submit(market_order(Side.SELL, 8.0), "refused.1")
        assert too_much.status == OrderStatus.REJECTED
        assert "insufficient balance" in too_much.reason
        tiny = await orders.submit(limit_order(far_price(box), 0.00001), "refused.2")
        assert (tiny.status, "NOTIONAL" in tiny.reason) == (OrderStatus.REJECTED, True)

    run(client(box), work)


def test_a_wrong_key_is_an_error_that_does_not_show_it(box: ExchangeServer) -> None:
    keys = Keys("not-a-key", "not-a-secret")

    async def work(orders: BinanceOrders) -> None:
        with pytest.raises(VenueError, match="Invalid API-key") as caught:
            await orders.submit(market_order(), "key.1")
        assert "not-a-" not in str(caught.value)

    run(client(box, keys=keys), work)
    assert "not-a-" not in repr(keys) + str(keys)
    with pytest.raises(TypeError):
        pickle.dumps(keys)


@pytest.mark.parametrize("key", ["with space", "with\nline", "k\u00e9y", "key\x7f"])
def test_a_key_that_no_header_takes_is_refused_at_once(key: str) -> None:
    with pytest.raises(InputError, match="copy it again") as caught:
        Keys(key, "secret")
    assert key not in str(caught.value)


def test_a_missing_key_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BINANCE_API_KEY", "k")
    monkeypatch.delenv("BINANCE_API_SECRET", raising=False)
    with pytest.raises(InputError, match="BINANCE_API_SECRET"):
        Keys.from_environment()


def test_a_wrong_clock_is_set_by_the_venues(box: ExchangeServer) -> None:
    async def work(orders: BinanceOrders) -> None:
        state = await orders.submit(limit_order(far_price(box)), "clock.1")
        assert state.status == OrderStatus.NEW
        assert (await orders.cancel(BTC, "clock.1")).status == OrderStatus.CANCELED

    run(client(box, wall_ns=lambda: time.time_ns() - 3600 * 10**9), work)


def test_an_overlong_id_and_a_foreign_instrument_are_refused_before_sending(box: ExchangeServer) -> None:
    async def work(orders: BinanceOrders) -> None:
        with pytest.raises(InputError, match="36"):
            await orders.submit(market_order(), "x" * 37)
        with pytest.raises(InputError, match="not traded"):
            await orders.status("other:BTCUSDT", "x")
        with pytest.raises(InputError, match="only plain"):
            await orders.submit(msgspec.structs.replace(market_order(), reduce_only=True), "x")

    run(client(box), work)


def test_updates_tell_changes_and_catch_up_after_a_broken_connection(box: ExchangeServer) -> None:
    async def work(orders: BinanceOrders) -> None:
        seen: list[OrderState] = []

        async def listen() -> None:
            async for state in orders.updates():
                seen.append(state)

        async def until(name: str, status: OrderStatus) -> None:
            while not any(s.client_order_id == name and s.status == status for s in seen):
                await asyncio.sleep(0.01)

        listening = asyncio.create_task(listen())
        try:
            await asyncio.sleep(0.3)
            await orders.submit(limit_order(far_price(box)), "told.1")
            await until("told.1", OrderStatus.NEW)
            box.faults.set({"drop.user": 1})  # what happens now is not told
            await client_cancel(box, "told.1")
            box.faults.clear()
            await asyncio.to_thread(box.disconnect_all)
            await until("told.1", OrderStatus.CANCELED)
            await orders.submit(market_order(), "told.2")
            await until("told.2", OrderStatus.FILLED)
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

    async def client_cancel(box: ExchangeServer, name: str) -> None:
        async with client(box) as other:
            await other.cancel(BTC, name)

    run(client(box), work)
