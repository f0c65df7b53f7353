"""What an account holds and has asked for, counted in whole numbers: sums have no drift, and flat is exactly 0.

Quantities are in units of 1e-9 of a base unit, money in units of 1e-6 of the account's currency (rounded up).
"""

from __future__ import annotations

import math

import msgspec

from quantlytic.model.order import Order, OrderType, TimeInForce
from quantlytic.model.side import Side

UNITS = 10**9
MICROS = 10**6
MAX_NUMBER = 1e15
"""Quantities and prices above it are mistakes: their products would no longer be exact enough to be limited."""

Key = tuple[str, int]
"""(run, order id)."""


def units_of(quantity: float) -> int:
    """A quantity in whole units, to the nearest."""
    return round(quantity * UNITS)


class OpenOrder(msgspec.Struct, array_like=True):
    """An order on its way or at the venue. `price` is the worst at which it may trade (infinite for a market order to buy,
    0 for one to sell). `rests`: what of it is not filled at once stays in the book. `filled`: reported as filled, while
    fills of it are still to come."""

    instrument: str
    side: Side
    units: int
    remaining: int
    price: float
    rests: bool
    filled: bool = False

    @classmethod
    def of(cls, order: Order) -> OpenOrder:
        units = units_of(order.quantity)
        worst = order.price
        if order.type is not OrderType.LIMIT and order.type is not OrderType.STOP_LIMIT:
            worst = math.inf if order.side is Side.BUY else 0.0
        rests = order.type != OrderType.MARKET and order.time_in_force not in (TimeInForce.IOC, TimeInForce.FOK)
        return cls(order.instrument, order.side, units, units, worst, rests)


class Cell(msgspec.Struct, array_like=True):
    """One run in one instrument: `held` (signed), and what is open in each direction, in units."""

    held: int = 0
    buying: int = 0
    selling: int = 0

    @property
    def worst(self) -> int:
        """The largest holding that can come of it, long or short."""
        return max(abs(self.held + self.buying), abs(self.held - self.selling))

    @property
    def is_empty(self) -> bool:
        return not (self.held or self.buying or self.selling)


class Desk:
    """One instrument: its last price, the runs' cells, and the orders that may meet each other."""

    def __init__(self, instrument: str) -> None:
        self.instrument = instrument
        self.venue = instrument.partition(":")[0]
        self.price = math.nan
        self.price_time = 0
        self.cells: dict[str, Cell] = {}
        self.net = Cell()  # of all runs
        self.gross_units = 0
        self.orders: dict[Key, OpenOrder] = {}
        self._best: dict[tuple[Side, bool], float] = {}  # (side, rests) -> dearest buy or cheapest sale that is open

    def cell(self, run: str) -> Cell:
        """The run's cell; an empty one where there is none."""
        return self.cells.get(run) or Cell()

    def add(self, run: str, *, held: int = 0, buying: int = 0, selling: int = 0) -> None:
        """Change what the run holds and has open."""
        cell = self.cells.setdefault(run, Cell())
        self.gross_units -= cell.worst
        for counted in (cell, self.net):
            counted.held += held
            counted.buying += buying
            counted.selling += selling
        self.gross_units += cell.worst
        if cell.is_empty:
            del self.cells[run]

    def open(self, key: Key, order: OpenOrder) -> None:
        """Count an order as open."""
        self.orders[key] = order
        self._count(key[0], order.side, order.remaining)
        kind = (order.side, order.rests)
        self._best[kind] = _nearer(order.side, order.price, self._best.get(kind))

    def fill(self, key: Key, units: int) -> None:
        """Take filled units out of what is open (the holding is changed by `add`); a filled order is closed by its last."""
        order = self.orders.get(key)
        if order is None:
            return
        done = min(units, order.remaining)
        order.remaining -= done
        self._count(key[0], order.side, -done)
        if order.remaining == 0:
            self.close(key)

    def close(self, key: Key) -> None:
        """Nothing more can come of the order."""
        order = self.orders.pop(key, None)
        if order is None:
            return
        self._count(key[0], order.side, -order.remaining)
        kind = (order.side, order.rests)
        if self._best.get(kind) == order.price:
            prices = [o.price for o in self.orders.values() if (o.side, o.rests) == kind]
            if prices:
                self._best[kind] = max(prices) if order.side is Side.BUY else min(prices)
            else:
                del self._best[kind]

    def meets(self, order: OpenOrder) -> float | None:
        """The price of an open order of ours that this one might trade with; None when it cannot.

        Two orders meet only if one of them can wait in the book for the other.
        """
        other = Side.SELL if order.side is Side.BUY else Side.BUY
        for rests in (True, False) if order.rests else (True,):
            best = self._best.get((other, rests))
            if best is not None and (order.price >= best if order.side is Side.BUY else order.price <= best):
                return best
        return None

    def _count(self, run: str, side: Side, units: int) -> None:
        if side is Side.BUY:
            self.add(run, buying=units)
        else:
            self.add(run, selling=units)


def _nearer(side: Side, price: float, best: float | None) -> float:
    if best is None:
        return price
    return max(price, best) if side is Side.BUY else min(price, best)
