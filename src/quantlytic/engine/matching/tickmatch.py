"""Open orders meet a trade, a quote or a book: the rules, stated once (an order's life is in `lifecycle.py`).

An order meets the first event of its instrument after it was sent and has arrived, never the one it was sent at.

- Trades alone: what takes any price, and a limit that its first trade satisfies, fills at the trade's price as taker. A limit
  that rests fills at its own price when a trade goes **through** it. What trades at exactly its price went to those before it
  in the queue, of which trades tell nothing; with `Market.queue` "none" there is no queue, and that trade fills it.
- Quotes: the same against the far side of the quote (its quantity is not looked at); a limit that rests fills at its own
  price when the far side reaches it, or when a trade goes through it.
- A book: what takes walks the levels and fills at their average price; what a market order finds no level for expires. A
  limit that rests fills at its own price when the other side reaches it or a trade goes through it; a trade **at** its
  price first eats what rests before it. `Market.queue` says how that shrinks else:
    "risk-averse": cancellations are behind us, unless less rests at the price than was thought to be before us;
    "proportional": cancellations are before and behind us in proportion to what rests there.
  Source: E. Rigtorp, "Estimating order queue position" (2013); hftbacktest, "Queue Models". We take no liquidity out of
  the recorded book, and are not part of it. An amended price goes to the back of the queue.
- Stops and take-profits are triggered by the price that they would be filled at: a trade's, or the far side's. Trailing stops
  follow that price.
- IOC and FOK are filled by the first price they meet or expire; AT_OPEN by the first of the next session (or UTC day).
- With trades alone, the cap on participation is a share of each trade's quantity; quotes and books have no cap.
- A split ends what was quoted: nothing is matched until the next quote, or the book's next levels, of the new units.
"""

# mypy: disable-error-code="no-any-return"
# Rows are fields of a buffer, not objects: their types are known when compiled.

from __future__ import annotations

import math
from typing import Any

from quantlytic.engine.account.codes import (
    AT_CLOSE,
    AT_OPEN,
    BUY,
    CASH_ACCOUNT,
    DAY_NS,
    EXPIRED,
    FOK,
    IOC,
    MARKET,
    NO_QUEUE,
    NOT_FILLED_AT_ONCE,
    POST_ONLY_WOULD_TAKE,
    PROPORTIONAL,
    REJECTED,
    TRAILING_STOP,
)
from quantlytic.engine.account.ordertable import FAVOURABLE
from quantlytic.engine.market.participation import allowance
from quantlytic.engine.matching.barmatch import at_close, go
from quantlytic.engine.run.desk import BOOKS, TRADES


def match_trade(account: Any, desk: Any, trade: Any) -> None:
    """A trade of an instrument of which trades alone are known."""
    instrument, price, time = trade.instrument, trade.price, trade.event_time
    account.volume = trade.quantity
    account.allowed = allowance(account.participation, trade.quantity)
    before(account, instrument, price, price, time)
    through(account, desk, trade)
    meet_prices(account, desk, TRADES, instrument, price, price, time)
    after(account, instrument, price, trade.quantity)


def match_quote(account: Any, desk: Any, instrument: int, time: int) -> None:
    """The quote in force meets the orders: after it has changed, or when there was a trade."""
    feed = desk.feed(instrument)
    account.volume = account.allowed = math.inf
    account.position(instrument).quoted = True
    before(account, instrument, feed.bid, feed.ask, time)
    meet_prices(account, desk, feed.source, instrument, feed.bid, feed.ask, time)
    after(account, instrument, 0.5 * (feed.bid + feed.ask), 0.0)


def match_book(account: Any, desk: Any, book: Any, time: int) -> None:
    """The whole book meets the orders: after it has changed, or when there was a trade."""
    if book.bids + book.asks == 0:
        return
    instrument = book.instrument
    account.volume = account.allowed = math.inf
    account.position(instrument).quoted = True
    before(account, instrument, book.bid, book.ask, time)
    meet_prices(account, desk, BOOKS, instrument, book.bid, book.ask, time)
    after(account, instrument, book.mid, 0.0)
    join_queues(account, desk, book)


