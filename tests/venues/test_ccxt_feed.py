"""The ccxt feed with exchanges that offer less, or answer oddly."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from tests.venues.conformance import until

from quantlytic.model.errors import InputError
from quantlytic.model.event import Event
from quantlytic.model.frame import RawFrame
from quantlytic.model.ledger import LedgerEntry, LedgerKind
from quantlytic.model.side import Side
from quantlytic.model.trade import Trade
from quantlytic.venues.ccxt.feed import CcxtFeed
from quantlytic.venues.ccxt.normaliser import CcxtNormaliser
from quantlytic.venues.clock import GuardedClock
from quantlytic.venues.port import LOST


class Odd:
    """As much of a ccxt exchange as the feed uses. `has` says what it streams; the first answer is a mistake of ccxt's own."""

    id = "odd"

    def __init__(self, active: bool | None = True, **has: bool) -> None:
        self.has = {"watchTrades": True, **has}
        self.markets = {"A/B": {"active": active, "base": "A", "quote": "B"}}
        self.asked = 0

    async def load_markets(self) -> dict[str, Any]:
        return self.markets

    def market(self, symbol: str) -> dict[str, Any]:
        return self.markets[symbol]

    async def watch_trades(self, symbol: str) -> list[dict[str, Any]]:
        self.asked += 1
        if self.asked == 1:
            raise KeyError("lastTradeId")
        await asyncio.sleep(0.01)
        return [{"id": str(self.asked), "price": 10.5, "amount": 2, "side": "sell", "timestamp": 7}]

    async def close(self) -> None: ...


def test_a_side_that_is_not_named_is_estimated() -> None:
    normaliser = CcxtNormaliser("odd")
    rows = [("1", 10.0, None), ("2", 9.0, None), ("3", 9.0, "buy"), ("4", 9.5, None)]
    items = [{"id": i, "price": p, "amount": 1, "side": s, "timestamp": 7} for i, p, s in rows]
    events = normaliser.feed(RawFrame("trades A/B", 9, "ccxt:trades A/B", json.dumps(items).encode()))
    assert [event.side for event in events if isinstance(event, Trade)] == [Side.BUY, Side.SELL, Side.BUY, Side.BUY]


class Kept(list[RawFrame]):
    """An `Inbox`."""

    async def put(self, frame: RawFrame) -> None:
        self.append(frame)


def recorded(exchange: Odd) -> tuple[Kept, list[Event]]:
    kept = Kept()

    async def scenario() -> None:
        running = asyncio.create_task(CcxtFeed(exchange, ["A/B"], GuardedClock()).run(kept))
        async with asyncio.timeout(10):
            await until(lambda: running.done() or sum(frame.channel.startswith("ccxt:") for frame in kept) >= 3)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        if not running.cancelled() and (error := running.exception()):
            raise error

    asyncio.run(scenario())
    normaliser = CcxtNormaliser("odd")
    return kept, [event for frame in kept for event in normaliser.feed(frame)]


def test_a_mistake_of_ccxts_ends_no_recording_and_is_in_the_ledger() -> None:
    kept, events = recorded(Odd())
    assert any(frame.channel == LOST and b"KeyError" in frame.payload for frame in kept)
    assert sum(isinstance(event, Trade) for event in events) >= 3
    kinds = [event.kind for event in events if isinstance(event, LedgerEntry)]
    assert LedgerKind.RECONNECT in kinds


def test_what_an_exchange_does_not_stream_is_said_once() -> None:
    _, events = recorded(Odd())
    notes = [event.detail for event in events if isinstance(event, LedgerEntry) and event.kind == LedgerKind.INVALID]
    assert notes == ["book A/B: odd streams no book", "quotes A/B: odd streams no quotes"]


def test_an_exchange_without_trades_cannot_be_recorded() -> None:
    with pytest.raises(InputError, match="streams no trades"):
        recorded(Odd(watchTrades=False))


@pytest.mark.parametrize(("mode", "precision", "step"), [(2, 3, 0.001), (4, 0.005, 0.005), (3, 5, 0.0), (4, None, 0.0)])
def test_precisions_become_steps(mode: int, precision: float | None, step: float) -> None:
    odd = Odd()
    odd.precisionMode = mode  # type: ignore[attr-defined]
    odd.markets["A/B"]["precision"] = {"price": precision, "amount": precision}
    (instrument,) = asyncio.run(CcxtFeed(odd, ["A/B"], GuardedClock()).load_instruments())
    assert (instrument.tick_size, instrument.lot_size) == (step, step)


def test_contracts_of_another_size_than_one_are_refused() -> None:
    odd = Odd()
    odd.markets["A/B"]["contractSize"] = 0.01
    with pytest.raises(InputError, match="in contracts of another size"):
        recorded(odd)


def test_an_inactive_market_is_named_and_an_unknown_state_is_not_held_against_it() -> None:
    with pytest.raises(InputError, match="does not trade A/B"):
        recorded(Odd(active=False))
    assert recorded(Odd(active=None))[1]
