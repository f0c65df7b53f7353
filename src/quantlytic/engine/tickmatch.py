"""Open orders meet a trade, a quote or a book.

An order meets the first event of its instrument after it was sent, never the one it was sent at.

- Trades alone: a market order, and a limit that this first trade satisfies, fill at the trade's price as taker. A limit that
  rests fills at its own price when a trade goes **through** it. What trades at exactly its price went to those before it in
  the queue, of which trades tell nothing; with `queue="none"` there is no queue, and that trade fills it.
- Quotes: the same against the far side of the quote, whole (a quote's quantity is not looked at); a limit that rests fills
  at its own price when the far side reaches it, or when a trade goes through it.
- A book: market orders, and limits that can trade at once, walk the levels and fill at the average price of what they took;
  what a market order finds no level for expires. A limit that rests fills at its own price when the other side reaches
  it or a trade goes through it; a trade **at** its price first eats what rests before it. `queue` says how that shrinks else:
    "risk-averse": cancellations are behind us, unless less rests at the price than was thought to be before us;
    "proportional": cancellations are before and behind us in proportion to what rests there.
  Source: E. Rigtorp, "Estimating order queue position" (2013); hftbacktest, "Queue Models". We take no liquidity out of
  the recorded book, and are not part of it.
- IOC and FOK are filled by the first event or expire; FOK wants its whole quantity.
"""

# mypy: disable-error-code="no-any-return"
# Rows are fields of a buffer, not objects: their types are known when compiled.

from __future__ import annotations

import math
from typing import Any

from quantlytic.engine.codes import BUY, EXPIRED, FOK, GTC, MARKET, NEW, NOT_FILLED_AT_ONCE, PARTIALLY_FILLED
from quantlytic.engine.desk import BOOKS

QUEUES = ("risk-averse", "proportional", "none")
"""Models of the queue, by number."""

PROPORTIONAL, NO_QUEUE = 1, 2


def match_trade(account: Any, desk: Any, trade: Any) -> None:
    """A trade of an instrument of which trades alone are known."""
    instrument, price, time = trade.instrument, trade.price, trade.event_time
    for row in range(account.position(instrument).orders):
        order = account.order(instrument, row)
        if is_live(order):
            if order.resting and order.type != MARKET:
                rest(account, desk, order, trade)
            else:
                take(account, order, instrument, price, time)
    account.settle_rows(instrument)


def match_quote(account: Any, feed: Any, instrument: int, time: int) -> None:
    """The quote in force meets the orders: after it has changed, or when there was a trade."""
    for row in range(account.position(instrument).orders):
        order = account.order(instrument, row)
        if is_live(order):
            far = feed.ask if order.side == BUY else feed.bid
            if not order.resting or order.type == MARKET:
                take(account, order, instrument, far, time)
            elif order.side * (order.price - far) >= 0.0:
                account.execute(order, instrument, order.quantity, order.price, True, time)


def meet_trade(account: Any, desk: Any, trade: Any) -> None:
    """A trade of an instrument of which a quote or a book is known as well."""
    instrument, time = trade.instrument, trade.event_time
    booked = desk.feed(instrument).source == BOOKS
    for row in range(account.position(instrument).orders):
        order = account.order(instrument, row)
        if is_live(order) and order.resting and order.type != MARKET:
            if booked and desk.queue != NO_QUEUE and trade.price == order.price:
                queue(account, desk, order, trade)
            else:
                rest(account, desk, order, trade)
    if booked:
        match_book(account, desk, desk.book(instrument), time)
    else:
        if desk.feed(instrument).quoted:
            match_quote(account, desk.feed(instrument), instrument, time)
        account.settle_rows(instrument)


def match_book(account: Any, desk: Any, book: Any, time: int) -> None:
    """The whole book meets the orders: after it has changed, or when there was a trade."""
    instrument = book.instrument
    if book.bids + book.asks == 0:
        return
    for row in range(account.position(instrument).orders):
        order = account.order(instrument, row)
        if is_live(order):
            if not order.resting or order.type == MARKET:
                walk(account, book, order, time)
                if is_live(order):
                    join(account, desk, book, order)
            else:
                other = book.ask if order.side == BUY else book.bid
                if order.side * (order.price - other) >= 0.0:
                    account.execute(order, instrument, order.quantity, order.price, True, time)
    account.settle_rows(instrument)


