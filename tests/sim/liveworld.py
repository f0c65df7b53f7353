"""A live account against the exchange in a box: the executor under test, a strategist that orders by dice, and the truth."""

from __future__ import annotations

import math
import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from quantlytic.model.bar import Bar
from quantlytic.model.discrepancy import Discrepancy
from quantlytic.model.equity import Decided, Equity
from quantlytic.model.event import Event
from quantlytic.model.fill import Fill
from quantlytic.model.instrument import Instrument
from quantlytic.model.order import Order, OrderAmend, OrderCancel, OrderStatus, OrderType, OrderUpdate, TimeInForce
from quantlytic.model.quote import Quote
from quantlytic.model.run import Run
from quantlytic.model.side import Side
from quantlytic.model.trade import Trade
from quantlytic.services.liveexecutor import LiveExecutor
from quantlytic.store.log import open_log
from quantlytic.store.log.port import Log, Writer
from quantlytic.trading.latch import Latch
from quantlytic.trading.limits import InstrumentLimits, Limits
from quantlytic.trading.link import Link
from quantlytic.trading.risk import RiskGate
from quantlytic.trading.rules import LiveRules
from quantlytic.trading.tracker import ENDED
from quantlytic.venues.binance.keys import Keys
from quantlytic.venues.binance.market import spot
from quantlytic.venues.binance.orders import BinanceOrders, OrderTimings
from quantlytic.venues.exchange.config import AccountConfig, ExchangeConfig
from quantlytic.venues.exchange.server import ExchangeServer

BTC = Instrument("box:BTCUSDT", "BTC", "USDT", 0.01, 0.00001, 5.0)
QUICK = OrderTimings(request=0.06, window=0.1, poll=0.01, skew=0.0, patience=0.15)
HAND_OVER_S = 0.1
RULES = LiveRules(answer_wait_s=3.0, max_decision_age_s=20.0, max_data_age_s=20.0, sweep_every_s=0.5, retry_s=0.02)
FREE = Limits(
    every=InstrumentLimits(
        max_position_quantity=None, max_position_notional=None, max_order_notional=None, price_collar_bps=None,
        far_price_bps=None, max_price_age_s=None, max_open_orders=None, allow_short=True,
    ),
    max_gross_notional=None, max_venue_notional=None, max_orders_per_s=None, max_orders_per_minute=None,
    max_open_orders=None, max_daily_loss=None, max_daily_loss_share=None, max_drawdown_share=None, self_trade_guard=False,
)  # fmt: skip
BAR_NS = 1_000_000_000


def start_box(accounts: int, deposits: dict[str, str] | None = None, **more: Any) -> ExchangeServer:
    """An exchange with so many accounts, `a0`, `a1` ..., that trade one instrument, and `looker`, whose key may only look; its
    limits are out of the way."""
    names = [AccountConfig(name=f"a{k}", deposits=deposits or {"USDT": "100000"}) for k in range(accounts)]
    names.append(AccountConfig(name="looker", read_only=True))
    config = ExchangeConfig(
        port=0,
        symbols=("BTCUSDT",),
        accounts=tuple(names),
        trades_per_s=60,
        weight_limit=10**9,
        order_limit=10**9,
        **more,
    )
    box = ExchangeServer(config).start()
    while box.state()["symbols"]["BTCUSDT"]["last_price"] is None:
        time.sleep(0.01)
    return box


def entry(box: ExchangeServer, account: str, timings: OrderTimings = QUICK, keys: Keys | None = None) -> BinanceOrders:
    """Orders of an account."""
    market = spot("box", box.rest_url, box.stream_url + "/stream", box.stream_url + "/ws-api/v3")
    market = msgspec.structs.replace(market, weight_per_minute=10**7)
    return BinanceOrders(market, keys or Keys(*box.keys(account)), timings=timings)


class Killed(BaseException):
    """The process under test has died here."""


class MortalWriter:
    """A writer at whose commits one may die: just before or just after."""

    def __init__(self, writer: Writer, fate: Callable[[str], None]) -> None:
        self._writer, self._fate = writer, fate

    def __getattr__(self, name: str) -> Any:
        return getattr(self._writer, name)

    def commit(self, *arguments: Any, **named: Any) -> Any:
        self._fate("before commit")
        given = self._writer.commit(*arguments, **named)
        self._fate("after commit")
        return given


