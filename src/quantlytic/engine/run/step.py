"""A strategy behind one fixed signature, whatever handlers it has: what the loops call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from quantlytic.engine.account.account import BAR_ROW, FILL_ROW
from quantlytic.engine.account.broker import BROKER
from quantlytic.engine.compiler.record import Layout, at, layout_of
from quantlytic.engine.data.slice import SLICE
from quantlytic.engine.matching.orderbook import BOOK
from quantlytic.engine.run.desk import DESK
from quantlytic.engine.run.loop import ON_BAR, ON_BOOK, ON_FILL, ON_QUOTE, ON_SLICE, ON_TIMER, ON_TRADE
from quantlytic.model.quote import QUOTE
from quantlytic.model.trade import TRADE

TRADE_ROW, QUOTE_ROW = layout_of(TRADE), layout_of(QUOTE)


def make_step(layout: Layout, handlers: frozenset[str]) -> Callable[[int, Any, Any, Any], None]:
    """`step(kind, state, event, broker)`, the last three addresses. The compiler drops the branches of the handlers that are
    not there, since these names are constants to it. A timer's event is the desk."""
    bar, fill, trade = "on_bar" in handlers, "on_fill" in handlers, "on_trade" in handlers
    quote, book = "on_quote" in handlers, "on_book" in handlers
    cross, timer = "on_slice" in handlers, "on_timer" in handlers

    def step(kind: int, state: Any, event: Any, broker: Any) -> None:
        if bar and kind == ON_BAR:
            at(state, 0, layout).on_bar(at(event, 0, BAR_ROW), at(broker, 0, BROKER))
        if trade and kind == ON_TRADE:
            at(state, 0, layout).on_trade(at(event, 0, TRADE_ROW), at(broker, 0, BROKER))
        if quote and kind == ON_QUOTE:
            at(state, 0, layout).on_quote(at(event, 0, QUOTE_ROW), at(broker, 0, BROKER))
        if book and kind == ON_BOOK:
            at(state, 0, layout).on_book(at(event, 0, BOOK), at(broker, 0, BROKER))
        if cross and kind == ON_SLICE:
            at(state, 0, layout).on_slice(at(event, 0, SLICE), at(broker, 0, BROKER))
        if fill and kind == ON_FILL:
            at(state, 0, layout).on_fill(at(event, 0, FILL_ROW), at(broker, 0, BROKER))
        if timer and kind == ON_TIMER:
            at(state, 0, layout).on_timer(at(event, 0, DESK).timer, at(broker, 0, BROKER))

    return step