def change_level(account: Any, desk: Any, book: Any, level: Any) -> None:
    """A level is told anew: the book changes, and with it what rests before our orders at that price."""
    instrument, side, price = level.instrument, level.side, level.price
    if level.snapshot:
        book.clear()
    book.event_time = level.event_time
    book.sequence = level.sequence
    orders = account.position(instrument).orders
    before = book.quantity_at(side, price) if orders > 0 else 0.0
    book.set(side, price, level.quantity)
    for row in range(orders):
        order = account.order(instrument, row)
        if is_live(order) and order.resting and order.side == side and order.price == price:
            shorten(desk, order, level, before)


def shorten(desk: Any, order: Any, level: Any, before: float) -> None:
    """What rests at our price is now `level.quantity`, and was `before`: how much of it is before us."""
    row = find_place(desk, level.instrument, order.order_id)
    if row < 0:
        return
    place = desk.queue_place(level.instrument, row)
    if desk.queue == PROPORTIONAL and not level.snapshot:
        cancelled = before - level.quantity - place.traded
        if cancelled > 0.0 and before > 0.0:
            place.ahead -= cancelled * min(place.ahead / before, 1.0)
    place.ahead = max(min(place.ahead, level.quantity), 0.0)
    place.traded = 0.0


def is_live(order: Any) -> bool:
    return order.status == NEW or order.status == PARTIALLY_FILLED  # noqa: PLR1714 - the compiler knows no sets


def take(account: Any, order: Any, instrument: int, price: float, time: int) -> None:
    """An order comes upon a price it could have at once."""
    if order.type == MARKET or order.side * (order.price - price) >= 0.0:
        account.execute(order, instrument, order.quantity, price, False, time)
    elif order.time_in_force != GTC:
        account.finish(instrument, order, EXPIRED, NOT_FILLED_AT_ONCE, time)


def rest(account: Any, desk: Any, order: Any, trade: Any) -> None:
    """A trade goes through the price of a limit that rests, or (without a queue) meets it."""
    beyond = order.side * (order.price - trade.price)
    if beyond > 0.0 or (beyond == 0.0 and desk.queue == NO_QUEUE):
        account.execute(order, trade.instrument, order.quantity, order.price, True, trade.event_time)


def queue(account: Any, desk: Any, order: Any, trade: Any) -> None:
    """A trade at our price eats what is before us, then us."""
    row = find_place(desk, trade.instrument, order.order_id)
    if row < 0 or trade.side == order.side:
        return
    place = desk.queue_place(trade.instrument, row)
    place.ahead -= trade.quantity
    place.traded += trade.quantity
    if place.ahead < 0.0:
        quantity = min(-place.ahead, order.quantity)
        place.ahead = 0.0
        account.execute(order, trade.instrument, quantity, order.price, True, trade.event_time)


def walk(account: Any, book: Any, order: Any, time: int) -> None:
    """Take the levels up to the limit, at their average price."""
    limit = math.inf * order.side if order.type == MARKET else order.price
    count = book.count(-order.side)
    wanted, cost, k = order.quantity, 0.0, 0
    while k < count and wanted > 0.0:
        level = book.level(-order.side, k)
        if order.side * (limit - level.price) < 0.0:
            break
        part = min(wanted, level.quantity)
        cost += part * level.price
        wanted -= part
        k += 1
    filled = order.quantity - wanted
    if filled > 0.0 and not (order.time_in_force == FOK and wanted > 0.0):
        account.execute(order, book.instrument, filled, cost / filled, False, time)
    if is_live(order) and (order.type == MARKET or order.time_in_force != GTC):
        account.finish(book.instrument, order, EXPIRED, NOT_FILLED_AT_ONCE, time)


def join(account: Any, desk: Any, book: Any, order: Any) -> None:
    """A limit that could not trade at once goes behind what rests at its price."""
    place = desk.queue_place(book.instrument, free_place(account, desk, book.instrument))
    place.order_id = order.order_id
    place.ahead = book.quantity_at(order.side, order.price)
    place.traded = 0.0


def find_place(desk: Any, instrument: int, order_id: int) -> int:
    """The row of an order's place in the queue, or -1."""
    for row in range(desk.queue_capacity):
        if desk.queue_place(instrument, row).order_id == order_id:
            return row
    return -1


def free_place(account: Any, desk: Any, instrument: int) -> int:
    """A row whose order is no longer open. There are as many as orders may be."""
    for row in range(desk.queue_capacity):
        order_id = desk.queue_place(instrument, row).order_id
        if order_id == 0 or account.find(instrument, order_id) < 0:
            return row
    return 0
