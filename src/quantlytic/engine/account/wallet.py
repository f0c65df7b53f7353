"""The account's money: cash, values, fees, what a fill may cost and when margin is used up.

- Cash account (no margin): a fill that would make cash negative is rejected. Without `allow_short` so is one that sells more
  than is held. With it, shorts are fully backed: the proceeds and as much again stay locked (marked); what makes a short
  smaller always passes.
- Margin (cross, isolated), liquidation: `models/margin.py`. Cash may then be negative: it is what was borrowed.
- Values are summed by a binary tree: the same sum in any order of events.
"""

# mypy: disable-error-code="no-any-return"
# Rows are fields of a buffer, not objects: their types are known when compiled.

from __future__ import annotations

import math
from typing import Any

import numpy as np

from quantlytic.engine.account.codes import (
    CASH_ACCOUNT,
    CROSS,
    DAY_NS,
    FLOW_BORROW,
    INSUFFICIENT_CASH,
    INSUFFICIENT_COLLATERAL,
    INSUFFICIENT_MARGIN,
    NO_REASON,
    NO_SLIPPAGE,
    SELL,
    SHORT_NOT_ALLOWED,
    SQUARE_ROOT,
    WORST,
)
from quantlytic.engine.account.ordertable import OrderTable
from quantlytic.engine.compiler.record import Record, at, layout_of
from quantlytic.engine.market.borrow import borrow_cost
from quantlytic.engine.market.margin import liquidation_price
from quantlytic.engine.market.slippage import impact
from quantlytic.model.cashflow import CASH_FLOW

_DAYS = 30


class Cell(Record):
    """One number of a table."""

    def __init__(self) -> None:
        self.value = 0.0


CELL, FLOW_ROW = layout_of(Cell()), layout_of(CASH_FLOW)
CELL_BYTES, FLOW_BYTES = CELL.size, CASH_FLOW.itemsize
TIER_CELLS = 3


