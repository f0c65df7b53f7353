"""What a strategy sees of its account: it acts on the instrument of the bar it was called with."""

# mypy: disable-error-code="no-any-return"
# Rows are fields of a buffer, not objects: their types are known when compiled.

from __future__ import annotations

import math

import numpy as np

from quantlytic.engine.account import Account
from quantlytic.engine.codes import BUY, GTC, LIMIT, MARKET, SELL
from quantlytic.engine.record import Record, layout_of


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
        return account.submit(side, MARKET, GTC, size, math.nan)

    def close(self) -> int:
        """Trade, at market, to no position. Returns the order's id, 0 where there is nothing to close."""
        account = self.account
        held = account.expected(account.current)
        if held == 0.0:
            return 0
        return account.submit(SELL if held > 0.0 else BUY, MARKET, GTC, np.abs(held), math.nan)

    def buy(self, quantity: float) -> int:
        """Buy at market, the quantity rounded down to the lot size. Returns the order's id."""
        account = self.account
        size = account.position(account.current).round_quantity(quantity)
        return account.submit(BUY, MARKET, GTC, size, math.nan)

    def sell(self, quantity: float) -> int:
        """Sell at market, the quantity rounded down to the lot size. Returns the order's id."""
        account = self.account
        size = account.position(account.current).round_quantity(quantity)
        return account.submit(SELL, MARKET, GTC, size, math.nan)

    def limit(self, side: int, quantity: float, price: float, time_in_force: int = GTC) -> int:
        """Buy (`Side.BUY`) or sell (`Side.SELL`) at `price` or better; rounded to lot and tick. Returns the order's id.

        `TimeInForce.GTC` rests until filled or cancelled; IOC and FOK meet the next bar's open alone.
        """
        account = self.account
        position = account.position(account.current)
        direction = int(side)
        size = position.round_quantity(quantity)
        return account.submit(direction, LIMIT, int(time_in_force), size, position.round_price(price, direction))

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


BROKER = layout_of(Broker())
