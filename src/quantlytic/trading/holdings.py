"""What a run holds, from the venue's trades: exact to the fee, and in whole lots for the strategist.

A venue may take its fee in what was bought: 1.5 bought, 1.4985 received. The run then holds 1.4985; the strategist, whose world
is made of lots, is told of the whole lots in it (1.498 at a lot of 0.001), the rest is dust that waits here until it makes a
lot. No cash is lost on the way: what a fill says was paid is what was paid, its `fee` bears the difference.
"""

from __future__ import annotations

import math

import msgspec

from quantlytic.model.fill import Fill
from quantlytic.model.instrument import Instrument
from quantlytic.model.side import Side
from quantlytic.venues.port import VenueFill

NO_ORDER = -1
"""`Fill.order_id` of what no decision of the run brought about: a position or a trade that was adopted."""


class Holding(msgspec.Struct):
    """Of one instrument, signed, in base units: `held` by the venue's word, `told` to the strategist. `price`: the last one."""

    held: float = 0.0
    told: float = 0.0
    price: float = math.nan


class Holdings(msgspec.Struct):
    """A run's share of the account. `cash` is in the quote currency."""

    run: str
    cash: float
    of: dict[str, Holding]
    next_fill_id: int = 1

    @property
    def equity(self) -> float:
        """Cash and what is held at the last prices; instruments without a price count nothing."""
        priced = (one for one in self.of.values() if one.held)
        return self.cash + sum(one.held * one.price for one in priced if not math.isnan(one.price))

    def book(
        self, trade: VenueFill, instrument: Instrument, order_id: int, fee_quote: float, bar_offset: int
    ) -> Fill:  # fmt: skip
        """Take in one of the venue's trades; returns it as the run's next `Fill`.

        `fee_quote` is the worth, in quote currency, of a fee in a third asset: the run is charged with it. A fee in base is
        what was not received.
        """
        holding = self.of[trade.instrument]
        in_base, in_quote = trade.fee_asset == instrument.base, trade.fee_asset == instrument.quote
        change = trade.side * trade.quantity - (trade.fee if in_base else 0.0)
        paid = trade.side * trade.quantity * trade.price + (trade.fee if in_quote else 0.0)
        if not in_base and not in_quote:
            paid += fee_quote
        holding.held = _clean(holding.held + change)
        told = whole_lots(holding.held, instrument.lot_size)
        step = trade.side * _clean(told - holding.told)
        quantity = max(step, 0.0)  # a dusty sale never turns into a purchase
        holding.told = _clean(holding.told + trade.side * quantity)
        self.cash -= paid
        fill = Fill(
            self.run, self.next_fill_id, order_id, trade.instrument, trade.event_time, trade.side, quantity, trade.price,
            _clean(paid - trade.side * quantity * trade.price), bar_offset,
        )  # fmt: skip
        self.next_fill_id += 1
        return fill

    def take_over(self, instrument: Instrument, quantity: float, time: int, bar_offset: int) -> Fill:
        """A position that was there before, at the last price: bought with the run's cash, so that its equity stays."""
        holding = self.of[instrument.id]
        side = Side.BUY if quantity > 0 else Side.SELL
        trade = VenueFill(
            trade_id=-1, venue_order_id=-1, instrument=instrument.id, event_time=time, side=side,
            quantity=abs(quantity), price=holding.price, fee=0.0, fee_asset=instrument.quote,
        )  # fmt: skip
        return self.book(trade, instrument, NO_ORDER, 0.0, bar_offset)


def whole_lots(quantity: float, lot_size: float) -> float:
    """The whole lots in a signed quantity, towards zero; all of it where there are no lots."""
    if lot_size <= 0.0:
        return quantity
    count = math.floor(abs(quantity) / lot_size + 1e-6)
    per_unit = round(1.0 / lot_size)
    size = count / per_unit if per_unit and abs(per_unit * lot_size - 1.0) < 1e-9 else count * lot_size
    return math.copysign(size, quantity) if size else 0.0


def _clean(value: float) -> float:
    """Without the noise of adding decimals."""
    return round(value, 12)