class MortalLink(Link):
    """A link at whose calls one may die: the order is in the log, and may or may not be on the wire."""

    fate: Callable[[str], None]

    def submit(self, *arguments: Any) -> None:
        self.fate("before submit")
        super().submit(*arguments)
        self.fate("after submit")

    def cancel(self, *arguments: Any) -> None:
        self.fate("before cancel")
        super().cancel(*arguments)
        self.fate("after cancel")


class MortalLog:
    """A log whose writers are mortal."""

    def __init__(self, log: Log, fate: Callable[[str], None]) -> None:
        self._log, self._fate = log, fate

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    def writer(self, name: str) -> MortalWriter:
        return MortalWriter(self._log.writer(name), self._fate)


class Strategist:
    """At each `Equity` what `wishes` gives, then `Decided`. It orders what the test has put into `next`."""

    def __init__(self, log: Log, run: Run, seed: int, price: Callable[[], float]) -> None:
        self._log, self._run, self._price = log, run, price
        self._random = random.Random(f"dice {seed}")
        self._writer = log.writer(f"strategist.{run.run_id}")
        self._position = 0
        self._open: dict[int, Order] = {}
        self._next_id = 1
        self.next: list[Event] = []
        self.bars = 0
        self.is_quiet = False

    def pump(self) -> int:
        batch = self._log.read(self._run.executions_stream, self._position)
        self._position = batch.next_offset
        for event in batch.events:
            if isinstance(event, OrderUpdate) and event.status in ENDED:
                self._open.pop(event.order_id, None)
            elif isinstance(event, Equity):
                decided = Decided(self._run.run_id, event.bar_offset)
                self._writer.commit({self._run.decisions_stream: [*self.wishes(event), decided]})
                self.bars += 1
        return len(batch.events)

    def withdraw_all(self) -> None:
        """From now on nothing but cancels."""
        self.is_quiet = True

    @property
    def open_orders(self) -> set[int]:
        return set(self._open)

    def order(self, side: Side, quantity: float, price: float = math.nan, **more: Any) -> int:
        """Put an order into the next decision; its id."""
        kind = more.pop("type", OrderType.MARKET if math.isnan(price) else OrderType.LIMIT)
        force, when = more.pop("time_in_force", TimeInForce.GTC), more.pop("event_time", time.time_ns())
        order = Order(self._run.run_id, self._next_id, BTC.id, when, side, kind, force, quantity, price, **more)
        self._next_id += 1
        self._open[order.order_id] = order
        self.next.append(order)
        return order.order_id

    def wishes(self, equity: Equity) -> Iterator[Event]:
        """What is decided on the bar that ended with this equity."""
        if self.is_quiet:
            for order_id in self._open:
                yield OrderCancel(self._run.run_id, order_id, BTC.id, time.time_ns(), equity.bar_offset)
        yield from self.next
        self.next = []


