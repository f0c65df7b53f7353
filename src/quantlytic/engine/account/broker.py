"""What a strategy sees of its account: it acts on the instrument of the bar it was called with."""

# mypy: disable-error-code="no-any-return"
# Rows are fields of a buffer, not objects: their types are known when compiled.

from __future__ import annotations

import math

import numpy as np

from quantlytic.engine.account.account import Account
from quantlytic.engine.account.codes import BUY, GTC, LIMIT, MARKET, SELL, STOP, STOP_LIMIT, TAKE_PROFIT, TRAILING_STOP
from quantlytic.engine.account.lifecycle import REMEMBERED
from quantlytic.engine.compiler.record import Record, layout_of


class Standing(Record):
    """What a strategy reads of its account; quantities and orders are those of its bar's instrument."""

    def __init__(self) -> None:
        self.account = Account()

    @property
    def position(self) -> float:
        """Held quantity: positive long, negative short."""
        return self.account.position(self.account.current).quantity

    @property
    def is_flat(self) -> bool:
        return self.account.position(self.account.current).quantity == 0.0

    @property
    def is_long(self) -> bool:
        return self.account.position(self.account.current).quantity > 0.0

    @property
    def is_short(self) -> bool:
        return self.account.position(self.account.current).quantity < 0.0

    @property
    def cash(self) -> float:
        return self.account.cash

    @property
    def equity(self) -> float:
        """Cash and all positions, each at its last close."""
        return self.account.equity

    @property
    def price(self) -> float:
        """The bar's close."""
        return self.account.price

    @property
    def open_orders(self) -> int:
        """Orders for this instrument, those just sent included, those just cancelled not."""
        account = self.account
        count = 0
        for row in range(account.position(account.current).orders):
            if not account.order(account.current, row).cancel:
                count += 1
        return count

    @property
    def average_price(self) -> float:
        """What a unit held cost, fees left out; 0 when flat."""
        return self.account.position(self.account.current).average

    def order_status(self, order_id: int) -> int:
        """The `OrderStatus` of an order of this instrument; also of one of the run's last 256 orders that ended. 0: unknown."""
        account = self.account
        row = account.find(account.current, order_id)
        if row >= 0:
            return account.order(account.current, row).status
        ended = account.ended[order_id % REMEMBERED]
        return ended % 16 if ended // 16 == order_id else 0

    def left(self, order_id: int) -> float:
        """What is still to be filled of an open order of this instrument; 0 when there is no such order."""
        account = self.account
        row = account.find(account.current, order_id)
        if row < 0:
            return 0.0
        return account.order(account.current, row).quantity + account.order(account.current, row).dormant


