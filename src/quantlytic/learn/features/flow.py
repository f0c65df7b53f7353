"""Features of the trades and quotes within a bar's time."""

from __future__ import annotations

import math
from typing import Any

from quantlytic.engine.indicators.sma import SMA
from quantlytic.engine.indicators.window import Sum
from quantlytic.learn.features.feature import Feature


class SignedVolume(Feature):
    """Volume bought less volume sold by aggressors, over the last `period` bars, in base currency."""

    def __init__(self, period: int = 1) -> None:
        self.sum = Sum(period)
        self.net = 0.0

    def on_trade(self, trade: Any) -> None:
        """Add a trade."""
        self.net += trade.quantity * trade.side

    def update(self, bar: Any) -> float:
        """The sum at this bar's close."""
        value: float = self.sum.update(self.net)
        self.net = 0.0
        return value


class TradeImbalance(Feature):
    """(bought - sold) / (bought + sold) over the last `period` bars: -1 to 1; 0 where nothing traded.

    Bars in between without trades count as 0. Source: the order-flow imbalance of trades, as in Easley et al. (2012).
    """

    def __init__(self, period: int = 1) -> None:
        self.net_sum = Sum(period)
        self.all_sum = Sum(period)
        self.net = 0.0
        self.all = 0.0

    def on_trade(self, trade: Any) -> None:
        """Add a trade."""
        self.net += trade.quantity * trade.side
        self.all += trade.quantity

    def update(self, bar: Any) -> float:
        """The imbalance at this bar's close."""
        net = self.net_sum.update(self.net)
        whole = self.all_sum.update(self.all)
        self.net = 0.0
        self.all = 0.0
        if math.isnan(whole):
            return math.nan
        return float(net / whole) if whole > 0.0 else 0.0


class OrderFlowImbalance(Feature):
    """Changes of the best bid's and ask's quantities, signed as pressure on the price, summed over the last `period` bars and
    divided by the quantities' mean. Source: Cont, Kukanov & Stoikov, "The price impact of order book events" (2014)."""

    def __init__(self, period: int = 1) -> None:
        self.flow_sum = Sum(period)
        self.depth_mean = SMA(period)
        self.bid = math.nan
        self.ask = math.nan
        self.bid_quantity = 0.0
        self.ask_quantity = 0.0
        self.flow = 0.0
        self.depth = 0.0
        self.count = 0

    def on_quote(self, quote: Any) -> None:
        """Add a quote."""
        if not math.isnan(self.bid):
            if quote.bid >= self.bid:
                self.flow += quote.bid_quantity
            if quote.bid <= self.bid:
                self.flow -= self.bid_quantity
            if quote.ask <= self.ask:
                self.flow -= quote.ask_quantity
            if quote.ask >= self.ask:
                self.flow += self.ask_quantity
        self.bid = quote.bid
        self.ask = quote.ask
        self.bid_quantity = quote.bid_quantity
        self.ask_quantity = quote.ask_quantity
        self.depth += 0.5 * (quote.bid_quantity + quote.ask_quantity)
        self.count += 1

    def update(self, bar: Any) -> float:
        """The imbalance at this bar's close, NaN until there was a quote in each of `period` bars."""
        flow = self.flow_sum.update(self.flow)
        depth = self.depth_mean.update(self.depth / self.count if self.count > 0 else math.nan)
        self.flow = 0.0
        self.depth = 0.0
        self.count = 0
        return float(flow / depth) if depth > 0.0 else math.nan


class QuoteImbalance(Feature):
    """(bid quantity - ask quantity) / their sum, of the last quote: -1 to 1. NaN before the first one."""

    def __init__(self) -> None:
        self.last = math.nan

    def on_quote(self, quote: Any) -> None:
        """Take the newest quote."""
        whole = quote.bid_quantity + quote.ask_quantity
        self.last = (quote.bid_quantity - quote.ask_quantity) / whole if whole > 0.0 else math.nan

    def update(self, bar: Any) -> float:
        """The imbalance at this bar's close."""
        return self.last


class QuotedSpread(Feature):
    """(ask - bid) / mid in basis points: the last quote's, or, `mean`, the mean of the bar's quotes (NaN without any)."""

    def __init__(self, mean: bool = False) -> None:
        self.mean = bool(mean)
        self.last = math.nan
        self.sum = 0.0
        self.count = 0

    def on_quote(self, quote: Any) -> None:
        """Take the newest quote."""
        middle = 0.5 * (quote.bid + quote.ask)
        self.last = (quote.ask - quote.bid) / middle * 10_000.0 if middle > 0.0 else math.nan
        self.sum += self.last
        self.count += 1

    def update(self, bar: Any) -> float:
        """The spread at this bar's close."""
        value = self.last
        if self.mean:
            value = self.sum / self.count if self.count > 0 else math.nan
        self.sum = 0.0
        self.count = 0
        return value