class Dice(Strategist):
    """A strategist that orders by dice."""

    def wobble(self) -> float:
        """Prices as recorded: about the exchange's."""
        return self._random.uniform(0.998, 1.002)

    def wishes(self, equity: Equity) -> Iterator[Event]:
        """Some orders, cancels and amendments."""
        dice, run, now = self._random, self._run.run_id, time.time_ns()
        for order in list(self._open.values()):
            if self.is_quiet or dice.random() < 0.3:
                yield OrderCancel(run, order.order_id, BTC.id, now, equity.bar_offset)
            elif order.type == OrderType.LIMIT and dice.random() < 0.3:
                price = self._price() * (1 - order.side * dice.uniform(-0.0005, 0.003))
                quantity = dice.choice((math.nan, order.quantity * 2, order.quantity / 2))
                yield OrderAmend(run, order.order_id, BTC.id, now, quantity, price, math.nan, equity.bar_offset)
        for _ in range(0 if self.is_quiet else dice.choice((0, 1, 2, 3))):
            yield from self._orders(equity, now)

    def _orders(self, equity: Equity, now: int) -> Iterator[Order]:
        dice = self._random
        side = dice.choice((Side.BUY, Side.BUY, Side.SELL))
        quantity = round(dice.choice((0.001, 0.01, 0.1)) * dice.uniform(0.5, 2), 6)
        kind, force = dice.choice((
            (OrderType.MARKET, TimeInForce.GTC), (OrderType.LIMIT, TimeInForce.GTC), (OrderType.LIMIT, TimeInForce.GTC),
            (OrderType.LIMIT, TimeInForce.IOC), (OrderType.LIMIT, TimeInForce.FOK),
        ))  # fmt: skip
        price = math.nan if kind == OrderType.MARKET else self._price() * (1 - side * dice.uniform(-0.001, 0.002))
        order = self._new(now, side, kind, force, quantity, price, equity)
        if dice.random() < 0.3:  # a bracket: what is bought is sold again, with a loss or with a profit
            entry, low, high = (
                order.order_id,
                self._price() * dice.uniform(0.998, 1),
                self._price() * dice.uniform(1, 1.002),
            )
            more: dict[str, Any] = {"reduce_only": True, "parent_id": entry, "group_id": entry}
            yield msgspec.structs.replace(order, side=Side.BUY)
            yield self._new(
                now, Side.SELL, OrderType.STOP, TimeInForce.GTC, quantity, math.nan, equity, stop_price=low, **more
            )
            yield self._new(now, Side.SELL, OrderType.LIMIT, TimeInForce.GTC, quantity, high, equity, **more)
        elif dice.random() < 0.2:
            more = (
                {"trail": 0.05, "trail_percent": True}
                if dice.random() < 0.5
                else {"stop_price": self._price() * 1.0005}
            )
            kind = OrderType.TRAILING_STOP if "trail" in more else OrderType.TAKE_PROFIT
            yield msgspec.structs.replace(
                order,
                type=kind,
                time_in_force=TimeInForce.GTD,
                expire_time=now + dice.choice((1, 10**9)) * 10**7,
                **more,
            )
        else:
            yield order

    def _new(
        self, now: int, side: Side, kind: OrderType, force: TimeInForce, quantity: float, price: float, equity: Equity,
        **more: Any,
    ) -> Order:  # fmt: skip
        order = Order(
            self._run.run_id, self._next_id, BTC.id, now, side, kind, force, quantity, price, equity.bar_offset, **more
        )
        self._next_id += 1
        self._open[order.order_id] = order
        return order


