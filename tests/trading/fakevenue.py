"""A venue and the wire to it in virtual time: requests that get lost, come late or twice, answers and reports likewise."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from quantlytic.model.order import Order, OrderStatus, OrderType, TimeInForce
from quantlytic.trading.link import Answer, Connected, Heard, Sweep, Trades, Update
from quantlytic.venues.port import Balance, OrderState, VenueFill

S = OrderStatus
WINDOW_NS = 50
"""A submit that has not reached the venue so long after it was sent is void."""


@dataclass
class Placed:
    """An order at the venue."""

    order: Order
    client_order_id: str
    venue_order_id: int
    status: OrderStatus = S.NEW
    filled: float = 0.0
    quote: float = 0.0

    def state(self) -> OrderState:
        return OrderState(
            client_order_id=self.client_order_id, instrument=self.order.instrument, status=self.status,
            venue_order_id=self.venue_order_id, side=self.order.side, quantity=self.order.quantity,
            price=self.order.price, filled_quantity=self.filled, quote_filled=self.quote,
        )  # fmt: skip


@dataclass
class FakeVenue:
    """`badness` from 0 to 1: how much gets lost, late or doubled. `repeats`: submits of an id that it had taken before."""

    dice: random.Random
    badness: float
    now_ns: int = 0
    orders: dict[str, Placed] = field(default_factory=dict)
    trades: list[tuple[str, VenueFill]] = field(default_factory=list)
    balances: dict[str, float] = field(default_factory=lambda: {"USDT": 1e6})
    repeats: int = 0
    requests: list[tuple[int, Callable[[], None]]] = field(default_factory=list)
    heard: list[tuple[int, Heard]] = field(default_factory=list)

    def tick(self) -> None:
        """Time passes: some requests arrive, some resting orders trade."""
        self.now_ns += 1
        due = [each for each in self.requests if each[0] <= self.now_ns]
        self.requests = [each for each in self.requests if each[0] > self.now_ns]
        for _, work in due:
            work()
        for placed in self.orders.values():
            if placed.status in (S.NEW, S.PARTIALLY_FILLED) and self.dice.random() < 0.05:
                self._trade(placed, self.dice.uniform(0.2, 1.2) * placed.order.quantity)

    def take(self) -> list[Heard]:
        """What has come to the client by now."""
        due = [heard for at, heard in self.heard if at <= self.now_ns]
        self.heard = [each for each in self.heard if each[0] > self.now_ns]
        self.dice.shuffle(due)
        return due

    def say(self, heard: Heard) -> None:
        """Something goes to the client: later, now and then twice, and reports of the stream not always."""
        if isinstance(heard, Update) and self.dice.random() < self.badness / 2:
            return
        for _ in range(2 if isinstance(heard, Update) and self.dice.random() < self.badness / 2 else 1):
            self.heard.append(
                (self.now_ns + self.dice.randint(1, 3 if self.dice.random() > self.badness else 30), heard)
            )

    def ask(self, work: Callable[[], None], void_ns: int | None = None) -> None:
        """A request goes to the venue, and arrives, or not."""
        if self.dice.random() < self.badness / 4:
            return
        at = self.now_ns + (self.dice.randint(1, 60) if self.dice.random() < self.badness else 1)
        if void_ns is None or at <= void_ns:
            self.requests.append((at, work))

    def submit(self, order: Order, client_order_id: str) -> OrderState:
        """Take an order."""
        if client_order_id in self.orders:
            self.repeats += 1
            return self.orders[client_order_id].state()
        placed = Placed(order, client_order_id, 1000 + len(self.orders))
        self.orders[client_order_id] = placed
        self.say(Update(placed.state()))
        if order.type == OrderType.MARKET or self.dice.random() < 0.2:
            while placed.status in (S.NEW, S.PARTIALLY_FILLED) and (
                order.type == OrderType.MARKET or self.dice.random() < 0.5
            ):
                self._trade(placed, self.dice.uniform(0.3, 1.5) * order.quantity)
        if placed.status != S.FILLED and order.time_in_force in (TimeInForce.IOC, TimeInForce.FOK):
            placed.status = S.EXPIRED
            self.say(Update(placed.state()))
        return placed.state()

    def by_hand(self, order: Order) -> None:
        """Somebody else trades in the account, at once."""
        placed = Placed(order, f"hand-{len(self.orders)}", 1000 + len(self.orders))
        self.orders[placed.client_order_id] = placed
        while placed.status != S.FILLED:
            self._trade(placed, self.dice.uniform(0.3, 1.5) * order.quantity)

    def cancel(self, client_order_id: str) -> OrderState:
        placed = self.orders[client_order_id]
        if placed.status in (S.NEW, S.PARTIALLY_FILLED):
            placed.status = S.CANCELED
            self.say(Update(placed.state()))
        return placed.state()

    def status(self, client_order_id: str) -> OrderState | None:
        placed = self.orders.get(client_order_id)
        return placed.state() if placed else None

    def my_trades(self, from_id: int) -> list[VenueFill]:
        return [trade for _, trade in self.trades if trade.trade_id >= from_id]

    def _trade(self, placed: Placed, quantity: float) -> None:
        order = placed.order
        left = round(order.quantity - placed.filled, 3)
        quantity = min(max(round(quantity, 3), 0.001), left)
        price = 100.0 if order.type == OrderType.MARKET else order.price
        fee = round(quantity * 0.001, 6) if order.side > 0 else round(quantity * price * 0.001, 6)
        fill = VenueFill(
            trade_id=len(self.trades) + 1, venue_order_id=placed.venue_order_id, instrument=order.instrument,
            event_time=self.now_ns, side=order.side, quantity=quantity, price=price, fee=fee,
            fee_asset="BTC" if order.side > 0 else "USDT",
        )  # fmt: skip
        self.trades.append((placed.client_order_id, fill))
        placed.filled = round(placed.filled + quantity, 3)
        placed.quote += quantity * price
        placed.status = S.FILLED if placed.filled >= order.quantity else S.PARTIALLY_FILLED
        for asset, change in (
            ("BTC", order.side * quantity),
            ("USDT", -order.side * quantity * price),
            (fill.fee_asset, -fee),
        ):
            self.balances[asset] = self.balances.get(asset, 0.0) + change
        self.say(Update(placed.state()))


class FakeLink:
    """The wire to it, with the calls of `Link`. An answer that does not come is told as such after a while."""

    void_after_ns = WINDOW_NS + 5

    def __init__(self, venue: FakeVenue) -> None:
        self._venue = venue
        venue.say(Connected())

    def submit(self, order: Order, client_order_id: str, written_ns: int) -> None:
        self._call(
            "submit", client_order_id, lambda: self._venue.submit(order, client_order_id), written_ns + WINDOW_NS
        )

    def cancel(self, instrument: str, client_order_id: str) -> None:
        self._call("cancel", client_order_id, lambda: self._venue.cancel(client_order_id))

    def ask(self, instrument: str, client_order_id: str) -> None:
        self._call("ask", client_order_id, lambda: self._venue.status(client_order_id))

    def fetch_trades(self, instrument: str, from_id: int) -> None:
        venue = self._venue
        if venue.dice.random() < venue.badness / 2:
            venue.heard.append((venue.now_ns + 10, Trades(instrument, (), "no answer")))
            return
        venue.ask(lambda: venue.say(Trades(instrument, venue.my_trades(from_id))))
        venue.heard.append((venue.now_ns + 80, Trades(instrument, (), "no answer in time")))

    def sweep(self, orders: Sequence[tuple[str, str]], cursors: dict[str, int]) -> None:
        venue, asked_ns = self._venue, self._venue.now_ns

        def look() -> None:
            opened = [each.state() for each in venue.orders.values() if each.status in (S.NEW, S.PARTIALLY_FILLED)]
            balances = {asset: Balance(asset, amount, 0.0) for asset, amount in venue.balances.items()}
            trades = {name: venue.my_trades(last + 1) for name, last in cursors.items()}
            states = {name: venue.status(name) for _, name in orders}
            venue.heard.append((venue.now_ns + 3, Sweep(asked_ns, states, opened, trades, balances)))

        if venue.dice.random() < venue.badness / 2:
            venue.heard.append((venue.now_ns + 10, Sweep(asked_ns, error="no answer")))
        else:
            venue.requests.append((venue.now_ns + 2, look))

    def _call(
        self, how: str, client_order_id: str, work: Callable[[], OrderState | None], void_ns: int | None = None
    ) -> None:
        venue, asked_ns = self._venue, self._venue.now_ns
        answered = []

        def arrive() -> None:
            state = work()
            if venue.dice.random() >= venue.badness / 2:
                answered.append(True)
                venue.heard.append(
                    (venue.now_ns + venue.dice.randint(1, 3), Answer(how, client_order_id, asked_ns, state))
                )

        venue.ask(arrive, void_ns)

        def give_up() -> None:
            if not answered:
                venue.heard.append((venue.now_ns, Answer(how, client_order_id, asked_ns, None, "no answer")))

        venue.requests.append((venue.now_ns + (WINDOW_NS + 2 if how == "submit" else 20), give_up))
