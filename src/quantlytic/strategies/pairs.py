"""Two prices on one leash."""

from __future__ import annotations

import math
from typing import Any

from quantlytic import Strategy, param
from quantlytic.indicators import Cointegration, KalmanRegression, ZScore
from quantlytic.model.errors import InputError


class Pairs(Strategy):
    """Of two instruments whose log prices keep a distance (they are cointegrated), it buys the one that has become too cheap
    and sells the other short, `slope` units of value for one, until the distance is back to what it was. Without `short` it
    only holds the cheap one.

    The slope is that of a regression over the last `period` bars, and it enters only while the Engle-Granger statistic says
    that the two belong together; slope and scale then stay as they were at entry. With `kalman` the slope wanders with
    every bar instead, and nothing is tested. A trade ends when the distance is back, when it has grown to `stop`, or after
    `period` bars. If one leg cannot be had, the other is closed.

    Source: Engle & Granger, Co-integration and error correction (1987); Gatev, Goetzmann & Rouwenhorst, Pairs trading (2006);
    Kalman filter: Chan, Algorithmic Trading (2013), chapter 3.

    `period`: bars of the regression (of the scale, with `kalman`); `entry`, `exit`, `stop`: distances in standard deviations;
    `critical`: the statistic must be below it (-3.34: 5 %); `delta`: how fast the Kalman slope may wander; `weight`: share of
    equity in both legs together. Two instruments; bars count only when both have one.

    >>> import quantlytic as ql
    >>> strategy = Pairs(period=60, entry=1.5, critical=-2.0, short=True)
    >>> result = ql.backtest(strategy, ql.demo_bars(800, instruments=2), cash=1e5, allow_short=True)
    >>> result.metrics["round_trips"] > 1
    True
    """

    period: int = param(240, low=20, high=1000)
    entry: float = param(2.0, low=0.5, high=5.0)
    exit: float = param(0.5, low=0.0, high=2.0)
    stop: float = param(4.0, low=1.0, high=20.0)
    critical: float = param(-3.34, low=-8.0, high=0.0)
    kalman: bool = param(False)
    delta: float = param(1e-7, low=1e-10, high=1e-3)
    weight: float = param(0.95, low=0.0, high=1.0)
    short: bool = param(False)

    def setup(self) -> None:
        count = vars(self)["instruments"]
        if count != 2:
            raise InputError(f"Pairs trades two instruments against each other: it was given {count}")
        self.test = Cointegration(self.period)
        self.filter = KalmanRegression(self.delta, 1e-3)
        self.scale = ZScore(self.period)
        self.first_x = math.nan
        self.first_y = math.nan
        self.slope = 0.0
        self.intercept = 0.0
        self.deviation = 0.0
        self.side = 0  # of the spread: 1 long the first instrument, -1 long the second
        self.held = 0
        self.armed = True

    def on_slice(self, slice: Any, broker: Any) -> None:
        if not (slice.has(0) and slice.has(1)):
            return
        score = self.look(math.log(slice.close(1)), math.log(slice.close(0)))
        if math.isnan(score):
            return
        if self.side != 0:
            self.hold(score, broker)
        elif abs(score) < self.entry:
            self.armed = True
        elif self.armed and abs(score) < self.stop and self.slope > 0.0 and self.belongs():
            self.enter(-1 if score > 0.0 else 1, broker)

    def look(self, x: float, y: float) -> float:
        """How many standard deviations the first is too dear."""
        if math.isnan(self.first_x):
            self.first_x, self.first_y = x, y
        if self.kalman:
            self.filter.update(x - self.first_x, y - self.first_y)
            self.slope = self.filter.slope if self.side == 0 else self.slope
            return self.scale.update(self.filter.error)
        self.test.update(x, y)
        if self.side == 0:
            self.slope, self.intercept = self.test.slope, self.test.intercept
            self.deviation = self.test.spread / self.test.score if self.test.score != 0.0 else 0.0
        return (y - self.slope * x - self.intercept) / self.deviation if self.deviation > 0.0 else math.nan

    def belongs(self) -> bool:
        return self.kalman or self.test.statistic < self.critical

    def enter(self, side: int, broker: Any) -> None:
        self.side, self.held = side, 0
        if self.short:
            first = self.weight / (1.0 + self.slope)
            broker.on(0).target_weight(side * first)
            broker.on(1).target_weight(-side * first * self.slope)
        else:
            broker.on(0 if side > 0 else 1).target_weight(self.weight)

    def hold(self, score: float, broker: Any) -> None:
        """Leave when it is over. A leg that is missing, once its order has ended, was refused or is gone."""
        self.held += 1
        waiting = broker.on(0).open_orders + broker.on(1).open_orders
        legs = int(not broker.on(0).is_flat) + int(not broker.on(1).is_flat)
        lost = waiting == 0 and legs < (2 if self.short else 1)
        back = -self.side * score < self.exit
        if lost or back or abs(score) > self.stop or self.held >= self.period:
            self.side = 0
            self.armed = back
            for i in range(2):
                broker.on(i).cancel_all()
                broker.on(i).close()
