"""The rules taught to the Turtles."""

from __future__ import annotations

from typing import Any

from quantlytic import Strategy, param
from quantlytic.indicators import ATR, DonchianChannel


class Turtle(Strategy):
    """Buys new highs in small units sized so that one ATR ("N") costs the same share of equity anywhere, adds a unit for each
    half N of gain, and leaves at a low of fewer bars or at a stop 2 N below the newest unit. Many small losses pay for few
    long trends.

    Source: Faith, The Original Turtle Trading Rules (2003).

    System 1 is entry 20 and exit 10, system 2 is 55 and 20. Unlike there, breakouts count at the close, not inside the bar,
    and none is skipped after a winning one.

    `entry`, `exit`, `period`: bars of the two channels and of N. `risk`: share of equity that a move of one N costs a unit.
    `stop`, `spacing`: in N. `max_units`; `weight`: the share of equity that all of them may take. `short`: sells new lows as
    well, where the account may. The stop is an order at the broker: it holds inside a bar, too.

    Example:
        >>> import quantlytic as ql
        >>> result = ql.backtest(Turtle(entry=55, exit=20), ql.demo_bars(), cash=1e5)
        >>> len(result.fills)
        65
    """

    entry: int = param(20, low=15, high=100)
    exit: int = param(10, low=5, high=50)
    period: int = param(20, low=10, high=60)
    risk: float = param(0.01, low=0.001, high=0.05)
    stop: float = param(2.0, low=0.5, high=5.0)
    spacing: float = param(0.5, low=0.25, high=2.0)
    max_units: int = param(4, low=1, high=8)
    weight: float = param(0.95, low=0.05, high=0.99)
    short: bool = param(False)

    def setup(self) -> None:
        self.entry_channel = DonchianChannel(self.entry)
        self.exit_channel = DonchianChannel(self.exit)
        self.atr = ATR(self.period)
        self.n = 0.0  # of the bar that opened the position
        self.units = 0
        self.newest = 0.0  # price of the newest unit
        self.stop_id = 0
        self.unit_id = 0
        self.exit_id = 0

    def on_fill(self, fill: Any, broker: Any) -> None:
        if broker.position * fill.side > 0.0:
            self.newest = fill.price
            broker.amend(self.stop_id, stop_price=fill.price - fill.side * self.stop * self.n)

    def on_bar(self, bar: Any, broker: Any) -> None:
        upper, lower = self.entry_channel.upper, self.entry_channel.lower
        ceiling, floor = self.exit_channel.upper, self.exit_channel.lower
        self.entry_channel.update(bar.high, bar.low)
        self.exit_channel.update(bar.high, bar.low)
        self.atr.update(bar.high, bar.low, bar.close)
        if not (upper > lower and ceiling >= floor and self.atr.value > 0.0):
            return
        waits, leaves = broker.left(self.unit_id) > 0.0, broker.left(self.exit_id) > 0.0  # orders still on their way
        if broker.is_flat and not waits:
            broker.cancel_all()
            self.units = 0
            self.n = self.atr.value
            if bar.close > upper:
                self.add(1, broker)
            elif self.short and bar.close < lower:
                self.add(-1, broker)
        elif (broker.is_long and bar.close < floor) or (broker.is_short and bar.close > ceiling):
            if not leaves:  # the stop stays until it is out: both only ever reduce
                held = broker.position
                self.exit_id = (
                    broker.buy(-held, reduce_only=True) if held < 0.0 else broker.sell(held, reduce_only=True)
                )
        elif not waits and not leaves:
            side = 1 if broker.is_long else -1
            if self.units < self.max_units and side * (bar.close - self.newest) >= self.spacing * self.n:
                self.add(side, broker)

    def add(self, side: int, broker: Any) -> None:
        """One unit more, and the stop of all of them behind it."""
        size = min(self.risk * broker.equity / self.n, self.weight * broker.equity / (self.max_units * broker.price))
        held = abs(broker.position)
        self.unit_id = broker.buy(size) if side > 0 else broker.sell(size)
        level = broker.price - side * self.stop * self.n
        if self.units == 0:
            self.stop_id = broker.stop(-side, size, level, reduce_only=True)
        else:
            broker.amend(self.stop_id, quantity=held + size, stop_price=level)
        self.units += 1
