"""Open orders meet a bar: the rules, stated once.

- A market order fills at the open of its instrument's next bar. A limit fills at the open when the open is at its price or
  better, else at its own price when the bar's low (a buy) or high (a sell) reaches it. A stop fills at the open when the open
  is beyond its stop price, else at the stop price when it is reached; a take-profit (market if touched) likewise on the better
  side. A stop-limit, once triggered, is a limit from that price on, in the same bar.
- What goes at the open goes first, in order of priority; children woken by it go at the open, too, if it satisfies them.
- Within the bar the path from open to close is assumed (`Market.path`):
  "worst" (default): of all orders that can be reached, the one goes next that looks worst at the bar's close (smallest gain a
  unit), so scarce cash goes to the worse trade, and a stop goes before the take-profit of its bracket. An order born inside
  the bar (child of a fill within it, stop-limit triggered within it, arrived late) is reached for certain only: adverse ones
  (stops) if the bar's range reaches them at all, favourable ones (limits, take-profits) only if the close is at their price or
  better. A trailing stop meets the bar with its level of before; then it follows the bar's extreme, and fills at the new
  level if the close is beyond it.
  "ohlc", "olhc": the price walks open-high-low-close (or low first) in straight lines; orders go as it meets them.
- IOC and FOK meet one price alone (the open, or the price at arrival) and expire if it does not satisfy them; FOK also if it is
  not filled whole. Post-only is rejected if the first price it meets would make it a taker.
- AT_OPEN meets the open of the next session's first bar (the next UTC day's, where no sessions are known) alone; AT_CLOSE the
  close of the bar that ends or contains the session's end. If no bar does, it gets the session's last price.
- An order meets a bar if it is alive at the bar's open; DAY and GTD end after the bar in which their time comes. With latency,
  one that arrives inside a bar meets, at arrival, the straight line from open to close, then the rest as one born in it.
- Market orders, stops, take-profits, and limits that the first price satisfies take (fee and slippage of the taker); other
  limits make. Slippage may move a fill out of the bar's range; the price before it never is.
- Margin: a liquidation comes at its price in the bar (the open, if that is beyond), after the orders that lie on the way to it.

Against backtrader: market, limit and stop orders fill alike. A stop-limit whose limit is not satisfied at the stop price fills
here if the close is at the limit or better (there only in a bar against its direction); children of a bracket are alive at
once (there from the next bar on), and of two exits in one bar the worse is taken (there the one sent first).
"""

# mypy: disable-error-code="no-any-return"
# Rows are fields of a buffer, not objects: their types are known when compiled.

from __future__ import annotations

import math
from typing import Any

import numpy as np

from quantlytic.engine.account.codes import (
    AT_CLOSE,
    AT_OPEN,
    CASH_ACCOUNT,
    DAY_NS,
    EXPIRED,
    FILLED,
    FOK,
    IOC,
    LIMIT,
    MARKET,
    NO_REASON,
    NOT_FILLED_AT_ONCE,
    OPEN_HIGH_LOW_CLOSE,
    POST_ONLY_WOULD_TAKE,
    REJECTED,
    SELL,
    STOP_LIMIT,
    TRAILING_STOP,
    WORST,
)
from quantlytic.engine.account.cold import MATCH_BAR, consult
from quantlytic.engine.account.ordertable import FAVOURABLE
from quantlytic.engine.compiler.record import address_of
from quantlytic.engine.market.participation import allowance

_NOBODY, _LIQUIDATION = -1, -2


def match_bar(account: Any, bar: Any) -> None:
    """Let all open orders of the bar's instrument meet it, and the market's models see it."""
    if account.plain and account.position(bar.instrument).plain and are_out(account, bar):
        match_market(account, bar)
    else:
        consult(MATCH_BAR, address_of(account), address_of(bar), 0)


def are_out(account: Any, bar: Any) -> bool:
    """Whether all orders had arrived when the bar opened (one sent by a timer, or from another instrument's event, may not)."""
    for row in range(account.position(bar.instrument).orders):
        if account.order(bar.instrument, row).active_at > bar.open_time:
            return False
    return True


def match_market(account: Any, bar: Any) -> None:
    """`match_any`, where all orders are plain market orders and the market has no special models."""
    instrument = bar.instrument
    position = account.position(instrument)
    price, time = bar.open, bar.open_time
    for row in range(position.orders):
        order = account.order(instrument, row)
        order_id, side, quantity = order.order_id, order.side, order.quantity
        fee = quantity * price * account.taker_rate
        status, reason = FILLED, account.cash_refusal(instrument, side, quantity, price, fee)
        if reason == NO_REASON:
            account.settle(instrument, side, quantity, price, fee)
            account.write_fill(order_id, instrument, side, quantity, price, fee, 0.0, False, time)
        else:
            status = REJECTED
        account.report(order_id, instrument, time, status, reason)
        account.remember(order_id, status)
    position.orders = 0


