"""Conformance of order entry: every case for every venue; one that takes no orders says so."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from tests.venues.conformance import FAULTS, LOSSES, SECRETS, Rig, is_one_line, trade, until
from tests.venues.conformance_rigs import RIGS

from quantlytic.model.errors import InputError, VenueError
from quantlytic.model.order import OrderStatus, OrderType
from quantlytic.model.side import Side
from quantlytic.venues.answers import Refused
from quantlytic.venues.openers import open_orders
from quantlytic.venues.port import OrderState

TRADED = [name for name, kind in RIGS.items() if kind.can.orders]
ENDED = (OrderStatus.FILLED, OrderStatus.CANCELED, OrderStatus.REJECTED, OrderStatus.EXPIRED)


@pytest.fixture(scope="module", params=TRADED)
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    with RIGS[request.param]() as rig:
        yield rig


@pytest.fixture(autouse=True)
def calm(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "rig" in request.fixturenames:
        request.getfixturevalue("rig").calm()


@pytest.mark.parametrize("name", [name for name in RIGS if name not in TRADED])
def test_a_venue_without_orders_says_so(name: str) -> None:
    async def ask() -> None:
        async with open_orders(RIGS[name].name):
            pass

    with pytest.raises(InputError, match="takes no orders"):
        asyncio.run(ask())
    assert RIGS[name].can.order_types == ()


async def ids_at(entry: Any) -> list[str]:
    return sorted(state.client_order_id for state in await entry.open_orders())


async def filled_at(rig: Rig, entry: Any, state: OrderState) -> float:
    fills = await entry.my_trades(rig.instrument)
    return sum(fill.quantity for fill in fills if fill.venue_order_id == state.venue_order_id)


def test_an_order_lives_from_submit_to_cancel(rig: Rig) -> None:
    async def work(entry: Any) -> None:
        before = await entry.balances()
        state = await entry.submit(rig.order(rig.lot, rig.away()), "life.1")
        assert (state.status, state.client_order_id, state.instrument) == (OrderStatus.NEW, "life.1", rig.instrument)
        assert (state.side, state.quantity, state.price, state.filled_quantity) == (Side.BUY, rig.lot, rig.away(), 0)
        known = await entry.status(rig.instrument, "life.1")
        assert (known.status, known.venue_order_id) == (OrderStatus.NEW, state.venue_order_id)
        assert await ids_at(entry) == ["life.1"]
        held = (await entry.balances())[rig.quote]
        assert held.locked == pytest.approx(state.price * rig.lot)
        assert held.free + held.locked == pytest.approx(before[rig.quote].free + before[rig.quote].locked)
        gone = await entry.cancel(rig.instrument, "life.1")
        assert (gone.status, gone.client_order_id, gone.filled_quantity) == (OrderStatus.CANCELED, "life.1", 0.0)
        assert (await entry.cancel(rig.instrument, "life.1")).status == OrderStatus.CANCELED  # again changes nothing
        assert await ids_at(entry) == []

    trade(rig, work)


def test_a_market_order_fills_and_trades_and_balances_agree(rig: Rig) -> None:
    async def work(entry: Any) -> None:
        before = await entry.balances()
        state = await entry.submit(rig.order(rig.lot, None), "fill.1")
        await until_ended(rig, entry, "fill.1")
        state = await entry.status(rig.instrument, "fill.1")
        assert (state.status, state.filled_quantity) == (OrderStatus.FILLED, rig.lot)
        fills = [f for f in await entry.my_trades(rig.instrument) if f.venue_order_id == state.venue_order_id]
        assert sum(fill.quantity for fill in fills) == pytest.approx(rig.lot)
        assert sum(fill.quantity * fill.price for fill in fills) == pytest.approx(state.quote_filled)
        assert [fill.trade_id for fill in fills] == sorted({fill.trade_id for fill in fills})
        assert await entry.my_trades(rig.instrument, fills[-1].trade_id + 1) == []
        after = await entry.balances()
        assert before[rig.quote].free - after[rig.quote].free == pytest.approx(state.quote_filled)
        fees = sum(fill.fee for fill in fills if fill.fee_asset == rig.base)
        had = before[rig.base].free if rig.base in before else 0.0
        assert after[rig.base].free - had == pytest.approx(rig.lot - fees)
        totals = {asset: row.free + row.locked for asset, row in after.items()}
        assert await entry.reconcile([state], totals) == []
        found = await entry.reconcile([], {**totals, rig.base: totals[rig.base] + 1})
        assert [(each.what, each.name) for each in found] == [("balance", rig.base)]

    trade(rig, work)


async def until_ended(rig: Rig, entry: Any, name: str) -> None:
    while (await entry.status(rig.instrument, name)).status not in ENDED:
        await asyncio.sleep(0.02)


def test_a_partial_fill_is_told_and_a_cancel_keeps_it(rig: Rig) -> None:
    async def work(entry: Any) -> None:
        order = rig.partial()
        state = await entry.submit(order, "part.1")
        assert 0 < state.filled_quantity < order.quantity
        if state.is_open:
            assert state.status == OrderStatus.PARTIALLY_FILLED
            state = await entry.cancel(rig.instrument, "part.1")
        assert state.status in (OrderStatus.CANCELED, OrderStatus.EXPIRED)
        assert 0 < state.filled_quantity < order.quantity
        assert await filled_at(rig, entry, state) == pytest.approx(state.filled_quantity)

    trade(rig, work)


@pytest.mark.parametrize("loss", LOSSES)
def test_an_accepted_order_whose_answer_is_lost_is_found_not_repeated(rig: Rig, loss: str) -> None:
    async def work(entry: Any) -> None:
        rig.strike(loss)
        state = await entry.submit(rig.order(rig.lot, rig.away()), f"lost.{loss}")
        assert state.status == OrderStatus.NEW
        assert await ids_at(entry) == [f"lost.{loss}"]
        await entry.cancel(rig.instrument, f"lost.{loss}")

    trade(rig, work)


@pytest.mark.parametrize("fault", FAULTS)
def test_an_order_that_met_a_bad_answer_is_there_once_or_not_said_to_be(rig: Rig, fault: str) -> None:
    async def work(entry: Any) -> None:
        rig.strike(fault)
        state = await entry.submit(rig.order(rig.lot, rig.away()), f"bad.{fault}")
        there = await ids_at(entry)
        if state.status == OrderStatus.NEW:
            assert there == [f"bad.{fault}"]
            await entry.cancel(rig.instrument, f"bad.{fault}")
        else:  # ccxt's adapter never sends twice
            assert rig.name == "ccxtbox"
            assert (state.status, there) == (OrderStatus.UNRESOLVED, [])
            assert state.reason

    trade(rig, work)


def test_an_id_that_was_used_gives_no_second_order(rig: Rig) -> None:
    async def work(entry: Any) -> None:
        first = await entry.submit(rig.order(rig.lot, rig.away()), "same.1")
        second = await entry.submit(rig.order(rig.lot, rig.away()), "same.1")
        assert second.status in (OrderStatus.NEW, OrderStatus.REJECTED)
        if second.status == OrderStatus.NEW:
            assert second.venue_order_id == first.venue_order_id
        assert await ids_at(entry) == ["same.1"]
        await entry.cancel(rig.instrument, "same.1")

    trade(rig, work)


def test_refusals_are_states_in_the_venues_words(rig: Rig) -> None:
    async def work(entry: Any) -> None:
        poor = await entry.submit(rig.order(100_000, rig.away()), "refused.1")
        tiny = await entry.submit(rig.order(rig.too_little, rig.away()), "refused.2")
        for state in (poor, tiny):
            assert state.status == OrderStatus.REJECTED
            assert len(state.reason) > 10
            assert "\n" not in state.reason
        assert await ids_at(entry) == []

    trade(rig, work)


def test_an_instrument_that_is_not_traded_is_refused(rig: Rig) -> None:
    async def work(entry: Any) -> None:
        for symbol in filter(None, (rig.unknown, rig.delisted)):
            try:
                state = await entry.submit(
                    rig.order(rig.lot, 10.0, symbol=symbol), f"gone.{symbol}"[:30].replace("/", "")
                )
                assert (state.status, bool(state.reason)) == (OrderStatus.REJECTED, True)
            except (InputError, VenueError) as error:
                assert is_one_line(error)  # noqa: PT017
        with pytest.raises(InputError, match="not traded"):
            await entry.status("other:BTC", "x")
        assert await ids_at(entry) == []

    trade(rig, work)


def test_order_types_that_are_not_declared_are_refused_before_sending(rig: Rig) -> None:
    async def work(entry: Any) -> None:
        for kind in OrderType:
            order = rig.order(rig.lot, rig.away(), type=kind, stop_price=round(rig.price() * 1.2), trail=5.0)
            if kind.name in rig.can.order_types:
                state = await entry.submit(order, f"type.{kind}")
                assert state.status in (OrderStatus.NEW, OrderStatus.FILLED), kind
                if state.is_open:
                    await entry.cancel(rig.instrument, f"type.{kind}")
            else:
                with pytest.raises(InputError):
                    await entry.submit(order, f"type.{kind}")
        with pytest.raises(InputError):
            await entry.submit(rig.order(rig.lot, rig.away(), reduce_only=True), "cond.1")
        if rig.can.post_only:
            await entry.submit(rig.order(rig.lot, rig.away(), post_only=True), "cond.2")
            await entry.cancel(rig.instrument, "cond.2")
            taking = await entry.submit(rig.order(rig.lot, round(rig.price() * 1.05), post_only=True), "cond.3")
            assert (taking.status, taking.filled_quantity) == (OrderStatus.REJECTED, 0)
        else:
            with pytest.raises(InputError):
                await entry.submit(rig.order(rig.lot, rig.away(), post_only=True), "cond.2")
        assert await ids_at(entry) == []

    trade(rig, work)


def test_an_open_order_is_changed_in_one_step_where_that_is_declared(rig: Rig) -> None:
    async def work(entry: Any) -> None:
        assert hasattr(entry, "replace") == rig.can.amend
        if not rig.can.amend:
            return
        await entry.submit(rig.order(2 * rig.lot, rig.away()), "amend.1")
        fresh = await entry.replace(rig.instrument, "amend.1", "amend.1-a1", 3 * rig.lot, rig.away() - 1)
        assert (fresh.client_order_id, fresh.quantity, fresh.price) == ("amend.1-a1", 3 * rig.lot, rig.away() - 1)
        old = await entry.status(rig.instrument, "amend.1")
        assert (old.status, "replaced" in old.reason) == (OrderStatus.CANCELED, True)
        assert await ids_at(entry) == ["amend.1-a1"]
        await entry.cancel(rig.instrument, "amend.1-a1")
        gone = await entry.replace(rig.instrument, "amend.1-a1", "amend.1-a2", 4)
        assert gone.status == OrderStatus.CANCELED
        assert await ids_at(entry) == []

    trade(rig, work)


def test_the_accounts_stream_tells_changes_and_catches_up_after_it_broke(rig: Rig) -> None:
    async def work(entry: Any) -> None:
        seen: list[OrderState] = []
        made = []
        entry.connected = lambda: made.append(1)

        async def listen() -> None:
            async for state in entry.updates():
                seen.append(state)

        def told(name: str, status: OrderStatus) -> bool:
            return any(state.client_order_id == name and state.status == status for state in seen)

        listening = asyncio.create_task(listen())
        try:
            await until(lambda: made)
            await asyncio.sleep(0.3)  # ccxt says that it will connect, not that it has
            await entry.submit(rig.order(rig.lot, rig.away()), "told.1")
            await until(lambda: told("told.1", OrderStatus.NEW))
            before = len(made)
            await asyncio.to_thread(rig.cut)
            if rig.name != "ccxtbox":
                await until(lambda: len(made) > before)
            else:
                await asyncio.sleep(1)
            await entry.submit(rig.order(rig.lot, None), "told.2")
            await entry.cancel(rig.instrument, "told.1")
            await until(lambda: told("told.2", OrderStatus.FILLED) and told("told.1", OrderStatus.CANCELED))
            assert len(made) > before or rig.name == "ccxtbox"
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

    trade(rig, work)


def test_reconciliation_finds_what_others_did(rig: Rig) -> None:
    async def work(entry: Any) -> None:
        ours = await entry.submit(rig.order(rig.lot, rig.away()), "rec.1")
        assert await entry.reconcile([ours]) == []
        async with rig.orders() as other:
            await other.submit(rig.order(rig.lot, rig.away()), "by-hand")
            await other.cancel(rig.instrument, "rec.1")
        found = {(each.what, each.name): each for each in await entry.reconcile([ours])}
        assert set(found) == {("order", "by-hand"), ("order", "rec.1")}
        assert found["order", "by-hand"].ours == "unknown"
        await entry.cancel(rig.instrument, "by-hand")
        invented = OrderState(client_order_id="rec.9", instrument=rig.instrument, status=OrderStatus.NEW)
        found_again = await entry.reconcile([invented])
        assert [(each.name, each.venue) for each in found_again] == [("rec.9", "unknown")]

    trade(rig, work)


def test_an_order_the_venue_has_never_heard_of_is_none_and_cannot_be_cancelled(rig: Rig) -> None:
    async def work(entry: Any) -> None:
        assert await entry.status(rig.instrument, "never-sent") is None
        with pytest.raises(VenueError) as caught:
            await entry.cancel(rig.instrument, "never-sent")
        assert is_one_line(caught.value)

    trade(rig, work)


def test_a_wrong_key_is_an_error_that_does_not_show_it(rig: Rig) -> None:
    async def work(entry: Any) -> None:
        for ask in (
            lambda: entry.submit(rig.order(rig.lot, rig.away()), "key.1"),
            entry.balances,
            lambda: anext(entry.updates()),
        ):
            with pytest.raises(VenueError) as caught:
                await ask()
            assert is_one_line(caught.value)
        assert not any(secret in repr(entry) + repr(vars(entry)) for secret in SECRETS if rig.name != "ccxtbox")

    trade(rig, work, key="wrong")


def test_a_key_that_may_only_look_looks_and_orders_nothing(rig: Rig) -> None:
    if not rig.can.read_only_keys:
        assert rig.name == "alpaca"  # its keys have no rights to choose: an account may be blocked instead

        async def blocked(entry: Any) -> None:
            account = rig.server.brokerage.accounts["KEY"]  # type: ignore[attr-defined]
            account.blocked = True
            try:
                with pytest.raises(VenueError, match="may not trade: trading_blocked"):
                    await entry.check()
                state = await entry.submit(rig.order(rig.lot, rig.away()), "look.1")
                assert state.status == OrderStatus.REJECTED
            finally:
                account.blocked = False
            await entry.check()

        trade(rig, blocked)
        return

    async def work(entry: Any) -> None:
        assert (await entry.balances())[rig.quote].free > 0
        assert await ids_at(entry) == []
        try:
            state = await entry.submit(rig.order(rig.lot, rig.away()), "look.1")
            assert rig.name == "ccxtbox"  # which takes this refusal for a ban, once the key was accepted before
            assert (state.status, "permission" in state.reason.lower()) == (OrderStatus.UNRESOLVED, True)
        except Refused as error:
            assert "permission" in str(error).lower()  # noqa: PT017
        assert await ids_at(entry) == []

    trade(rig, work, key="read-only")


@pytest.mark.parametrize("skew_s", [-3600.0, 3600.0])
def test_a_wrong_clock_of_ours_is_set_by_the_venues_or_does_not_matter(rig: Rig, skew_s: float) -> None:
    async def work(entry: Any) -> None:
        state = await entry.submit(rig.order(rig.lot, rig.away()), f"clock.{skew_s:g}")
        assert state.status == OrderStatus.NEW
        assert (await entry.cancel(rig.instrument, f"clock.{skew_s:g}")).status == OrderStatus.CANCELED

    trade(rig, work, skew_s=skew_s)


def test_an_id_that_the_venue_cannot_take_is_refused_before_sending(rig: Rig) -> None:
    async def work(entry: Any) -> None:
        try:
            state = await entry.submit(rig.order(rig.lot, rig.away()), "x" * 200)
            assert state.status == OrderStatus.REJECTED
        except InputError as error:
            assert "shorter" in str(error)  # noqa: PT017
        assert await ids_at(entry) == []

    trade(rig, work)
