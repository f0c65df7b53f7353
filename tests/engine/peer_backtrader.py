"""The same strategy object in backtrader: it is called with a bar and a broker that speak backtrader's words."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import backtrader as bt
import numpy as np
import pandas as pd

from quantlytic import Bars, Strategy
from quantlytic.model.side import Side


class Broker:
    """What the strategies of the comparison use of ours, done by backtrader's."""

    def __init__(self, owner: Any) -> None:
        self.owner = owner
        self.sent: list[Any] = []

    @property
    def position(self) -> float:
        return float(self.owner.position.size)

    @property
    def is_flat(self) -> bool:
        return self.position == 0.0

    @property
    def is_long(self) -> bool:
        return self.position > 0.0

    @property
    def equity(self) -> float:
        return float(self.owner.broker.getvalue())

    @property
    def open_orders(self) -> int:
        self.sent = [order for order in self.sent if order.alive()]
        return len(self.sent)

    def _send(self, side: int, quantity: float, **options: Any) -> None:
        self.sent.append((self.owner.buy if side == Side.BUY else self.owner.sell)(size=quantity, **options))

    def market(self, side: int, quantity: float) -> None:
        self._send(side, quantity)

    def target_weight(self, weight: float) -> None:
        change = weight * self.equity / self.owner.data.close[0] - self.position
        self.market(Side.BUY if change > 0 else Side.SELL, abs(change))

    def close(self) -> None:
        self.market(Side.SELL if self.position > 0 else Side.BUY, abs(self.position))

    def limit(self, side: int, quantity: float, price: float) -> None:
        self._send(side, quantity, exectype=bt.Order.Limit, price=price)

    def stop(self, side: int, quantity: float, stop_price: float) -> None:
        self._send(side, quantity, exectype=bt.Order.Stop, price=stop_price)

    def stop_limit(self, side: int, quantity: float, stop_price: float, price: float) -> None:
        self._send(side, quantity, exectype=bt.Order.StopLimit, price=stop_price, plimit=price)

    def trailing_stop(self, side: int, quantity: float, trail: float) -> None:
        self._send(side, quantity, exectype=bt.Order.StopTrail, trailamount=trail)

    def bracket(self, side: int, quantity: float, stop_loss: float, take_profit: float) -> None:
        make = self.owner.buy_bracket if side == Side.BUY else self.owner.sell_bracket
        self.sent += make(size=quantity, exectype=bt.Order.Market, stopprice=stop_loss, limitprice=take_profit)

    def cancel_all(self) -> None:
        for order in self.sent:
            if order.alive():
                self.owner.cancel(order)


class Player(bt.Strategy):  # type: ignore[misc]
    """Calls our strategy; keeps the fills as (bar, side, price, quantity)."""

    params = (("rule", None),)

    def __init__(self) -> None:
        self.rule = self.p.rule
        self.rule.setup()
        self.desk = Broker(self)
        self.fills: list[tuple[int, int, float, float]] = []

    def notify_order(self, order: Any) -> None:
        if order.status == order.Completed:
            side = 1 if order.isbuy() else -1
            self.fills.append((len(self) - 1, side, float(order.executed.price), abs(float(order.executed.size))))

    def next(self) -> None:
        self.rule.on_bar(SimpleNamespace(close=float(self.data.close[0])), self.desk)


def run(bars: Bars, rule: Strategy, cash: float, fee_bps: float) -> tuple[list[tuple[int, int, float, float]], float]:
    """Fills and final equity of the strategy in backtrader."""
    rows = bars.array
    frame = pd.DataFrame(
        {name: np.ascontiguousarray(rows[name]) for name in ("open", "high", "low", "close", "volume")},
        index=pd.DatetimeIndex(rows["open_time"]),
    )
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(bt.feeds.PandasData(dataname=frame))
    cerebro.addstrategy(Player, rule=rule)
    cerebro.broker.setcash(cash)
    cerebro.broker.setcommission(commission=fee_bps / 1e4)
    (player,) = cerebro.run()
    return player.fills, float(cerebro.broker.getvalue())
