"""The limits recomputed from the whole history at each order, in fractions: slow, and hard to get wrong."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from zoneinfo import ZoneInfo

from quantlytic.model.order import Order, OrderType, TimeInForce
from quantlytic.model.side import Side
from quantlytic.trading.limits import Limits

S = 10**9


def exact(value: float) -> Fraction:
    """The decimal that was meant."""
    return Fraction(repr(float(value)))


@dataclass
class Sent:
    order: Order
    at: int
    filled: Fraction = Fraction(0)
    is_gone: bool = False

    @property
    def remaining(self) -> Fraction:
        return Fraction(0) if self.is_gone else exact(self.order.quantity) - self.filled


@dataclass
class NaiveRisk:
    limits: Limits
    sent: list[Sent] = field(default_factory=list)
    held: dict[tuple[str, str], Fraction] = field(default_factory=lambda: defaultdict(Fraction))
    prices: dict[str, tuple[float, int]] = field(default_factory=dict)
    worths: list[tuple[str, float, int]] = field(default_factory=list)

    def price(self, instrument: str, price: float, at: int) -> None:
        if at >= self.prices.get(instrument, (0.0, 0))[1]:
            self.prices[instrument] = (price, at)

    def open(self, instrument: str | None = None, without: Order | None = None) -> list[Sent]:
        """What is open (without what the order amends: it has the same id)."""
        gone = None if without is None else (without.run, without.order_id)
        found = [s for s in self.sent if s.remaining > 0 and instrument in (None, s.order.instrument)]
        return [s for s in found if (s.order.run, s.order.order_id) != gone]

    def worst(self, run: str | None, instrument: str, extra: Order | None = None) -> tuple[Fraction, Fraction]:
        """(long, short) that can come of what is held and open (and of `extra`), of a run or of all."""
        held = sum((q for (r, i), q in self.held.items() if i == instrument and run in (None, r)), Fraction(0))
        orders = [(s.order, s.remaining) for s in self.open(instrument, extra)]
        if extra is not None:
            orders.append((extra, exact(extra.quantity)))
        buys = sum((q for o, q in orders if o.side is Side.BUY and run in (None, o.run)), Fraction(0))
        sells = sum((q for o, q in orders if o.side is Side.SELL and run in (None, o.run)), Fraction(0))
        return held + buys, sells - held

    def gross(self, venue: str | None, extra: Order | None = None) -> Fraction:
        total = Fraction(0)
        cells = {*self.held, *((s.order.run, s.order.instrument) for s in self.sent)}
        if extra is not None:
            cells.add((extra.run, extra.instrument))
        for run, instrument in cells:
            if venue in (None, instrument.partition(":")[0]) and instrument in self.prices:
                more = extra if extra is not None and (extra.run, extra.instrument) == (run, instrument) else None
                total += max(map(abs, self.worst(run, instrument, more))) * exact(self.prices[instrument][0])
        return total

    def broken_losses(self) -> set[str]:
        equities: dict[str, Fraction] = {}
        day, start, peak = 0, Fraction(0), Fraction(0)
        for run, equity, at in self.worths:
            today = datetime.fromtimestamp(at // S, ZoneInfo(self.limits.day_zone)).toordinal()
            if today > day:
                day, start = today, sum(equities.values(), Fraction(0))
            if run not in equities:
                start, peak = start + exact(equity), peak + exact(equity)
            equities[run] = exact(equity)
            peak = max(peak, sum(equities.values(), Fraction(0)))
        total, broken = sum(equities.values(), Fraction(0)), set()
        limits = self.limits
        if limits.max_daily_loss is not None and start - total > limits.max_daily_loss:
            broken.add("max_daily_loss")
        for name, base in (("max_daily_loss_share", start), ("max_drawdown_share", peak)):
            allowed = getattr(limits, name)
            if allowed is not None and (base - total > base * exact(allowed) if base > 0 else total < base):
                broken.add(name)
        return broken

    def broken(self, order: Order, now: int) -> set[str]:
        """Every limit that the order would pass."""
        limits, one, found = self.limits, self.limits.of(order.instrument), set()
        is_buy = order.side is Side.BUY
        if order.instrument not in self.prices:
            return {"max_price_age_s"}
        price, at = self.prices[order.instrument]
        if one.max_price_age_s is not None and abs(now - at) > one.max_price_age_s * S:
            found.add("max_price_age_s")
        if order.type is OrderType.LIMIT:
            away = (exact(order.price) / exact(price) - 1) * (1 if is_buy else -1) * 10000
            if one.price_collar_bps is not None and away > one.price_collar_bps:
                found.add("price_collar_bps")
            if one.far_price_bps is not None and -away > one.far_price_bps:
                found.add("far_price_bps")
        for name, window in (("max_orders_per_s", 1), ("max_orders_per_minute", 60)):
            limit = getattr(limits, name)
            if limit is not None and sum(now - s.at < window * S for s in self.sent) >= limit:
                found.add(name)
        for limit, count in (
            (one.max_open_orders, self.open(order.instrument, order)),
            (limits.max_open_orders, self.open(None, order)),
        ):
            if limit is not None and len(count) >= limit:
                found.add("max_open_orders")
        if limits.self_trade_guard and any(_meet(order, s.order) for s in self.open(order.instrument, order)):
            found.add("self_trade_guard")
        if not self.is_reducing(order):
            found |= self.broken_losses() | self.too_large(order, exact(price))
        return found

    def is_reducing(self, order: Order) -> bool:
        """Held the other way, and all that is open on this side with the order takes it to flat at most; of run and account."""
        for run in (order.run, None):
            long, short = self.worst(run, order.instrument, order)
            held = sum(
                (q for (r, i), q in self.held.items() if i == order.instrument and run in (None, r)), Fraction(0)
            )
            if held * order.side >= 0 or (long > 0 if order.side is Side.BUY else short > 0):
                return False
        return True

    def too_large(self, order: Order, last: Fraction) -> set[str]:
        limits, one, found = self.limits, self.limits.of(order.instrument), set()
        if order.type is OrderType.LIMIT:
            counted = max(exact(order.price), last)
        else:
            counted = last * (1 + exact(one.price_collar_bps or 0) / 10000) if order.side is Side.BUY else last
        if one.max_order_notional is not None and exact(order.quantity) * counted > one.max_order_notional:
            found.add("max_order_notional")
        long, short = self.worst(None, order.instrument, order)
        worst = long if order.side is Side.BUY else short
        if order.side is Side.SELL and worst > 0 and not one.allow_short:
            found.add("allow_short")
        if one.max_position_quantity is not None and worst > exact(one.max_position_quantity):
            found.add("max_position_quantity")
        if one.max_position_notional is not None and worst * last > exact(one.max_position_notional):
            found.add("max_position_notional")
        for name, venue in (("max_gross_notional", None), ("max_venue_notional", order.instrument.partition(":")[0])):
            allowed = getattr(limits, name)
            after = self.gross(venue, order)
            if allowed is not None and after > exact(allowed) and after > self.gross(venue):
                found.add(name)
        return found


def _meet(new: Order, old: Order) -> bool:
    if new.side is old.side or not (_rests(new) or _rests(old)):
        return False
    buy, sell = (new, old) if new.side is Side.BUY else (old, new)
    if OrderType.MARKET in (new.type, old.type):
        return True
    return buy.price >= sell.price


def _rests(order: Order) -> bool:
    return order.type is OrderType.LIMIT and order.time_in_force not in (TimeInForce.IOC, TimeInForce.FOK)
