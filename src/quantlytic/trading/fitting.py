"""An order as the venue takes it: whole lots, whole ticks, not too small, and only what the run itself holds. Pure."""

from __future__ import annotations

import math

import msgspec

from quantlytic.model.instrument import Instrument
from quantlytic.model.order import Order, OrderType, Reason
from quantlytic.model.side import Side
from quantlytic.trading.holdings import Holdings, whole_lots
from quantlytic.trading.orderbook import OrderBook
from quantlytic.trading.tracker import LAST_DIGIT
from quantlytic.trading.triggers import plain_of
from quantlytic.trading.working import Working


class Unfit(msgspec.Struct, frozen=True):
    """Why an order cannot be sent."""

    reason: Reason
    text: str


def fit(working: Working, instrument: Instrument, last_price: float, held: float) -> Order | Unfit:
    """What is left of the order, as a plain one, in whole lots and at a whole tick that is no worse than the price asked for.

    `held`: the run's position; a reduce-only order is cut to what is there to be reduced.
    """
    order = plain_of(working.order)
    quantity = whole_lots(working.left, instrument.lot_size)
    if working.order.reduce_only:
        quantity = min(quantity, whole_lots(max(-order.side * held, 0.0), instrument.lot_size))
        if quantity <= 0.0:
            return Unfit(Reason.REDUCE_ONLY, f"the run holds {held:.10g}: there is nothing to reduce")
    if quantity <= 0.0:
        text = f"{working.left:.10g} is less than a lot of {instrument.lot_size:.10g}"
        return Unfit(Reason.INVALID_QUANTITY, text)
    price = order.price
    if order.type == OrderType.LIMIT:
        price = _on_tick(price, instrument.tick_size, order.side)
        if not price > 0.0:
            return Unfit(Reason.INVALID_PRICE, f"{order.price:.10g} is no price")
    value = quantity * (price if order.type == OrderType.LIMIT else last_price)
    if value < instrument.min_notional:
        return Unfit(Reason.MIN_NOTIONAL, f"worth {value:.8g}, at least {instrument.min_notional:.8g} is asked for")
    return msgspec.structs.replace(order, quantity=quantity, price=price)


def own_means(order: Order, holdings: Holdings, book: OrderBook, last_price: float) -> Unfit | None:
    """Whether a run that may not borrow sells what it holds and buys with its cash; what it has open counts as spent."""
    bound = 0.0
    for other in book.working.values():
        leg = other.leg
        if leg is None or other.order.run != order.run or other.order.side != order.side:
            continue
        if order.side == Side.BUY or leg.instrument == order.instrument:
            price = leg.price if leg.price > 0.0 else last_price
            bound += max(leg.quantity - leg.booked, 0.0) * (price if order.side == Side.BUY else 1.0)
    if order.side == Side.SELL:
        free = holdings.of[order.instrument].held - bound
        if order.quantity <= free + LAST_DIGIT * order.quantity:
            return None
        return Unfit(Reason.SHORT_NOT_ALLOWED, f"sells {order.quantity:.10g}, the run has {free:.10g} to sell")
    cost = order.quantity * (order.price if order.type == OrderType.LIMIT else last_price)
    free = holdings.cash - bound
    return None if cost <= free else Unfit(Reason.INSUFFICIENT_CASH, f"costs {cost:.8g}, the run has {free:.8g} left")


def _on_tick(price: float, tick_size: float, side: Side) -> float:
    """Down for a purchase, up for a sale."""
    if tick_size <= 0.0 or not math.isfinite(price):
        return price
    steps = price / tick_size
    count = math.floor(steps + 1e-6) if side == Side.BUY else math.ceil(steps - 1e-6)
    per_unit = round(1.0 / tick_size)
    return count / per_unit if per_unit and abs(per_unit * tick_size - 1.0) < 1e-9 else count * tick_size
