"""The risk gate: every order passes it, or is refused in one line with figures. Pure: no clock, no file, the same each time."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from quantlytic.model.breach import RiskBreach
from quantlytic.model.errors import DataError, InputError
from quantlytic.model.fill import Fill
from quantlytic.model.instrument import Instrument
from quantlytic.model.order import Order, OrderStatus, OrderType, OrderUpdate
from quantlytic.model.side import Side
from quantlytic.model.time import NS_PER_S
from quantlytic.trading.exposure import MAX_NUMBER, MICROS, UNITS, Cell, Desk, Key, OpenOrder, units_of
from quantlytic.trading.limits import InstrumentLimits, Limits
from quantlytic.trading.losses import LossMeter, LossState
from quantlytic.trading.rate import RateWindow

WRONG_TIME_NS = 3600 * NS_PER_S
_LIMITED = (OrderType.LIMIT, OrderType.STOP_LIMIT)
_STOPPED = (OrderType.STOP, OrderType.STOP_LIMIT, OrderType.TAKE_PROFIT)
_GONE = (OrderStatus.CANCELED, OrderStatus.REJECTED, OrderStatus.EXPIRED)
_Refusal = tuple[str, float, float, str]
"""(limit, allowed, asked, words)."""


class _DeskState(msgspec.Struct, array_like=True):
    price: float | None
    price_time: int
    held: dict[str, int]
    orders: list[tuple[str, int, OpenOrder]]


class _State(msgspec.Struct, array_like=True):
    desks: dict[str, _DeskState]
    sent: list[list[int]]
    losses: LossState


_decoder = msgspec.msgpack.Decoder(_State)


class RiskGate:
    """The limits of one account over all its runs. A check costs a few microseconds, however much is held or open.

    Call `check` before an order is sent and `sent` when it is; then each `update` and `fill` the venue gives. Fills of an
    order belong before the update that ends it, except FILLED: there what is still to come is counted until it has come.
    An order that is sent again under its run and id (amended) takes the place of the first.
    A *reducing* order takes the run's holding, and the account's, towards flat and not beyond, all open orders of that
    side counted. It may pass while a loss limit is broken, and is never too large: a way out must stay open.
    Raises InputError when the instruments are quoted in several currencies: the limits are in one.
    """

    def __init__(self, account: str, limits: Limits, instruments: Sequence[Instrument]) -> None:
        quotes = sorted({each.quote for each in instruments if each.quote})
        if len(quotes) > 1:
            raise InputError(
                f"account {account}: its limits are in one currency, its instruments are quoted in {', '.join(quotes)}: "
                "trade each currency in an account of its own"
            )
        self._account, self._limits = account, limits
        self._traded = {each.id: limits.of(each.id) for each in instruments}
        self._desks: dict[str, Desk] = {each.id: Desk(each.id) for each in instruments}
        self._where: dict[Key, Desk] = {}
        self._gross: dict[str, int] = {}  # micros by venue
        self._total = 0
        self._rates = (RateWindow(limits.max_orders_per_s, 1), RateWindow(limits.max_orders_per_minute, 60))
        self._losses = LossMeter(limits)

    # ---- what is heard

    def price(self, instrument: str, price: float, event_time: int) -> None:
        """The last trade, quote or close. What is no price, or older than the one known, is passed over.

        One that is older by hours is taken: the known one had a wrong time, and would be waited for without end.
        """
        desk = self._desks.get(instrument)
        if desk is None or not 0 < price <= MAX_NUMBER or 0 < desk.price_time - event_time < WRONG_TIME_NS:
            return
        self._revalue(desk, -1)
        desk.price, desk.price_time = float(price), event_time
        self._revalue(desk, 1)

    def sent(self, order: Order, now_ns: int) -> None:
        """The order is on its way: from now on it counts."""
        desk = self._desk(order.instrument)
        key = (order.run, order.order_id)
        self._revalue(desk, -1)
        desk.close(key)
        desk.open(key, OpenOrder.of(order))
        self._revalue(desk, 1)
        self._where[key] = desk
        for rate in self._rates:
            rate.sent(now_ns)

    def update(self, update: OrderUpdate) -> None:
        """What became of an order. UNRESOLVED goes on counting: it may be there."""
        key = (update.run, update.order_id)
        desk = self._where.get(key)
        if desk is None:
            return
        self._revalue(desk, -1)
        if update.status in _GONE:
            desk.close(key)
        elif update.status == OrderStatus.FILLED:
            desk.orders[key].filled = True
        self._settle(desk, key)
        self._revalue(desk, 1)

    def fill(self, fill: Fill) -> None:
        """A trade of ours, also one of no order that is known here (adopted, or late)."""
        desk = self._desk(fill.instrument)
        units = units_of(fill.quantity)
        key = (fill.run, fill.order_id)
        self._revalue(desk, -1)
        desk.add(fill.run, held=fill.side * units)
        desk.fill(key, units)
        self._settle(desk, key)
        self._revalue(desk, 1)

    def worth(self, run: str, equity: float, event_time: int) -> RiskBreach | None:
        """A run's equity at a time. A breach is of the account: it has lost too much, and the latch is to be shut.

        It is said again at each worth while it lasts; a new day, or `forgive`, ends it.
        """
        loss = self._losses.worth(run, equity, event_time)
        if loss is None:
            return None
        text = f"account {self._account}: {loss.text}"
        return RiskBreach(self._account, run, 0, "", event_time, loss.limit, loss.allowed, loss.lost, text)

    def forgive(self) -> None:
        """To be called when a person has released the latch: losses count from the present worth on."""
        self._losses.forgive()

    # ---- what is asked

    def check(self, order: Order, now_ns: int) -> RiskBreach | None:
        """None when the order may be sent now, else which limit it would pass."""
        refusal = self._bad_number(order) or self._refusal(order, now_ns)
        if refusal is None:
            return None
        limit, allowed, asked, words = refusal
        price = f" at {order.price:,.10g}" if order.type in _LIMITED else ""
        side = order.side.name if isinstance(order.side, Side) else str(order.side)
        what = f"{side} {order.quantity:,.10g} {order.instrument}{price}"
        how = self._limits.where(limit, allowed, order.instrument)
        return RiskBreach(
            self._account, order.run, order.order_id, order.instrument, now_ns, limit, allowed, asked,
            f"order {order.order_id} of {order.run} ({what}) refused: {words}{how}",
        )  # fmt: skip

    def is_reducing(self, order: Order) -> bool:
        """Whether the order only takes a holding towards flat."""
        desk = self._desks.get(order.instrument)
        return desk is not None and self._room(desk, order) >= units_of(order.quantity)

    def _bad_number(self, order: Order) -> _Refusal | None:
        if order.instrument not in self._traded:
            return "instruments", 0.0, 0.0, f"account {self._account} does not trade {order.instrument}"
        if not isinstance(order.side, Side):
            return "side", 0.0, float(order.side), "its side is neither buy nor sell"
        numbers = [("quantity", order.quantity)]
        if order.type in _LIMITED or not math.isnan(order.price):
            numbers.append(("price", order.price))
        if order.type in _STOPPED:
            numbers.append(("stop_price", order.stop_price))
        for name, value in numbers:
            if not 0 < value <= MAX_NUMBER:
                return name, MAX_NUMBER, value, f"its {name} is {value}: it must be above 0 and at most {MAX_NUMBER:g}"
        if units_of(order.quantity) == 0:
            return "quantity", 1 / UNITS, order.quantity, f"its quantity is under {1 / UNITS:g}"
        return None

    def _refusal(self, order: Order, now_ns: int) -> _Refusal | None:
        desk = self._desks[order.instrument]
        limits = self._traded[order.instrument]
        is_reducing = self._room(desk, order) >= units_of(order.quantity)
        return (
            _stale(desk, limits, now_ns)
            or _collar(desk, limits, order)
            or self._too_many(desk, limits, order, now_ns)
            or self._self_trade(desk, order)
            or (None if is_reducing else self._loss() or self._too_large(desk, limits, order))
        )

    def _too_many(self, desk: Desk, limits: InstrumentLimits, order: Order, now_ns: int) -> _Refusal | None:
        for name, rate in zip(("max_orders_per_s", "max_orders_per_minute"), self._rates, strict=True):
            if rate.is_full(now_ns):
                limit = rate.limit or 0
                return (
                    name,
                    limit,
                    limit + 1,
                    f"{limit} orders have been sent in {rate.window_s} s, and no more are allowed",
                )
        again = (order.run, order.order_id) in self._where
        for allowed, count, where in (
            (limits.max_open_orders, len(desk.orders), f"of {order.instrument} "),
            (self._limits.max_open_orders, len(self._where), ""),
        ):
            if allowed is not None and count - again >= allowed:
                return (
                    "max_open_orders",
                    allowed,
                    count - again + 1,
                    f"{count} orders {where}are open, {allowed} may be",
                )
        return None

    def _self_trade(self, desk: Desk, order: Order) -> _Refusal | None:
        if not self._limits.self_trade_guard:
            return None
        new = OpenOrder.of(order)
        met = desk.meets(new)
        if met is None:
            return None
        at = f"at {met:,.10g}" if 0 < met < math.inf else "at market"
        asked = new.price if math.isfinite(new.price) else 0.0
        return (
            "self_trade_guard",
            met if math.isfinite(met) else 0.0,
            asked,
            f"it could trade with our own open order {at}",
        )

    def _loss(self) -> _Refusal | None:
        loss = self._losses.passed
        return None if loss is None else (loss.limit, loss.allowed, loss.lost, f"the account has {loss.text}")

    def _too_large(self, desk: Desk, limits: InstrumentLimits, order: Order) -> _Refusal | None:
        """Order, position and exposure, as if all that is open in the order's direction were filled."""
        units = units_of(order.quantity)
        money = _micros(units, _dearest(desk, limits, order)) / MICROS
        if limits.max_order_notional is not None and money > limits.max_order_notional:
            words = f"it is worth up to {money:,.2f}; {limits.max_order_notional:,.2f} is allowed for one order"
            return "max_order_notional", limits.max_order_notional, money, words
        net = self._with(desk, desk.net, order)
        worst = net.held + net.buying if order.side is Side.BUY else net.selling - net.held
        if worst > 0 and order.side is Side.SELL and not limits.allow_short:
            words = (
                f"with all open orders it sells {worst / UNITS:,.10g} more than is held, and going short is not allowed"
            )
            return "allow_short", 0.0, worst / UNITS, words
        quantity, value = worst / UNITS, _micros(worst, desk.price) / MICROS
        for name, allowed, asked in (
            ("max_position_quantity", limits.max_position_quantity, quantity),
            ("max_position_notional", limits.max_position_notional, value),
        ):
            if allowed is not None and asked > allowed:
                words = (
                    f"with all open orders the position could become {asked:,.10g}; {allowed:,.10g} is allowed ({name})"
                )
                return name, allowed, asked, words
        return self._too_exposed(desk, order)

    def _too_exposed(self, desk: Desk, order: Order) -> _Refusal | None:
        cell = desk.cell(order.run)
        more = self._with(desk, cell, order).worst - cell.worst
        if more <= 0:
            return None
        change = _micros(desk.gross_units + more, desk.price) - _micros(desk.gross_units, desk.price)
        for name, allowed, before, what in (
            ("max_gross_notional", self._limits.max_gross_notional, self._total, "all runs together"),
            ("max_venue_notional", self._limits.max_venue_notional, self._gross.get(desk.venue, 0), desk.venue),
        ):
            asked = (before + change) / MICROS
            if allowed is not None and asked > allowed:
                words = (
                    f"with all open orders the exposure of {what} could become {asked:,.2f}; {allowed:,.2f} is allowed"
                )
                return name, allowed, asked, words
        return None

    # ---- inside

    def _with(self, desk: Desk, cell: Cell, order: Order) -> Cell:
        """The cell with this order open in it, in the place of what it amends."""
        units = units_of(order.quantity)
        old = desk.orders.get((order.run, order.order_id))
        buying = cell.buying - (old.remaining if old and old.side is Side.BUY else 0)
        selling = cell.selling - (old.remaining if old and old.side is Side.SELL else 0)
        is_buy = order.side is Side.BUY
        return Cell(cell.held, buying + units * is_buy, selling + units * (not is_buy))

    def _room(self, desk: Desk, order: Order) -> int:
        """Units by which the order may still reduce the run's holding and the account's."""
        units = units_of(order.quantity)
        rooms = []
        for cell in (desk.cell(order.run), desk.net):
            new = self._with(desk, cell, order)
            rooms.append(-new.held - new.buying + units if order.side is Side.BUY else new.held - new.selling + units)
        return min(rooms)

    def _settle(self, desk: Desk, key: Key) -> None:
        """Forget an order that is done. A fee taken in the base currency leaves a filled order a little short of whole."""
        order = desk.orders.get(key)
        if order is not None and order.filled and order.remaining * 100 <= order.units:
            desk.close(key)
            order = None
        if order is None:
            self._where.pop(key, None)

    def _desk(self, instrument: str) -> Desk:
        """Also one that is not traded (any more): what is held there is exposure all the same."""
        return self._desks.setdefault(instrument, Desk(instrument))

    def _revalue(self, desk: Desk, sign: int) -> None:
        """Take the desk out of the sums (-1) before it changes, and put it back (1) afterwards."""
        money = sign * _micros(desk.gross_units, desk.price)
        self._total += money
        self._gross[desk.venue] = self._gross.get(desk.venue, 0) + money

    def save(self) -> bytes:
        """The state as bytes; the same state gives the same bytes."""
        desks = {
            desk.instrument: _DeskState(
                None if math.isnan(desk.price) else desk.price,
                desk.price_time,
                {run: cell.held for run, cell in sorted(desk.cells.items()) if cell.held},
                [(*key, order) for key, order in desk.orders.items()],
            )
            for desk in self._desks.values()
        }
        return msgspec.msgpack.encode(_State(desks, [rate.times() for rate in self._rates], self._losses.state))

    def restore(self, state: bytes) -> None:
        """Go on from `save`, also with other limits or instruments. Raises DataError for bytes that are none."""
        try:
            saved = _decoder.decode(state)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise DataError(
                f"account {self._account}: the saved state of its risk gate cannot be read: {error}"
            ) from None
        self._desks = {instrument: Desk(instrument) for instrument in (*self._traded, *saved.desks)}
        self._where, self._gross, self._total = {}, {}, 0
        for instrument, kept in saved.desks.items():
            desk = self._desks[instrument]
            desk.price, desk.price_time = math.nan if kept.price is None else kept.price, kept.price_time
            for run, held in kept.held.items():
                desk.add(run, held=held)
            for run, order_id, order in kept.orders:
                desk.open((run, order_id), order)
                self._where[run, order_id] = desk
            self._revalue(desk, 1)
        for rate, times in zip(self._rates, saved.sent, strict=True):
            rate.restore(times)
        self._losses.restore(saved.losses)


