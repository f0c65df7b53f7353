"""Bars and strategies that the engine's tests share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlytic import Bars, Instrument, Session, Side, Strategy, TimeInForce, param
from quantlytic.indicators import ATR, EMA, RSI, SMA
from quantlytic.model.bar import blank_bars

MINUTE_NS = 60_000_000_000
BTC = Instrument("test:BTCUSDT", "BTC", "USDT")


def workload_bars(n: int, seed: int = 7) -> Bars:
    """The peers' workload A: geometric Brownian motion, one-minute bars with four steps each, prices to the cent."""
    r = np.random.default_rng(seed)
    s = 0.6 / np.sqrt(365 * 24 * 60)
    z = r.standard_normal((n, 4)) * s / 2 - (s / 2) ** 2 / 2
    p = 30000 * np.exp(np.cumsum(z.ravel())).reshape(n, 4)
    o = np.empty(n)
    o[0] = 30000.0
    o[1:] = p[:-1, 3]
    o = o * np.exp(r.standard_normal(n) * s * 0.05)
    c, h, low = p[:, 3], np.maximum(o, p.max(1)), np.minimum(o, p.min(1))
    v = r.lognormal(1.0, 1.0, n)
    o, h, low, c = (np.round(x, 2) for x in (o, h, low, c))
    v = np.maximum(np.round(v, 3), 0.001)
    t = 1_577_836_800_000_000_000 + np.arange(n, dtype="i8") * MINUTE_NS
    return Bars.of(BTC, open_time=t, close_time=t + MINUTE_NS, open=o, high=h, low=low, close=c, volume=v)


def rows(*bars: tuple[float, float, float, float], instrument: int = 0, start: int = 0) -> NDArray[Any]:
    """Bars from (open, high, low, close), a minute each."""
    array = blank_bars(len(bars))
    for k, (o, h, low, c) in enumerate(bars):
        times = (start + k) * MINUTE_NS, (start + k + 1) * MINUTE_NS
        array[k] = (instrument, *times, o, h, low, c, 1.0, 0.0, 0, np.nan)
    return array


def same_rows(one: NDArray[Any], other: NDArray[Any]) -> bool:
    """Whether rows of one dtype are equal, NaN being NaN."""
    names = one.dtype.names or ()
    return one.dtype == other.dtype and all(
        np.array_equal(one[n], other[n], equal_nan=one.dtype[n].kind == "f") for n in names
    )


def random_bars(seed: int, n: int, instruments: int) -> NDArray[Any]:
    """Wild bars of several instruments, some missing, in (close_time, instrument) order."""
    r = np.random.default_rng(seed)
    found = []
    last = r.uniform(50, 150, instruments)
    for minute in range(n):
        for k in range(instruments):
            if r.random() < 0.2:
                continue
            o = last[k] * np.exp(r.normal(0, 0.01))
            c = o * np.exp(r.normal(0, 0.02))
            h, low = max(o, c) * np.exp(abs(r.normal(0, 0.01))), min(o, c) * np.exp(-abs(r.normal(0, 0.01)))
            last[k] = c
            found.append(rows((o, h, low, c), instrument=k, start=minute))
    return np.concatenate(found) if found else blank_bars(0)


def results(session: Session) -> dict[str, bytes]:
    """Everything that a run brought forth, as bytes."""
    logs = {name: getattr(session, name) for name in ("fills", "orders", "signals", "updates", "cancels", "amends")}
    packed = {name: b"".join(rows[field].tobytes() for field in rows.dtype.names) for name, rows in logs.items()}
    return {"equity": session.equity.tobytes(), **packed}


def instruments_of(count: int, lots: Sequence[float] = ()) -> list[Instrument]:
    sizes = [*lots, *[0.0] * count]
    return [
        Instrument(f"test:S{k}", lot_size=sizes[k], tick_size=sizes[k], min_notional=sizes[k] * 50)
        for k in range(count)
    ]


class Chaos(Strategy):
    """Sends a little of everything, on a pseudo-random schedule of its own; also wrong orders, and too many of them."""

    seed: int = param(1, low=1, high=1_000_000)
    weight: float = param(0.5, low=-1.0, high=1.0)
    span: int = param(5, low=2, high=20)

    def setup(self) -> None:
        self.random = int(self.seed)
        self.last_order = 0
        self.filled = 0.0
        self.average = SMA(self.span)
        self.smooth = EMA(self.span)
        self.strength = RSI(self.span)
        self.range = ATR(self.span)

    def draw(self, below: int) -> int:
        self.random = (self.random * 1_103_515_245 + 12_345) % 2_147_483_648
        return (self.random // 65_536) % below

    def on_fill(self, fill: Any, broker: Any) -> None:
        self.filled += fill.side * fill.quantity
        if self.draw(4) == 0:
            broker.limit(-fill.side, fill.quantity, fill.price * (1.0 + 0.01 * fill.side))

    def on_bar(self, bar: Any, broker: Any) -> None:
        level = self.average.update(bar.close) + self.smooth.update(bar.close) - self.smooth.value
        self.strength.update(bar.close)
        reach = self.range.update(bar.high, bar.low, bar.close)
        kind = self.draw(16)
        side = Side.BUY if self.draw(2) == 0 else Side.SELL
        size = (1 + self.draw(50)) * 0.37
        offset = (self.draw(200) - 100) * 0.0002
        if not self.range.ready:
            return
        if kind == 0:
            broker.target_weight(self.weight)
        elif kind == 1:
            broker.target_quantity(size * (1 if broker.position <= 0 else -1))
        elif kind == 2:
            broker.close()
        elif kind in (3, 4):
            broker.buy(size)
        elif kind in (5, 6):
            broker.sell(size)
        elif kind in (7, 8, 9):
            self.last_order = broker.limit(side, size, bar.close * (1.0 + offset))
        elif kind == 10:
            broker.limit(side, size, level, TimeInForce.IOC)
        elif kind == 11:
            broker.limit(side, size, bar.close + reach * side, TimeInForce.FOK)
        elif kind == 12:
            if not broker.cancel(self.last_order):
                broker.cancel_all()
        elif kind == 13:
            broker.buy(-size)
            broker.limit(side, size, bar.close - bar.close)
        elif kind == 14:
            for _ in range(5):
                broker.limit(side, size, bar.close * 0.9)
        elif self.strength.value > 50.0:
            broker.target_weight(broker.cash / broker.equity * 0.5)
            if broker.open_orders > 3:
                broker.cancel_all()