def match_any(account: Any, bar: Any) -> None:
    """All orders, all models."""
    instrument = bar.instrument
    account.volume = bar.volume
    account.allowed = allowance(account.participation, bar.volume)
    if account.position(instrument).orders > 0:
        account.pass_time(instrument, bar.open_time)
        at_close(account, instrument, bar.open_time, account.position(instrument).price, True)
    if account.margin_mode != CASH_ACCOUNT and account.is_broken(instrument, bar.open):
        account.liquidate(instrument, bar.open, bar.open_time)
    if account.position(instrument).orders > 0:
        at_open(account, bar)
    if account.path == WORST:
        worst_case(account, bar)
    else:
        walk(account, bar)
    if account.position(instrument).orders > 0:
        at_close(account, instrument, bar.close_time, bar.close, False)
        account.settle_rows(instrument)
        account.pass_time(instrument, bar.close_time)
        account.drop_finished(instrument)
    account.observe(instrument, bar.close, bar.volume)


def meet(account: Any, order: Any, instrument: int, price: float, time: int) -> None:
    """An order meets its first price of this bar: the open, or the one at its arrival."""
    force = order.time_in_force
    if order.meets(price):
        if order.post_only and not order.resting:
            account.finish(instrument, order, REJECTED, POST_ONLY_WOULD_TAKE, time)
            return
        go(account, order, instrument, price, order.resting, time)
    if order.live and (force in (IOC, FOK, AT_OPEN)):
        account.finish(instrument, order, EXPIRED, NOT_FILLED_AT_ONCE, time)


def go(account: Any, order: Any, instrument: int, price: float, rested: bool, time: int) -> None:
    """An order's price has come: trigger it, fill what may be filled."""
    order.met = account.bars
    if order.type not in (MARKET, LIMIT) and not order.triggered:
        order.triggered = True
        order.resting = False
        rested = False
        if order.type == STOP_LIMIT and order.side * (order.price - price) < 0.0:
            order.met = -1  # as a limit order it may still go in this bar
            order.reference = price
            return
    quantity = order.quantity
    if account.allowed < quantity:
        quantity = account.position(instrument).round_quantity(account.allowed)
        if quantity <= 0.0 or order.time_in_force == FOK:
            return
    before = order.filled
    account.execute(order, instrument, quantity, price, rested and order.has_limit, time)
    account.allowed -= order.filled - before


def is_out(account: Any, order: Any, time: int) -> bool:
    """Whether an order may meet prices inside the bar that opened at `time`."""
    if not order.live or order.met == account.bars:
        return False
    return order.time_in_force < AT_OPEN and (order.fresh or order.active_at <= time)


def at_open(account: Any, bar: Any) -> None:
    """Orders meet the open."""
    instrument = bar.instrument
    position = account.position(instrument)
    for row in range(position.orders):
        order = account.order(instrument, row)
        if not order.live or not (order.fresh or order.active_at <= bar.open_time) or order.time_in_force == AT_CLOSE:
            continue
        if order.time_in_force == AT_OPEN and not is_first(position, order, bar):
            continue
        order.fresh = False
        meet(account, order, instrument, bar.open, bar.open_time)


def is_first(position: Any, order: Any, bar: Any) -> bool:
    """Whether the bar is the first of a session that begins after the order has arrived."""
    if position.has_sessions:
        return position.session_start >= order.active_at and bar.close_time > position.session_start
    return bar.open_time // DAY_NS > (order.active_at - 1) // DAY_NS


def at_close(account: Any, instrument: int, time: int, price: float, is_over: bool) -> None:
    """AT_CLOSE orders whose session ended at `time` or before get its last price; if it `is_over`, only those that met a
    bar of it."""
    for row in range(account.position(instrument).orders):
        order = account.order(instrument, row)
        if order.live and order.time_in_force == AT_CLOSE:
            due = account.due(instrument, order)
            if 0 <= due <= time:
                arrived = order.resting if is_over else order.active_at < due
                if arrived and order.meets(price):
                    go(account, order, instrument, price, False, due)
                if order.live:
                    account.finish(instrument, order, EXPIRED, NOT_FILLED_AT_ONCE, due)


# ---- inside the bar, the worst case ----


def worst_case(account: Any, bar: Any) -> None:
    """Of all that can be reached, the worst first."""
    instrument = bar.instrument
    position = account.position(instrument)
    has_margin = account.margin_mode != CASH_ACCOUNT
    for row in range(position.orders):
        order = account.order(instrument, row)
        if order.live and bar.open_time < order.active_at < bar.close_time and order.time_in_force < AT_OPEN:
            order.fresh = True
            order.reference = price_at(bar, order.active_at)
            meet(account, order, instrument, order.reference, order.active_at)
    while has_margin or position.orders > 0:
        held, limit = position.quantity, account.breaking_price(instrument) if has_margin else math.nan
        breaks = bar.low <= limit if held > 0.0 else bar.high >= limit
        worst, least = _NOBODY, math.inf
        for row in range(position.orders):
            order = account.order(instrument, row)
            if is_out(account, order, bar.open_time):
                price = reach(order, bar)
                gain = order.side * (bar.close - price)
                if gain < least and (not breaks or (held * (price - limit) > 0.0 and held * (bar.open - price) >= 0.0)):
                    worst, least = row, gain
        if worst >= 0:
            order = account.order(instrument, worst)
            price = reach(order, bar)
            went = order.aim == FAVOURABLE and not (order.fresh and order.meets(order.reference))
            if order.type == STOP_LIMIT and not order.triggered:
                order.fresh = True
            go(account, order, instrument, price, went, bar.close_time)
        elif breaks:
            account.liquidate(instrument, min(max(limit, bar.low), bar.high), bar.close_time)
        else:
            break
    if position.orders > 0:
        trail_worst(account, bar)


