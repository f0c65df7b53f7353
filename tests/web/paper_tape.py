"""A made-up but consistent paper run, written to a log: a seeded market, bars, an SMA cross, its orders, fills and mails."""

from __future__ import annotations

import math
import random
from collections import deque
from email.message import EmailMessage
from email.utils import formatdate
from pathlib import Path

from quantlytic.model.bar import Bar
from quantlytic.model.book import BookDelta
from quantlytic.model.delivery import Delivery
from quantlytic.model.equity import Decided, Equity
from quantlytic.model.event import Event
from quantlytic.model.fill import Fill
from quantlytic.model.instrument import Instrument
from quantlytic.model.order import Order, OrderStatus, OrderType, OrderUpdate, TimeInForce
from quantlytic.model.quote import Quote
from quantlytic.model.run import Run
from quantlytic.model.side import Side
from quantlytic.model.signal import Signal
from quantlytic.model.time import NS_PER_MS, NS_PER_S
from quantlytic.model.trade import Trade
from quantlytic.store.log.port import Log

STARTS = {"box:BTCUSDT": 64_000.0, "box:ETHUSDT": 3_100.0}


class PaperTape:
    """Advances the market by whole seconds. Each instrument is traded on its own: long or flat, half the cash."""

    FAST, SLOW, CASH, FEE = 4, 12, 100_000.0, 0.001

    def __init__(self, log: Log, outbox: Path, run_id: str = "paper-1", seed: int = 7) -> None:
        self.run_id = run_id
        self._random = random.Random(seed)
        self._log, self._outbox = log, outbox
        self._recorder, self._barmaker = log.writer("recorder.box"), log.writer("barmaker.box")
        self._strategist, self._executor = log.writer(f"strategist.{run_id}"), log.writer(f"executor.{run_id}")
        self._notifier = log.writer(f"notifier.{run_id}")
        self._prices = dict(STARTS)
        self._drift = dict.fromkeys(STARTS, 0.0)
        self._closes = {name: deque[float](maxlen=self.SLOW) for name in STARTS}
        self._held = dict.fromkeys(STARTS, 0.0)
        self._marks: dict[str, float] = {}
        self._waiting: dict[str, Order] = {}
        self._cash = self.CASH
        self._ids = {"trade": 0, "order": 0, "fill": 0, "signal": 0, "quote": 0}

    @property
    def run(self) -> Run:
        """What the control store would say of it."""
        instruments = tuple(Instrument(name) for name in STARTS)
        params = {"fast": float(self.FAST), "slow": float(self.SLOW)}
        return Run(self.run_id, "paper", "box", "sma-cross", params, instruments, NS_PER_S, self.CASH, 10.0, 0, "")

    @property
    def equity(self) -> float:
        """The account, marked at the last closes: what the last Equity on the tape says."""
        return self._cash + sum(held * self._marks.get(name, 0.0) for name, held in self._held.items())

    @property
    def signals(self) -> int:
        """How many signals, and mails, there are on the tape."""
        return self._ids["signal"]

    def market(self, event_time: int, count: int) -> list[Trade]:
        """Write `count` market messages of about one moment, a third of them trades; returns the trades."""
        events: list[Event] = []
        trades: list[Trade] = []
        for i in range(count):
            name = self._random.choice(list(STARTS))
            time = event_time + i * 1000
            received = time + int(self._random.lognormvariate(0, 0.6) * NS_PER_MS)
            self._drift[name] = 0.997 * self._drift[name] + self._random.gauss(0, 4e-6)
            price = self._prices[name] * (1 + self._drift[name] / 20 + self._random.gauss(0, 2.5e-5))
            price = self._prices[name] = round(price, 2)
            if i % 3 == 0:
                side = self._random.choice((Side.BUY, Side.SELL))
                quantity = round(self._random.lognormvariate(-3, 1), 5)
                trades.append(Trade(name, time, received, self._next("trade"), price, quantity, side))
                events.append(trades[-1])
            elif i % 3 == 1:
                events.append(Quote(name, time, received, self._next("quote"), price - 0.01, 1.0, price + 0.01, 1.0))
            else:
                number = self._next("quote")
                events.append(BookDelta(name, time, received, number, number, (price - 0.02,), (1.5,), (), ()))
        self._recorder.commit({"market.box": events})
        return trades

    def close_bars(self, open_time: int, trades: list[Trade], size_ns: int = NS_PER_S) -> None:
        """Close the bars of these trades and let the strategy and the executor act on them."""
        for name in STARTS:
            mine = [trade for trade in trades if trade.instrument == name]
            if mine:
                prices, volume = [trade.price for trade in mine], sum(trade.quantity for trade in mine)
                bar = Bar(
                    name, open_time, open_time + size_ns, prices[0], max(prices), min(prices), prices[-1],
                    volume, volume * prices[-1], len(mine),
                )  # fmt: skip
                offset = self._barmaker.commit({"bars.box": [bar]})["bars.box"][0]
                self._executor.commit({f"executions.{self.run_id}": self._execute(bar, offset)})
                decided = self._decide(bar, offset)
                self._strategist.commit({f"decisions.{self.run_id}": decided})
                for signal in decided:
                    if isinstance(signal, Signal):
                        self._mail(signal)

    def history(self, end_time: int, bars: int, per_bar: int = 30) -> None:
        """The last `bars` seconds before `end_time`."""
        for k in range(bars, 0, -1):
            start = end_time - end_time % NS_PER_S - k * NS_PER_S
            self.close_bars(start, self.market(start, per_bar))

    def close(self) -> None:
        for writer in (self._recorder, self._barmaker, self._strategist, self._executor, self._notifier):
            writer.close()

    def _execute(self, bar: Bar, offset: int) -> list[Event]:
        events: list[Event] = []
        order = self._waiting.pop(bar.instrument, None)
        if order is not None:
            fee = order.quantity * bar.open * self.FEE
            self._cash -= order.side * order.quantity * bar.open + fee
            self._held[bar.instrument] += order.side * order.quantity
            if abs(self._held[bar.instrument]) < 1e-12:
                self._held[bar.instrument] = 0.0
            where = (self.run_id, order.order_id, bar.instrument, bar.open_time)
            events.append(OrderUpdate(*where, OrderStatus.FILLED))
            events.append(
                Fill(self.run_id, self._next("fill"), order.order_id, bar.instrument, bar.open_time, order.side,
                     order.quantity, bar.open, fee, offset)
            )  # fmt: skip
        self._marks[bar.instrument] = bar.close
        held = self._held[bar.instrument]
        events.append(
            Equity(self.run_id, bar.instrument, bar.close_time, self.equity, self._cash, held, bar.close, offset)
        )
        return events

    def _decide(self, bar: Bar, offset: int) -> list[Event]:
        closes, name, events = self._closes[bar.instrument], bar.instrument, list[Event]()
        closes.append(bar.close)
        if len(closes) == self.SLOW and name not in self._waiting:
            fast = math.fsum(list(closes)[-self.FAST :]) / self.FAST
            slow = math.fsum(closes) / self.SLOW
            held = self._held[name]
            side = Side.BUY if fast > slow and not held else Side.SELL if fast < slow and held else None
            if side is not None:
                quantity = held or round(0.49 * self._cash / bar.close, 4)
                target = quantity if side is Side.BUY else 0.0
                where = (name, bar.close_time, side)
                events.append(Signal(self.run_id, self._next("signal"), *where, target, bar.close, offset))
                order = Order(
                    self.run_id,
                    self._next("order"),
                    *where,
                    OrderType.MARKET,
                    TimeInForce.GTC,
                    quantity,
                    math.nan,
                    offset,
                )
                events.append(order)
                self._waiting[name] = order
        events.append(Decided(self.run_id, offset))
        return events

    def _mail(self, signal: Signal) -> None:
        message_id = f"{self.run_id}-{signal.signal_id:06d}"
        subject = f"{signal.side.name} {signal.instrument[4:]} at {signal.price:,.2f} (sma-cross, paper)"
        mail = EmailMessage()
        mail["Subject"], mail["From"], mail["To"] = subject, "quantlytic@localhost", "you@localhost"
        mail["Date"], mail["Message-ID"] = formatdate(signal.event_time / NS_PER_S), f"<{message_id}@quantlytic>"
        mail.set_content(f"sma-cross says {signal.side.name.lower()}.\nThis is paper trading: no real order is sent.\n")
        mail.add_alternative(f"<h1 style='color:teal'>{subject}</h1><script>parent.hacked=1</script>", subtype="html")
        self._outbox.mkdir(exist_ok=True)
        (self._outbox / f"{signal.event_time:020d}-{message_id}.eml").write_bytes(mail.as_bytes())
        told = Delivery(self.run_id, message_id, "outbox", "you@localhost", signal.event_time, subject)
        self._notifier.commit({"deliveries": [told]})

    def _next(self, kind: str) -> int:
        self._ids[kind] += 1
        return self._ids[kind]