def meet_trade(account: Any, desk: Any, trade: Any) -> None:
    """A trade of an instrument of which a quote or a book is known as well."""
    instrument, time = trade.instrument, trade.event_time
    account.volume = account.allowed = math.inf
    if account.position(instrument).orders > 0:
        account.pass_time(instrument, time)
    through(account, desk, trade)
    if desk.feed(instrument).source == BOOKS:
        account.settle_rows(instrument)
        match_book(account, desk, desk.book(instrument), time)
    elif desk.feed(instrument).quoted:
        match_quote(account, desk, instrument, time)
    else:
        account.settle_rows(instrument)


def forget_prices(desk: Any, instrument: int) -> None:
    """What was quoted was of the units before a split."""
    feed = desk.feed(instrument)
    feed.bid = math.nan
    feed.ask = math.nan
    feed.quoted = False
    if feed.source == BOOKS:
        desk.book(instrument).clear()


def before(account: Any, instrument: int, bid: float, ask: float, time: int) -> None:
    """What is due before the prices are met: amendments, ends, closing auctions, liquidation."""
    if account.position(instrument).orders > 0:
        account.pass_time(instrument, time)
        at_close(account, instrument, time, account.position(instrument).price, True)
    if account.margin_mode != CASH_ACCOUNT:
        exit_price = bid if account.position(instrument).quantity > 0.0 else ask
        if account.is_broken(instrument, exit_price):
            account.liquidate(instrument, exit_price, time)


def after(account: Any, instrument: int, price: float, quantity: float) -> None:
    """Orders that have ended go; what is usual is learnt."""
    if account.position(instrument).orders > 0:
        account.settle_rows(instrument)
    if account.restless and quantity > 0.0:
        account.observe(instrument, price, quantity)


def is_there(account: Any, order: Any, time: int) -> bool:
    """Alive, arrived, and not yet tried at this event."""
    return order.live and order.active_at <= time and order.met != account.bars


def rests(order: Any) -> bool:
    """A limit that waits in the queue."""
    return order.resting and order.has_limit and order.aim == FAVOURABLE


def meet_prices(account: Any, desk: Any, source: int, instrument: int, bid: float, ask: float, time: int) -> None:
    """All orders meet bid and ask (with trades alone both are the trade's price)."""
    position = account.position(instrument)
    for row in range(position.orders):
        order = account.order(instrument, row)
        price = ask if order.side == BUY else bid
        if not is_there(account, order, time) or order.time_in_force == AT_CLOSE:
            continue
        if order.time_in_force == AT_OPEN and not opens(position, order, time):
            continue
        if order.type == TRAILING_STOP and not order.triggered and not math.isnan(price):
            order.follow(price)
            account.round_levels(instrument, order)
        if rests(order):
            if source != TRADES and order.meets(price):
                go(account, order, instrument, order.level, True, time)
        else:
            if order.meets(price) or (order.type == MARKET and math.isnan(price)):
                if order.post_only:
                    account.finish(instrument, order, REJECTED, POST_ONLY_WOULD_TAKE, time)
                elif source == BOOKS:
                    walk(account, desk.book(instrument), order, time)
                else:
                    go(account, order, instrument, price, False, time)
            if order.live and order.time_in_force in (IOC, FOK, AT_OPEN):
                account.finish(instrument, order, EXPIRED, NOT_FILLED_AT_ONCE, time)


def opens(position: Any, order: Any, time: int) -> bool:
    """Whether a session has begun since the order arrived."""
    if position.has_sessions:
        return position.session_start >= order.active_at
    return time // DAY_NS > (order.active_at - 1) // DAY_NS