class Wallet(OrderTable):
    """Cash, equity and the market's prices for trading (`quantlytic.engine.market.market`).

    `plain`: no models but rates of fees. `restless`: models need to see every event, orders or none. `volume`: of the bar or
    trade at hand; `allowed`: how much of it may still be filled.
    """

    flows: int  # the outboxes' counters lie side by side, in the account

    def __init__(self) -> None:
        super().__init__()
        self.cash = 0.0
        self.equity = 0.0
        self.bars = 0
        self.current = 0
        self.time = 0
        self.price = math.nan
        self.restless = False
        self.plain = True
        self.allow_short = False
        self.leaves = 1
        self.values_at = 0
        self.flows_at = 0
        self.taker_rate = 0.0
        self.maker_rate = 0.0
        self.fee_per_order = 0.0
        self.fee_per_unit = 0.0
        self.fee_minimum = 0.0
        self.tiers = 0
        self.tiers_at = 0
        self.slippage = NO_SLIPPAGE
        self.slippage_first = 0.0
        self.slippage_second = 0.0
        self.path = WORST
        self.participation = 0.0
        self.volume = 0.0
        self.allowed = math.inf
        self.borrow_rate = 0.0
        self.margin_mode = CASH_ACCOUNT
        self.leverage = 1.0
        self.maintenance = 0.0
        self.liquidation_rate = 0.0
        self.traded_day = 0
        self.traded = np.zeros(_DAYS)

    # ---- values ----

    def mark(self, instrument: int, price: float) -> None:
        """Value the position."""
        position = self.position(instrument)
        position.price = price
        self.price = price
        self.revalue(instrument, position.quantity * price)
        self.equity = self.cash + at(self, self.values_at + CELL_BYTES, CELL).value

    def remark(self, instrument: int) -> None:
        """Value the position anew: at its last price; where there is none yet, at what it cost."""
        position = self.position(instrument)
        price = position.price if position.price > 0.0 else position.average
        if price > 0.0:
            self.mark(instrument, price)
        else:
            self.price = position.price
            self.revalue(instrument, 0.0)
            self.equity = self.cash + at(self, self.values_at + CELL_BYTES, CELL).value

    def revalue(self, instrument: int, value: float) -> None:
        node = self.leaves + instrument
        leaf = at(self, self.values_at + node * CELL_BYTES, CELL)
        if value != leaf.value:
            leaf.value = value
            while node > 1:
                node //= 2
                left = at(self, self.values_at + 2 * node * CELL_BYTES, CELL)
                right = at(self, self.values_at + (2 * node + 1) * CELL_BYTES, CELL)
                at(self, self.values_at + node * CELL_BYTES, CELL).value = left.value + right.value

    def _others(self, instrument: int) -> float:
        """What all other positions are worth, each at its last price."""
        total = 0.0
        for k in range(self.instruments):
            position = self.position(k)
            if k != instrument and position.quantity != 0.0:
                total += position.quantity * position.price
        return total

    def _gross_of_others(self, instrument: int) -> float:
        """The sum of their absolute values."""
        total = 0.0
        for k in range(self.instruments):
            position = self.position(k)
            if k != instrument and position.quantity != 0.0:
                total += np.abs(position.quantity) * position.price
        return total

    def settle(self, instrument: int, side: int, quantity: float, price: float, fee: float) -> None:
        """Move the quantity and the money."""
        self.position(instrument).settle(side * quantity, price, self.leverage)
        self.cash -= side * quantity * price + fee

    def pay(self, instrument: int, kind: int, amount: float) -> None:
        """Money that comes (or, negative, goes) without a fill."""
        self.cash += amount
        flow = at(self, self.flows_at + self.flows * FLOW_BYTES, FLOW_ROW)
        self.flows += 1
        flow.instrument = instrument
        flow.event_time = self.time
        flow.kind = kind
        flow.amount = amount

    def charge(self, instrument: int, time: int) -> None:
        """Pay for what is borrowed, at the first event of a day."""
        position = self.position(instrument)
        day = time // DAY_NS
        if day > position.charged_day:
            if position.charged_day > 0 and position.quantity < 0.0 and self.borrow_rate > 0.0:
                days = day - position.charged_day
                cost = borrow_cost(self.borrow_rate, position.quantity, position.price, days)
                self.pay(instrument, FLOW_BORROW, -cost)
            position.charged_day = day

    # ---- what a fill costs ----

    def rate(self, maker: bool) -> float:
        """The share of the notional that the fee takes, by the tier reached."""
        rate = self.maker_rate if maker else self.taker_rate
        if self.tiers > 0:
            traded = 0.0
            for k in range(_DAYS):
                traded += self.traded[k]
            for k in range(self.tiers):
                start = self.tiers_at + TIER_CELLS * k * CELL_BYTES
                if traded >= at(self, start, CELL).value:
                    rate = at(self, start + (2 if maker else 1) * CELL_BYTES, CELL).value
        return rate

    def fee_of(self, order: Any, quantity: float, price: float, maker: bool) -> float:
        """What filling that much of an order costs."""
        fee = quantity * price * self.rate(maker) + quantity * self.fee_per_unit
        if order.filled == 0.0:
            fee += self.fee_per_order
        return max(fee, self.fee_minimum - order.fees) if self.fee_minimum > 0.0 else fee

    def remember_traded(self, notional: float, time: int) -> None:
        """Count towards the tiers of fees."""
        day = time // DAY_NS
        for passed in range(min(day - self.traded_day, _DAYS)):
            self.traded[(day - passed) % _DAYS] = 0.0
        self.traded_day = max(day, self.traded_day)
        self.traded[day % _DAYS] += notional

    def slipped(self, order: Any, instrument: int, quantity: float, price: float) -> float:
        """The price after the slippage of taking that much; a limit order's at worst its limit."""
        if self.slippage == NO_SLIPPAGE:
            return price
        position = self.position(instrument)
        share = impact(
            self.slippage, self.slippage_first, self.slippage_second, quantity, self.volume,
            position.quoted, position.variance, position.usual_volume,
        )  # fmt: skip
        worse = price * (1.0 + order.side * min(share, 0.99))
        if order.has_limit and order.side * (worse - order.price) > 0.0:
            return order.price
        return worse

    def observe(self, instrument: int, price: float, volume: float) -> None:
        """Learn from a bar how much is usual; `price` is its close, the last one not yet marked."""
        if self.slippage != SQUARE_ROOT:
            return
        position = self.position(instrument)
        if position.price > 0.0:
            change = math.log(price / position.price)
            position.variance += self.slippage_second * (change * change - position.variance)
            position.usual_volume += self.slippage_second * (volume - position.usual_volume)
        else:
            position.usual_volume = volume

    # ---- what the account can bear ----

    def refusal(self, instrument: int, side: int, quantity: float, price: float, fee: float) -> int:
        """Why the account cannot bear this fill, or NO_REASON."""
        if self.margin_mode == CASH_ACCOUNT:
            return self.cash_refusal(instrument, side, quantity, price, fee)
        held = self.position(instrument).quantity
        return self._margin_refusal(instrument, held, held + side * quantity, price, fee)

    def cash_refusal(self, instrument: int, side: int, quantity: float, price: float, fee: float) -> int:
        """`refusal` of a cash account."""
        held = self.position(instrument).quantity
        after = held + side * quantity
        if side == SELL and after < 0.0 and not self.allow_short:
            return SHORT_NOT_ALLOWED
        if held * side < 0.0 and np.abs(after) < np.abs(held):
            return NO_REASON
        free = self.cash - side * quantity * price - fee
        if not self.allow_short:
            return INSUFFICIENT_CASH if free < 0.0 else NO_REASON
        for k in range(self.instruments):
            position = self.position(k)
            short = min(after * price if k == instrument else position.quantity * position.price, 0.0)
            if short < 0.0:
                free += 2.0 * short
        if free >= 0.0:
            return NO_REASON
        return INSUFFICIENT_COLLATERAL if after < 0.0 else INSUFFICIENT_CASH

    def _margin_refusal(self, instrument: int, held: float, after: float, price: float, fee: float) -> int:
        """`refusal` of an account with margin."""
        if held * after >= 0.0 and np.abs(after) < np.abs(held):
            return NO_REASON
        if self.margin_mode == CROSS:
            equity = self.cash + held * price + self._others(instrument) - fee
            needed = (np.abs(after) * price + self._gross_of_others(instrument)) / self.leverage
            return NO_REASON if equity >= needed else INSUFFICIENT_MARGIN
        free = self.cash - fee
        for k in range(self.instruments):
            position = self.position(k)
            if k != instrument or held * after > 0.0:
                free += position.quantity * position.average - position.margin
            else:
                free += position.quantity * price  # closed at this price
        added = np.abs(after - held) if held * after > 0.0 else np.abs(after)
        return NO_REASON if free >= added * price / self.leverage else INSUFFICIENT_MARGIN

    def breaking_price(self, instrument: int) -> float:
        """The price of this instrument at which its position is liquidated; NaN: none."""
        position = self.position(instrument)
        if self.margin_mode == CASH_ACCOUNT or position.quantity == 0.0:
            return math.nan
        if self.margin_mode == CROSS:
            debt = self.maintenance * self._gross_of_others(instrument) - self.cash - self._others(instrument)
        else:
            debt = position.quantity * position.average - position.margin
        return liquidation_price(position.quantity, self.maintenance, debt)