class World:
    """One account of the box, one run on it, and its executor, which may die and be made anew."""

    def __init__(
        self, folder: Path, box: ExchangeServer, account: str, seed: int, *,
        rules: LiveRules = RULES, timings: OrderTimings = QUICK, limits: Limits = FREE, cash: float = 50_000.0,
        strategist: Callable[..., Any] = Dice, keys: Keys | None = None,
        run: Run | None = None, open_entry: Callable[[], Any] | None = None,
    ) -> None:  # fmt: skip
        self.box, self.account, self.rules, self.timings, self.limits = box, account, rules, timings, limits
        self.log = open_log("sqlite", folder=folder / "log")
        self.latch = Latch(folder / "latches", account)
        self.run = run or Run(
            f"live-{account}-{seed}", "live", "box", "dice", {}, (BTC,), BAR_NS, cash, 10.0, 0, "x",
        )  # fmt: skip
        self.runs = [self.run]
        self._open_entry = open_entry or (lambda: entry(box, account, timings, keys))
        self.dice = strategist(self.log, self.run, seed, self.price)
        self.fate: Callable[[str], None] = lambda _: None
        self.executor: LiveExecutor | None = None
        self.link: MortalLink | None = None
        self.deaths = 0
        self.born_s = self.ready_s = 0.0
        self.reconciled_s: list[float] = []
        self._bars, self._market = self.log.writer("barmaker.box"), self.log.writer("recorder.box")
        self._ticks = 0
        self._price, self._price_s = 0.0, 0.0

    def price(self) -> float:
        """The last price at the exchange (not asked more often than needed)."""
        if time.monotonic() - self._price_s > 0.2:
            self._price = float(self.box.state()["symbols"]["BTCUSDT"]["last_price"])
            self._price_s = time.monotonic()
        return self._price

    def start(self) -> None:
        """A new executor."""
        self.born_s, self.ready_s = time.monotonic(), 0.0
        self.link = MortalLink(self._open_entry, hand_over_s=HAND_OVER_S)
        self.link.fate = self.meet
        gate = RiskGate(self.account, self.limits, [BTC])
        log: Any = MortalLog(self.log, self.meet)
        self.executor = LiveExecutor(log, self.account, self.runs, self.link, gate, self.latch, rules=self.rules)

    def meet(self, where: str) -> None:
        """Somewhere one may die."""
        self.fate(where)

    def kill(self) -> None:
        """It is gone, with all that was not in the log; what it had sent stays sent."""
        assert self.link is not None
        self.link.stop()
        self.executor = None
        self.deaths += 1

    def close(self) -> None:
        try:
            if self.executor is not None:
                self.executor.close()
        finally:
            self.log.close()

    def tick(self, price: float) -> None:
        """A recorded trade at a price of the test's choosing: what waits for a price sees it."""
        now = time.time_ns()
        self._ticks += 1
        self._market.commit({"market.box": [Trade(BTC.id, now, now, self._ticks, price, 1.0, Side.BUY)]})

    def quote(self, bid: float, ask: float) -> None:
        """A recorded quote."""
        now = time.time_ns()
        self._ticks += 1
        self._market.commit({"market.box": [Quote(BTC.id, now, now, self._ticks, bid, 1.0, ask, 1.0)]})

    def add_bar(self, price: float = 0.0) -> None:
        """A bar that ends now, at the exchange's price if no other is given."""
        now, price = time.time_ns(), price or self.price()
        self._bars.commit({"bars.box": [Bar(BTC.id, now - BAR_NS, now, price, price, price, price, 1.0)]})
        if isinstance(self.dice, Dice):
            self.tick(price * self.dice.wobble())

    def step(self) -> int:
        """One turn of everybody; a dead executor is replaced."""
        if self.executor is None:
            self.start()
        assert self.executor is not None
        try:
            count = self.executor.pump()
        except Killed:
            self.kill()
            return 1
        if not self.ready_s and self.executor._dispatcher.is_ready:
            self.ready_s = time.monotonic()
            self.reconciled_s.append(self.ready_s - self.born_s)
        return count + self.dice.pump()

    def until(self, done: Callable[[], bool], timeout_s: float = 60.0, what: str = "") -> None:
        """Turn until something is so."""
        ends_s = time.monotonic() + timeout_s
        while not done():
            assert time.monotonic() < ends_s, f"{what or 'it'} was not so within {timeout_s:g} s: {self.story()[-12:]}"
            if not self.step() and self.executor is not None:
                self.executor.wait(0.01)

    def run_bars(self, count: int) -> None:
        """So many bars, each decided on before the next."""
        for _ in range(count):
            before = self.dice.bars
            self.add_bar()
            self.until(lambda before=before: self.dice.bars > before, what="a bar's decision")  # type: ignore[misc]

    def calm(self) -> None:
        """Let everything come to rest: nothing under way, every balance agreed on."""
        self.dice.withdraw_all()
        self.run_bars(2)
        self.until(self.is_calm, what="calm")

    def is_calm(self) -> bool:
        if self.executor is None:
            return False
        account, dispatcher = self.executor._account, self.executor._dispatcher
        return (
            dispatcher.is_ready and not account.book.working and not account.state.suspects
            and not dispatcher._under_way and not dispatcher._calls and not self.dice.open_orders
        )  # fmt: skip

    # ---- what there is to see

    def events(self, stream: str) -> list[Event]:
        found: list[Event] = []
        while batch := self.log.read(stream, len(found)).events:
            found += batch
        return found

    def story(self) -> list[Event]:
        return [*self.events(f"account.{self.account}")[-20:], *self.events(self.run.executions_stream)[-20:]]

    def fills(self) -> list[Fill]:
        return [event for event in self.events(self.run.executions_stream) if isinstance(event, Fill)]

    def updates(self, order_id: int) -> list[OrderStatus]:
        found = self.events(self.run.executions_stream)
        return [event.status for event in found if isinstance(event, OrderUpdate) and event.order_id == order_id]

    def discrepancies(self) -> list[Discrepancy]:
        return [event for event in self.events(f"account.{self.account}") if isinstance(event, Discrepancy)]

    def check(self, opening: dict[str, float]) -> Counter[str]:
        """Everything agrees with the exchange: balances, positions, open orders, each trade once. Returns counts."""
        truth = self.box._call(self._truth)
        assert truth["open"] == [], truth["open"]
        fills = self.fills()
        assert [fill.fill_id for fill in fills] == list(range(1, len(fills) + 1))
        assert len(fills) == len(truth["trades"]), (len(fills), len(truth["trades"]))
        ids = [order.client_order_id for order in truth["orders"]]
        assert len(ids) == len(set(ids)), "an order exists twice"
        by_order: dict[str, float] = defaultdict(float)
        for trade, fill in zip(truth["trades"], fills, strict=True):
            assert (trade["price"], trade["side"]) == (fill.price, int(fill.side)), (trade, fill)
            by_order[trade["client_order_id"].rpartition(".")[2].partition("-a")[0]] += trade["quantity"]
            assert trade["client_order_id"].rpartition(".")[2].partition("-a")[0] == str(fill.order_id)
        assert self.executor is not None
        state = self.executor._account.state
        holdings = state.runs[self.run.run_id].holdings
        balances = truth["balances"]
        assert abs(opening["USDT"] + holdings.cash - self.run.cash - balances["USDT"]) < 1e-6
        assert abs(opening.get("BTC", 0.0) + holdings.of[BTC.id].held - balances.get("BTC", 0.0)) < 1e-9
        cash, position = self.run.cash, 0.0  # what the strategist makes of the fills
        for fill in fills:
            cash -= fill.side * fill.quantity * fill.price + fill.fee
            position += fill.side * fill.quantity
        assert abs(cash - holdings.cash) < 1e-6
        assert abs(position - holdings.of[BTC.id].told) < 1e-9
        assert -1e-12 < holdings.of[BTC.id].held - position < BTC.lot_size
        self._check_sizes(by_order)
        return Counter(orders=len(ids), trades=len(fills), deaths=self.deaths)

    def _check_sizes(self, by_order: dict[str, float]) -> None:
        """No order traded more than was ever asked for."""
        largest: dict[int, float] = {}
        for event in self.events(self.run.decisions_stream):
            if isinstance(event, Order):
                largest[event.order_id] = event.quantity
            elif isinstance(event, OrderAmend) and not math.isnan(event.quantity):
                largest[event.order_id] = max(largest[event.order_id], event.quantity)
        for name, quantity in by_order.items():
            assert quantity <= largest[int(name)] * (1 + 1e-9), (name, quantity, largest[int(name)])
        exits: dict[int, float] = defaultdict(float)
        for event in self.events(self.run.decisions_stream):
            if isinstance(event, Order) and event.parent_id:
                exits[event.parent_id] += by_order.get(str(event.order_id), 0.0)
        for entry_id, quantity in exits.items():
            assert quantity <= by_order.get(str(entry_id), 0.0) * (1 + 1e-9), "a bracket sold more than it had bought"

    def _truth(self) -> dict[str, Any]:
        """What the exchange knows of the account, read on its own thread."""
        market = self.box._running().market
        core, journal = market.core, market.journal  # type: ignore[union-attr]
        listing = market.listings["BTCUSDT"]
        orders = journal.orders(self.account, "BTCUSDT", 0, 10**6)
        names = {order.order_id: order.client_order_id for order in orders}
        trades = [
            {
                "client_order_id": names[each.order_id], "quantity": each.quantity_e8 / 1e8, "price": each.price_e8 / 1e8,
                "side": 1 if each.is_buyer else -1,
            }
            for each in journal.own_trades(self.account, "BTCUSDT", 0, None, 10**6)
        ]  # fmt: skip
        assert listing.symbol == "BTCUSDT"
        return {
            "open": [order.client_order_id for order in core.open_orders.values() if order.account == self.account],
            "orders": orders,
            "trades": trades,
            "balances": {
                asset: (free + locked) / 1e8 for asset, (free, locked) in core.accounts.balances[self.account].items()
            },
        }


@contextmanager
def world(folder: Path, box: ExchangeServer, account: str, seed: int, **more: Any) -> Iterator[World]:
    """A world that is closed at the end."""
    here = World(folder, box, account, seed, **more)
    try:
        yield here
    finally:
        here.close()