def through(account: Any, desk: Any, trade: Any) -> None:
    """A trade goes through the price of limits that rest, or comes to it."""
    instrument, time = trade.instrument, trade.event_time
    for row in range(account.position(instrument).orders):
        order = account.order(instrument, row)
        if is_there(account, order, time) and rests(order):
            beyond = order.side * (order.price - trade.price)
            if beyond > 0.0 or (beyond == 0.0 and desk.queue == NO_QUEUE):
                go(account, order, instrument, order.price, True, time)
            elif beyond == 0.0 and desk.feed(instrument).source == BOOKS and trade.side != order.side:
                eat_queue(account, desk, order, trade)


def eat_queue(account: Any, desk: Any, order: Any, trade: Any) -> None:
    """A trade at our price eats what is before us, then us."""
    row = find_place(desk, trade.instrument, order.order_id)
    if row < 0:
        return
    place = desk.queue_place(trade.instrument, row)
    place.ahead -= trade.quantity
    place.traded += trade.quantity
    if place.ahead < 0.0:
        quantity = account.position(trade.instrument).round_quantity(min(-place.ahead, order.quantity))
        place.ahead = 0.0
        if quantity > 0.0:
            order.met = account.bars
            account.execute(order, trade.instrument, quantity, order.price, True, trade.event_time)


def walk(account: Any, book: Any, order: Any, time: int) -> None:
    """Take the levels up to the limit, at their average price."""
    instrument = book.instrument
    order.met = account.bars
    if order.type != MARKET and not order.has_limit:
        order.triggered = True
    limit = order.price if order.has_limit else math.inf * order.side
    if order.has_limit:
        order.triggered = True
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
    if wanted > 0.0:
        filled = account.position(instrument).round_quantity(filled)
    if filled > 0.0 and not (order.time_in_force == FOK and wanted > 0.0):
        account.execute(order, instrument, filled, cost / (order.quantity - wanted), False, time)
    if order.live and not order.has_limit:
        account.finish(instrument, order, EXPIRED, NOT_FILLED_AT_ONCE, time)


# ---- the queue ----


def change_level(account: Any, desk: Any, book: Any, level: Any) -> None:
    """A level is told anew: the book changes, and with it what rests before our orders at that price."""
    instrument, side, price = level.instrument, level.side, level.price
    if level.snapshot:
        book.clear()
    book.event_time = level.event_time
    book.sequence = level.sequence
    orders = account.position(instrument).orders
    was = book.quantity_at(side, price) if orders > 0 else 0.0
    book.set(side, price, level.quantity)
    for row in range(orders):
        order = account.order(instrument, row)
        if order.side == side and order.price == price and order.live and rests(order):
            shorten(desk, order, level, was)


def shorten(desk: Any, order: Any, level: Any, was: float) -> None:
    """What rests at our price is now `level.quantity`, and was `was`: how much of it is before us."""
    row = find_place(desk, level.instrument, order.order_id)
    if row < 0:
        return
    place = desk.queue_place(level.instrument, row)
    if desk.queue == PROPORTIONAL and not level.snapshot:
        cancelled = was - level.quantity - place.traded
        if cancelled > 0.0 and was > 0.0:
            place.ahead -= cancelled * min(place.ahead / was, 1.0)
    place.ahead = max(min(place.ahead, level.quantity), 0.0)
    place.traded = 0.0


def join_queues(account: Any, desk: Any, book: Any) -> None:
    """Limits that have begun to rest, or were given another price, go behind what rests at their price."""
    instrument = book.instrument
    for row in range(account.position(instrument).orders):
        order = account.order(instrument, row)
        if order.live and rests(order):
            k = find_place(desk, instrument, order.order_id)
            if k < 0:
                k = free_place(account, desk, instrument)
                desk.queue_place(instrument, k).order_id = 0
            place = desk.queue_place(instrument, k)
            if place.order_id == 0 or place.price != order.price:
                place.order_id = order.order_id
                place.price = order.price
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
