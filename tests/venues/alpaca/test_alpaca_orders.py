"""Orders to Alpaca by the unmodified SDK, beyond what the conformance suite asks of every venue."""

from __future__ import annotations

import asyncio
import math
import pickle
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from tests.venues.alpaca.book import stamp
from tests.venues.conformance import trade, until
from tests.venues.conformance_rigs import AlpacaRig

from quantlytic.model.errors import InputError, VenueError
from quantlytic.model.order import OrderStatus, OrderType, TimeInForce
from quantlytic.model.side import Side
from quantlytic.venues.alpaca import orders as orders_module
from quantlytic.venues.alpaca.keys import AlpacaKeys
from quantlytic.venues.alpaca.library import _reset_s
from quantlytic.venues.alpaca.market import live, paper
from quantlytic.venues.alpaca.order_rows import STATUS, balances_of, base_of, fill_of, order_state
from quantlytic.venues.alpaca.wire import AccountRow, FillRow, OrderRow, PositionRow
from quantlytic.venues.port import OrderState

AAPL, BTC = "alpaca:AAPL", "alpaca:BTC/USD"


@pytest.fixture
def rig() -> Iterator[AlpacaRig]:
    with AlpacaRig() as rig:
        yield rig


def placed(rig: AlpacaRig) -> list[dict[str, Any]]:
    return list(rig.server.brokerage.accounts["KEY"].orders.values())


def test_an_accepted_order_that_cannot_be_found_yet_is_not_sent_twice(rig: AlpacaRig) -> None:
    async def work(entry: Any) -> None:
        rig.server.fail("order_504")
        rig.server.fail("hidden", 3)
        state = await entry.submit(rig.order(1, 100.0), "late.1")
        assert state.status == OrderStatus.NEW

    trade(rig, work)
    assert [row["client_order_id"] for row in placed(rig)] == ["late.1"]
    assert rig.server.calls["POST /v2/orders"] > 1  # it was sent again: the venue took it once


def test_a_venue_that_stays_dumb_leaves_the_order_unresolved(rig: AlpacaRig) -> None:
    async def work(entry: Any) -> None:
        entry._timings = msgspec.structs.replace(entry._timings, patience=0.3)
        rig.server.fail("http5xx", 1000)
        state = await entry.submit(rig.order(1, 100.0), "dumb.1")
        assert (state.status, "503" in state.reason) == (OrderStatus.UNRESOLVED, True)

    trade(rig, work)
    assert placed(rig) == []


def test_fills_that_come_later_are_told_and_listed_page_by_page(rig: AlpacaRig) -> None:
    async def work(entry: Any) -> None:
        seen: list[OrderState] = []

        async def listen() -> None:
            async for state in entry.updates():
                seen.append(state)

        listening = asyncio.create_task(listen())
        await until(lambda: rig.server.listeners("account"))
        await entry.submit(rig.order(120, 140.0), "slow.1")
        for _ in range(120):
            await asyncio.to_thread(rig.server.print, "AAPL", 139.0, 1.0)
        await until(lambda: any(state.status == OrderStatus.FILLED for state in seen))
        listening.cancel()
        fills = await entry.my_trades(AAPL)
        assert len(fills) == 120  # a page holds 100
        assert {fill.price for fill in fills} == {140.0}
        assert len({fill.trade_id for fill in fills}) == 120
        totals = [state.filled_quantity for state in seen if state.client_order_id == "slow.1"]
        assert totals == sorted(totals)
        assert await entry.my_trades(AAPL, fills[60].trade_id) == fills[60:]

    trade(rig, work)


def test_many_open_orders_are_listed_page_by_page_each_once(rig: AlpacaRig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orders_module, "OPEN_PAGE", 3)

    async def work(entry: Any) -> None:
        for number in range(10):
            await entry.submit(rig.order(1, 100.0), f"many.{number}")
        assert [state.client_order_id for state in await entry.open_orders()] == [f"many.{n}" for n in range(10)]

    trade(rig, work)


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"X-RateLimit-Reset": "1700000005", "Date": "Tue, 14 Nov 2023 22:13:20 GMT"}, 5.0),
        ({"X-RateLimit-Reset": "soon", "Date": "Tue, 14 Nov 2023 22:13:20 GMT"}, 1.0),
        ({}, 1.0),
    ],
)
def test_a_venue_that_is_asked_too_often_says_when_to_come_back(headers: dict[str, str], wait_s: float) -> None:
    assert _reset_s(SimpleNamespace(headers=headers)) == wait_s


def test_crypto_is_traded_under_its_own_symbol(rig: AlpacaRig) -> None:
    async def work(entry: Any) -> None:
        state = await entry.submit(rig.order(0.5, symbol="BTC/USD"), "coin.1")
        assert (state.status, state.instrument) == (OrderStatus.FILLED, BTC)
        assert (await entry.balances())["BTC"].free == 0.5
        (fill,) = await entry.my_trades(BTC)
        assert (fill.quantity, fill.price, fill.venue_order_id) == (0.5, 60_000.0, state.venue_order_id)
        assert await entry.my_trades(AAPL) == []
        tiny = await entry.submit(rig.order(0.00001, symbol="BTC/USD"), "coin.2")
        assert (tiny.status, "minimal amount" in tiny.reason) == (OrderStatus.REJECTED, True)

    trade(rig, work)