def reach(order: Any, bar: Any) -> float:
    """The price at which the bar's range reaches an order, by the rules of the worst case; NaN if it does not."""
    aim, level = order.aim, order.level
    if order.fresh and order.meets(order.reference):
        return order.reference
    if aim == 0:
        return math.nan
    if order.fresh and aim == FAVOURABLE:
        return level if order.meets(bar.close) else math.nan
    return level if order.meets(bar.low if aim * order.side > 0 else bar.high) else math.nan


def trail_worst(account: Any, bar: Any) -> None:
    """Trailing stops follow the bar's extreme (those born in it: its close), and fill if the close is beyond."""
    instrument = bar.instrument
    for row in range(account.position(instrument).orders):
        order = account.order(instrument, row)
        if order.type == TRAILING_STOP and not order.triggered and is_out(account, order, bar.open_time):
            extreme = bar.high if order.side == SELL else bar.low
            order.follow(bar.close if order.fresh else extreme)
            account.round_levels(instrument, order)
            if order.meets(bar.close):
                go(account, order, instrument, order.stop_price, False, bar.close_time)


def price_at(bar: Any, time: int) -> float:
    """The straight line from open to close."""
    return bar.open + (bar.close - bar.open) * ((time - bar.open_time) / (bar.close_time - bar.open_time))


# ---- inside the bar, along a path ----


def walk(account: Any, bar: Any) -> None:
    """The price walks the path in straight lines; time goes with the way."""
    instrument = bar.instrument
    high_first = account.path == OPEN_HIGH_LOW_CLOSE
    first, second = (bar.high, bar.low) if high_first else (bar.low, bar.high)
    length = np.abs(first - bar.open) + np.abs(second - first) + np.abs(bar.close - second)
    price, gone = bar.open, 0.0
    trail_all(account, bar, price)
    for leg in range(3):
        target = first if leg == 0 else second if leg == 1 else bar.close
        while True:
            row, nearest = next_on_way(account, bar, price, target, gone, length)
            if row == _NOBODY:
                break
            gone += np.abs(nearest - price)
            price = nearest
            trail_all(account, bar, price)
            if row == _LIQUIDATION:
                account.liquidate(instrument, price, bar.close_time)
                continue
            order = account.order(instrument, row)
            if not order.fresh and order.active_at > bar.open_time:
                order.fresh = True
                order.reference = price
                meet(account, order, instrument, price, order.active_at)
            else:
                maker = order.aim == FAVOURABLE and not (order.fresh and order.meets(order.reference))
                if order.type == STOP_LIMIT and not order.triggered:
                    order.fresh = True
                go(account, order, instrument, price, maker, bar.close_time)
        gone += np.abs(target - price)
        price = target
        trail_all(account, bar, price)


def next_on_way(account: Any, bar: Any, price: float, target: float, gone: float, length: float) -> tuple[int, float]:
    """What the price meets first on its way to `target`: a row, _LIQUIDATION or _NOBODY, and the price there."""
    instrument = bar.instrument
    found, nearest, least = _NOBODY, math.nan, math.inf
    for row in range(account.position(instrument).orders):
        order = account.order(instrument, row)
        if not order.live or order.met == account.bars or order.time_in_force >= AT_OPEN:
            continue
        where = math.nan
        if order.fresh or order.active_at <= bar.open_time:
            aim = order.aim
            if aim != 0 or order.fresh:
                where = price if order.meets(price) else order.level if order.meets(target) else math.nan
        elif order.active_at < bar.close_time:
            share = (order.active_at - bar.open_time) / (bar.close_time - bar.open_time)
            left = share * length - gone
            if left <= np.abs(target - price):
                where = price + max(left, 0.0) if target > price else price - max(left, 0.0)
        if np.abs(where - price) < least:
            found, nearest, least = row, where, np.abs(where - price)
    if account.margin_mode != CASH_ACCOUNT:
        limit = account.breaking_price(instrument)
        held = account.position(instrument).quantity
        where = limit if held * (price - limit) > 0.0 else price
        if held * (limit - target) >= 0.0 and np.abs(where - price) < least:
            found, nearest = _LIQUIDATION, where
    return found, nearest


def trail_all(account: Any, bar: Any, price: float) -> None:
    """Trailing stops see a price."""
    instrument = bar.instrument
    for row in range(account.position(instrument).orders):
        order = account.order(instrument, row)
        if order.type == TRAILING_STOP and not order.triggered and is_out(account, order, bar.open_time):
            order.follow(price)
            account.round_levels(instrument, order)