def _micros(units: int, price: float) -> int:
    """Money in millionths, rounded up; 0 while there is no price (then nothing may be sent either)."""
    return 0 if math.isnan(price) else math.ceil(units * price * (MICROS / UNITS))


def _dearest(desk: Desk, limits: InstrumentLimits, order: Order) -> float:
    """The price at which an order's worth is counted: its own or the last one, whichever is higher."""
    if order.type in _LIMITED:
        return max(order.price, desk.price)
    return desk.price * (1 + (limits.price_collar_bps or 0.0) / 1e4) if order.side is Side.BUY else desk.price


def _stale(desk: Desk, limits: InstrumentLimits, now_ns: int) -> _Refusal | None:
    if math.isnan(desk.price):
        return "max_price_age_s", limits.max_price_age_s or 0.0, math.inf, f"no price of {desk.instrument} is known"
    age_s = (now_ns - desk.price_time) / NS_PER_S
    if limits.max_price_age_s is None or abs(age_s) <= limits.max_price_age_s:
        return None
    words = f"the last price of {desk.instrument} is {age_s:,.1f} s old; {limits.max_price_age_s:g} s is allowed"
    if age_s < 0:
        words = f"the last price of {desk.instrument} is {-age_s:,.1f} s ahead of our clock: one of the two is wrong"
    return "max_price_age_s", limits.max_price_age_s, abs(age_s), words


def _collar(desk: Desk, limits: InstrumentLimits, order: Order) -> _Refusal | None:
    """An order's price against the last one; of a market order the price that is expected, if one is given."""
    if order.type not in (OrderType.MARKET, OrderType.LIMIT) or math.isnan(order.price):
        return None
    away_bps = round(order.side * (order.price / desk.price - 1) * 1e4, 6)  # positive: on the dear side
    for name, allowed, asked in (
        ("price_collar_bps", limits.price_collar_bps, away_bps),
        ("far_price_bps", limits.far_price_bps, -away_bps),
    ):
        if allowed is not None and asked > allowed:
            way = "above" if order.price > desk.price else "below"
            words = f"{order.price:,.10g} is {asked:,.1f} bps {way} the last price {desk.price:,.10g}; {allowed:g} is allowed"
            return name, allowed, asked, words
    return None
