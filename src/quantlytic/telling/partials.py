"""Partial fills of one order are told together: nineteen mails about one purchase are no news."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from quantlytic.model.event import Event
from quantlytic.model.fill import Fill
from quantlytic.model.order import OrderUpdate
from quantlytic.model.time import NS_PER_S

PATIENCE_NS = NS_PER_S
"""So long after an order's last fill more of them may come."""


def settled(events: Sequence[Event], now_ns: int) -> int:
    """How many of a run's executions to tell of now: those of the last order wait while its newest fill is young."""
    last = next((event for event in reversed(events) if isinstance(event, Fill)), None)
    if last is None or not 0 <= now_ns - last.event_time < PATIENCE_NS:
        return len(events)
    keep = len(events)
    while keep and isinstance(event := events[keep - 1], Fill | OrderUpdate) and event.order_id == last.order_id:
        keep -= 1
    return keep


def together(events: Sequence[Event]) -> list[Event]:
    """The same events, with all fills of an order as one in the place of its first: the sum, at the mean price."""
    fills: dict[int, list[Fill]] = {}
    for event in events:
        if isinstance(event, Fill):
            fills.setdefault(event.order_id, []).append(event)
    return [
        _sum(fills[event.order_id]) if isinstance(event, Fill) else event
        for event in events
        if not isinstance(event, Fill) or event is fills[event.order_id][0]
    ]


def _sum(fills: Sequence[Fill]) -> Fill:
    if len(fills) == 1:
        return fills[0]
    quantity = sum(one.quantity for one in fills)
    return msgspec.structs.replace(
        fills[0],
        event_time=fills[-1].event_time,
        quantity=quantity,
        price=sum(one.quantity * one.price for one in fills) / quantity,
        fee=sum(one.fee for one in fills),
        slippage=sum(one.slippage for one in fills),
    )
