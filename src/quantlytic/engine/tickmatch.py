"""Open orders meet a trade, a quote or a book."""

# mypy: disable-error-code="no-any-return"
# Rows are fields of a buffer, not objects: their types are known when compiled.

from __future__ import annotations

from typing import Any

from quantlytic.engine.codes import BUY, MARKET


def match_trade(account: Any, trade: Any) -> None:
    instrument = trade.instrument
    position = account.position(instrument)
    for row in range(position.orders):
        order = account.order(instrument, row)
        if order.type == MARKET or (not order.resting and order.side * (order.price - trade.price) >= 0.0):
            account.execute(order, instrument, order.quantity, trade.price, False, trade.event_time)
        elif order.side * (order.price - trade.price) > 0.0:
            account.execute(order, instrument, order.quantity, order.price, True, trade.event_time)
    account.settle_rows(instrument)


def match_quote(account: Any, feed: Any, quote: Any) -> None:
    feed.bid = quote.bid
    feed.ask = quote.ask
    feed.quoted = True
    instrument = quote.instrument
    position = account.position(instrument)
    for row in range(position.orders):
        order = account.order(instrument, row)
        price = quote.ask if order.side == BUY else quote.bid
        if order.type == MARKET or (not order.resting and order.side * (order.price - price) >= 0.0):
            account.execute(order, instrument, order.quantity, price, False, quote.event_time)
        elif order.side * (order.price - price) >= 0.0:
            account.execute(order, instrument, order.quantity, order.price, True, quote.event_time)
    account.settle_rows(instrument)


def match_book(account: Any, desk: Any, book: Any, level: Any) -> None:
    if level.snapshot:
        book.clear()
    book.event_time = level.event_time
    book.sequence = level.sequence
    book.set(level.side, level.price, level.quantity)


def meet_trade(account: Any, desk: Any, trade: Any) -> None:
    pass