class Broker(Standing):
    """Orders are sent at the bar's close and meet the instrument's next bar. Every order gets an id; what becomes of it,
    also a rejection, is reported as an order update, never silently."""

    def on(self, instrument: int) -> Broker:
        """The broker of another instrument (by index): what it reads and does is about that one, until the handler ends or
        `on` is called again. Raises IndexError where there is no such instrument."""
        account = self.account
        if not 0 <= instrument < account.instruments:
            raise IndexError("broker.on: no such instrument")
        account.current = instrument
        account.price = account.position(instrument).price
        return self

    def target_weight(self, weight: float) -> int:
        """Trade, at market, to a position worth `weight` of marked equity at the close (negative: short)."""
        return self.target_quantity(weight * self.account.equity / self.account.price)

    def target_quantity(self, quantity: float) -> int:
        """Trade, at market, to this signed position, market orders already sent counted in.

        Returns the order's id, or 0 where the target is reached as nearly as lot size and minimum notional let it.
        """
        account = self.account
        position = account.position(account.current)
        change = quantity - account.expected(account.current)
        side = BUY if change > 0.0 else SELL
        size = position.round_quantity(np.abs(change))
        if size == 0.0 or size * account.price < position.min_notional:
            return 0
        return account.market_order(side, size, GTC, False)

    def close(self) -> int:
        """Trade, at market, to no position. Returns the order's id, 0 where there is nothing to close."""
        account = self.account
        held = account.expected(account.current)
        if held == 0.0:
            return 0
        return account.market_order(SELL if held > 0.0 else BUY, np.abs(held), GTC, False)

    def buy(self, quantity: float, time_in_force: int = GTC, reduce_only: bool = False) -> int:
        """Buy at market, the quantity rounded down to the lot size. Returns the order's id."""
        account = self.account
        size = account.position(account.current).round_quantity(quantity)
        return account.market_order(BUY, size, int(time_in_force), reduce_only)

    def sell(self, quantity: float, time_in_force: int = GTC, reduce_only: bool = False) -> int:
        """Sell at market, the quantity rounded down to the lot size. Returns the order's id."""
        account = self.account
        size = account.position(account.current).round_quantity(quantity)
        return account.market_order(SELL, size, int(time_in_force), reduce_only)

    def limit(
        self, side: int, quantity: float, price: float, time_in_force: int = GTC,
        post_only: bool = False, reduce_only: bool = False, expire_time: int = 0,
    ) -> int:  # fmt: skip
        """Buy (`Side.BUY`) or sell (`Side.SELL`) at `price` or better; rounded to lot and tick. Returns the order's id.

        `TimeInForce`: GTC rests until filled or cancelled; IOC and FOK meet the next bar's open alone; DAY, GTD (until
        `expire_time`, ns UTC), AT_OPEN, AT_CLOSE. `post_only`: rejected if it would take. `reduce_only`: never opens or flips.
        """
        return self._send(side, LIMIT, quantity, price, math.nan, time_in_force, expire_time, post_only, reduce_only)

    def stop(
        self, side: int, quantity: float, stop_price: float, time_in_force: int = GTC,
        reduce_only: bool = False, expire_time: int = 0,
    ) -> int:  # fmt: skip
        """A market order once the price is at `stop_price` or worse: above for a buy, below for a sale."""
        return self._send(side, STOP, quantity, math.nan, stop_price, time_in_force, expire_time, False, reduce_only)

    def stop_limit(
        self, side: int, quantity: float, stop_price: float, price: float, time_in_force: int = GTC,
        reduce_only: bool = False, expire_time: int = 0,
    ) -> int:  # fmt: skip
        """A limit order at `price` once the price is at `stop_price` or worse."""
        return self._send(side, STOP_LIMIT, quantity, price, stop_price, time_in_force, expire_time, False, reduce_only)

    def take_profit(
        self, side: int, quantity: float, stop_price: float, time_in_force: int = GTC,
        reduce_only: bool = False, expire_time: int = 0,
    ) -> int:  # fmt: skip
        """A market order once the price is at `stop_price` or better (market if touched): below for a buy, above for a sale."""
        return self._send(
            side, TAKE_PROFIT, quantity, math.nan, stop_price, time_in_force, expire_time, False, reduce_only
        )

    def trailing_stop(
        self, side: int, quantity: float, trail: float, percent: bool = False, time_in_force: int = GTC,
        reduce_only: bool = False, expire_time: int = 0,
    ) -> int:  # fmt: skip
        """A stop that follows the best price from now on at a distance of `trail` (in price, or in percent of it)."""
        account = self.account
        size = account.position(account.current).round_quantity(quantity)
        return account.submit(
            int(side), TRAILING_STOP, int(time_in_force), size, math.nan, math.nan, trail, percent,
            expire_time, False, reduce_only, 0, 0,
        )  # fmt: skip

    def bracket(
        self, side: int, quantity: float, stop_loss: float, take_profit: float, price: float = math.nan,
        time_in_force: int = GTC, expire_time: int = 0,
    ) -> int:  # fmt: skip
        """An entry (at market, or a limit at `price`), and two exits that wake as it fills, with what was filled: a stop at
        `stop_loss` and a limit at `take_profit`; one fills, the other is cancelled (OCO). Exits are reduce-only.

        Returns the entry's id; the stop has the next one, the take-profit the one after. Contradictory prices reject all three.
        """
        account = self.account
        position = account.position(account.current)
        way = int(side)
        size = position.round_quantity(quantity)
        kind = MARKET if np.isnan(price) else LIMIT
        nothing = math.nan
        entry = account.submit(
            way, kind, int(time_in_force), size, position.round_price(price, way), nothing, 0.0, False,
            expire_time, False, False, 0, 0,
        )  # fmt: skip
        if entry > 0:
            stop = position.round_price(stop_loss, way)
            account.submit(-way, STOP, GTC, size, nothing, stop, 0.0, False, 0, False, True, entry, entry)
            limit = position.round_price(take_profit, -way)
            account.submit(-way, LIMIT, GTC, size, limit, nothing, 0.0, False, 0, False, True, entry, entry)
        return entry

    def amend(
        self, order_id: int, quantity: float = math.nan, price: float = math.nan, stop_price: float = math.nan
    ) -> bool:
        """Change an open order of this instrument; NaN leaves a field as it is. `quantity` is the whole one, what is filled
        included. Whether it was done, an update says (reason `amended`). False: there is no such order (any more)."""
        account = self.account
        row = account.find(account.current, order_id)
        if row < 0 or account.order(account.current, row).cancel:
            return False
        position, side = account.position(account.current), account.order(account.current, row).side
        account.change(
            account.current, order_id, position.round_quantity(quantity), position.round_price(price, side),
            position.round_price(stop_price, -side),
        )  # fmt: skip
        return True

    def cancel(self, order_id: int) -> bool:
        """Withdraw an open order of this instrument. False: there is no such order (any more)."""
        account = self.account
        row = account.find(account.current, order_id)
        if row < 0 or account.order(account.current, row).cancel:
            return False
        account.withdraw(account.current, row)
        return True

    def cancel_all(self) -> int:
        """Withdraw all open orders of this instrument; returns how many."""
        account = self.account
        count = 0
        for row in range(account.position(account.current).orders):
            if not account.order(account.current, row).cancel:
                account.withdraw(account.current, row)
                count += 1
        return count

    def _send(
        self, side: int, kind: int, quantity: float, price: float, stop_price: float, time_in_force: int,
        expire_time: int, post_only: bool, reduce_only: bool,
    ) -> int:  # fmt: skip
        """Round to lot and tick (a trigger to the tick that is reached later) and send."""
        account = self.account
        position = account.position(account.current)
        way = int(side)
        later = way if kind == TAKE_PROFIT else -way
        return account.submit(
            way, kind, int(time_in_force), position.round_quantity(quantity), position.round_price(price, way),
            position.round_price(stop_price, later), 0.0, False, expire_time, post_only, reduce_only, 0, 0,
        )  # fmt: skip


BROKER = layout_of(Broker())
