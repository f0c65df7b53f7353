"""Events to bytes and back: msgspec MessagePack, positional, one integer tag an event type."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import msgspec

from quantlytic.model.action import Action
from quantlytic.model.advice import Advice
from quantlytic.model.averages import Averages
from quantlytic.model.bar import Bar
from quantlytic.model.barsclosed import BarsClosed
from quantlytic.model.book import BookDelta
from quantlytic.model.breach import RiskBreach
from quantlytic.model.cashflow import CashFlow
from quantlytic.model.command import VenueCommand, VenueReport
from quantlytic.model.delivery import Delivery
from quantlytic.model.discrepancy import Discrepancy
from quantlytic.model.equity import Decided, Equity
from quantlytic.model.event import Event
from quantlytic.model.fill import Fill
from quantlytic.model.forecast import Forecast, ModelChange
from quantlytic.model.frame import RawFrame
from quantlytic.model.halt import Halt
from quantlytic.model.intent import Intent, IntentOutcome
from quantlytic.model.ledger import LedgerEntry
from quantlytic.model.news import News
from quantlytic.model.order import Order, OrderAmend, OrderCancel, OrderUpdate
from quantlytic.model.quote import Quote
from quantlytic.model.signal import Signal
from quantlytic.model.strategychange import StrategyChange, StrategyRequest
from quantlytic.model.trade import Trade

AnyEvent = (
    Trade | Quote | BookDelta | Bar | RawFrame | LedgerEntry | Order | OrderCancel | OrderUpdate
    | Fill | Signal | Equity | Decided | Delivery | OrderAmend | Action | CashFlow
    | VenueCommand | VenueReport | Discrepancy | RiskBreach | Halt | Intent | IntentOutcome
    | Averages | Advice | News | BarsClosed | Forecast | ModelChange
    | StrategyChange | StrategyRequest
)  # fmt: skip

EVENT_TYPES: tuple[type[Event], ...] = AnyEvent.__args__

_encoder = msgspec.msgpack.Encoder()
_one = msgspec.msgpack.Decoder(AnyEvent)
_many = msgspec.msgpack.Decoder(list[AnyEvent])


def encode(event: Event) -> bytes:
    """One event as bytes."""
    return _encoder.encode(event)


def decode(payload: bytes) -> Event:
    """One event from bytes. Raises `msgspec.DecodeError` (or its ValidationError) on anything else."""
    return cast(Event, _one.decode(payload))


def encode_batch(events: Sequence[Event]) -> bytes:
    """A micro-batch as bytes."""
    return _encoder.encode(events)


def decode_batch(payload: bytes) -> list[Event]:
    """A micro-batch from bytes."""
    return cast(list[Event], _many.decode(payload))