def test_shares_go_short_and_come_in_fractions_for_the_day(rig: AlpacaRig) -> None:
    async def work(entry: Any) -> None:
        await entry.submit(rig.order(2, side=Side.SELL), "short.1")
        held = (await entry.balances())["AAPL"]
        assert held.free + held.locked == -2
        part = await entry.submit(rig.order(0.25), "part.1")
        assert (part.status, part.filled_quantity) == (OrderStatus.FILLED, 0.25)
        odd = await entry.submit(rig.order(1, 100.123), "odd.1")
        assert (odd.status, "sub-penny" in odd.reason) == (OrderStatus.REJECTED, True)

    trade(rig, work)
    assert {row["time_in_force"] for row in placed(rig)} == {"day"}
    assert not any(row["extended_hours"] for row in placed(rig))


def test_what_alpaca_has_no_word_for_is_refused_before_sending(rig: AlpacaRig) -> None:
    async def work(entry: Any) -> None:
        for more in (
            {"time_in_force": TimeInForce.GTD},
            {"group_id": 3},
            {"parent_id": 2},
            {"type": OrderType.TAKE_PROFIT},
        ):
            with pytest.raises(InputError):
                await entry.submit(msgspec.structs.replace(rig.order(1, 100.0), **more), "no.1")
        for quantity, price in ((math.nan, 100.0), (0.0, 100.0), (1.0, math.inf), (1.0, -1.0)):
            with pytest.raises(InputError, match="above 0"):
                await entry.submit(rig.order(quantity, price), "no.1")
        with pytest.raises(InputError, match="whole numbers"):
            await entry.replace(AAPL, "no.1", "no.2", 1.5)
        with pytest.raises(VenueError, match="does not know"):
            await entry.replace(AAPL, "no.1", "no.2", 2)

    trade(rig, work)
    assert rig.server.calls["POST /v2/orders"] == 0


def test_every_documented_status_is_one_of_ours() -> None:
    from alpaca.trading.enums import OrderStatus as Theirs

    assert {status.value for status in Theirs} == set(STATUS)
    row = OrderRow("0" * 32, "c", "nonsense")
    with pytest.raises(msgspec.ValidationError, match="nonsense"):
        order_state("alpaca", row)
    filling = OrderRow("0" * 32, "c", "pending_cancel", qty=5.0, filled_qty=2.0, filled_avg_price=10.0)
    state = order_state("alpaca", filling)
    assert (state.status, state.quote_filled) == (OrderStatus.PARTIALLY_FILLED, 20.0)


def test_fill_numbers_rise_with_time_and_are_the_same_each_time() -> None:
    def number(ns: int, tail: str) -> int:
        row = FillRow(f"x::{tail * 32}", stamp(ns), 1.0, 1.0, "buy", "AAPL", "0" * 32)
        return fill_of(AAPL, row).trade_id

    base = 1_700_000_000_000_000_000
    assert number(base, "f") < number(base + 10**6, "0")
    assert number(base, "a") == number(base, "a") != number(base, "b")
    assert 0 < number(4_000_000_000 * 10**9, "f") < 2**63


def test_holdings_are_named_by_what_they_are() -> None:
    account = AccountRow(cash=1000.0, non_marginable_buying_power=700.0)
    rows = [PositionRow("BTCUSD", 2.0, "crypto", 1.5), PositionRow("AAPL", -3.0, "us_equity")]
    found = balances_of(account, rows)
    assert {name: (row.free, row.locked) for name, row in found.items()} == {
        "USD": (700.0, 300.0), "BTC": (1.5, 0.5), "AAPL": (-3.0, 0.0),
    }  # fmt: skip
    assert base_of("ETH/BTC", "crypto") == "ETH"
    assert base_of("ETHBTC", "crypto") == "ETH"
    assert base_of("USD", "crypto") == "USD"


def test_paper_is_the_default_and_live_has_addresses_of_its_own() -> None:
    assert "paper" in paper().trading_url
    assert "paper" not in live().trading_url + live().trading_stream_url
    assert live("sip").stock_stream_url.endswith("/v2/sip")
    with pytest.raises(InputError, match="'free'"):
        paper("free")


def test_keys_are_in_no_text_and_not_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = AlpacaKeys("id-123", "secret-456")
    assert "123" not in repr(keys) + str(keys) + f"{keys}"
    assert "456" not in repr(keys) + str(keys)
    assert keys.redacted("id-123 and secret-456") == "*** and ***"
    with pytest.raises(TypeError):
        pickle.dumps(keys)
    monkeypatch.setenv("ALPACA_API_KEY", "k")
    monkeypatch.delenv("ALPACA_API_SECRET", raising=False)
    with pytest.raises(InputError, match="ALPACA_API_SECRET"):
        AlpacaKeys.from_environment()
