"""Trades to bars by activity instead of time: tick, volume, dollar and imbalance bars.

Source: M. Lopez de Prado, Advances in Financial Machine Learning (2018), chapter 2. With `size` of the rule as threshold:

    tick      a bar ends with its `size`-th trade
    volume    a bar ends with the trade that brings its volume to `size` (in base units) or more
    dollar    the same for price * quantity (in quote currency)
    *_imbalance   a bar ends with the trade at which |theta| >= E[T] * |E[b x]|, where theta is the bar's sum of b x,
              b is +1 for a buy and -1 for a sell, and x is 1, the quantity or price * quantity

Rules that were chosen, where the book leaves a choice:

- A trade is never divided: it is whole in the bar that it ends, and the next bar begins from nothing.
- b is the aggressor's side where the trade has one; else the tick rule: the sign of the last change of price, 0 before the first.
- E[T] is the exponentially weighted mean of the lengths of the bars so far, with span `bars_span`; it begins as `size`.
- E[b x] is the exponentially weighted mean of b x over all trades so far, with span `size * bars_span`, taken when a bar begins.
  The first bar has no expectation: it ends with its `size`-th trade, and the mean begins as the plain one over it.
- A bar of imbalance has at least `size / limit` and at most `size * limit` trades (known remedy: without limits E[T] runs away),
  and E[T] stays within these as well.
- A bar opens at its first trade's time and closes 1 ns after its last trade's, so that it holds all of its trades. Where
  many trades have one time stamp, bars are moved on by single nanoseconds: each opens at or after the close of the one
  before it of its instrument, and no two bars of one builder close at the same time. None closes before its last trade.
- What has not ended is no bar.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from quantlytic.engine.compiler.record import Address, Record, at, layout_of, pack
from quantlytic.model.bar import BAR, Bar, bar_of, blank_bars
from quantlytic.model.errors import DataError, InputError
from quantlytic.model.time import iso
from quantlytic.model.trade import TRADE, Trade

KINDS = ("tick", "volume", "dollar", "tick_imbalance", "volume_imbalance", "dollar_imbalance")
_TICK, _VOLUME, _DOLLAR = 0, 1, 2
_IMBALANCE = 3  # kind + 3 is the imbalance of that kind

_BATCH = 1 << 16  # trades a call: bounds the buffer of bars, which has room for one a trade
BAR_BYTES, TRADE_BYTES = BAR.itemsize, TRADE.itemsize
BAR_ROW, TRADE_ROW = layout_of(BAR), layout_of(TRADE)


@dataclass(frozen=True)
class BarRule:
    """When a bar ends. `kind` is one of KINDS; `size` trades, base units or quote currency; for imbalances the expected number of
    trades of the first bar. `bars_span` (bars) and `limit` are for imbalances alone.

    Raises InputError for what is none of that.
    """

    kind: str
    size: float
    bars_span: int = 20
    limit: float = 10.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InputError(f"bars of kind {self.kind!r} are not known: there are {', '.join(KINDS)}")
        if not 0.0 < self.size < np.inf:
            raise InputError(f"bars need a size above 0, not {self.size!r}")
        counted = self.kind == "tick" or self.is_imbalance
        if counted and (self.size < 1 or self.size != int(self.size)):
            raise InputError(f"the size of {self.kind} bars is a whole number of trades, not {self.size!r}")
        if self.bars_span < 1 or not 1.0 <= self.limit < np.inf:
            raise InputError(
                f"imbalance bars need a span and a limit of 1 or more, not {self.bars_span} and {self.limit}"
            )

    @property
    def is_imbalance(self) -> bool:
        return self.kind.endswith("_imbalance")


class InfoBar(Record):
    """The bar of one instrument in the making, and what the rule expects of it."""

    def __init__(self, rule: BarRule) -> None:
        self.kind = KINDS.index(rule.kind)
        self.size = float(rule.size)
        self.bars_decay = 2.0 / (rule.bars_span + 1.0)
        self.trades_decay = 2.0 / (rule.bars_span * rule.size + 1.0) if rule.is_imbalance else 0.0
        self.least = rule.size / rule.limit
        self.most = rule.size * rule.limit
        self.ended = True  # the next trade begins a bar
        self.bars = 0
        self.first_time = 0
        self.close_time = 0
        self.open = 0.0
        self.high = 0.0
        self.low = 0.0
        self.close = 0.0
        self.volume = 0.0
        self.quote_volume = 0.0
        self.trades = 0
        self.sign = 0.0
        self.imbalance = 0.0
        self.expected_trades = float(rule.size)
        self.mean_imbalance = 0.0
        self.expected_imbalance = 0.0

    def update(self, time: int, price: float, quantity: float, side: int) -> bool:
        """Take a trade; true when it ends the bar, whose fields stay until the next trade."""
        if side != 0:
            self.sign = float(side)
        elif self.close > 0.0 and price != self.close:
            self.sign = 1.0 if price > self.close else -1.0
        if self.ended:
            self.first_time = time
            self.open = price
            self.high = price
            self.low = price
            self.volume = 0.0
            self.quote_volume = 0.0
            self.trades = 0
            self.imbalance = 0.0
            self.expected_imbalance = self.mean_imbalance
        self.high = max(self.high, price)
        self.low = min(self.low, price)
        self.close = price
        self.volume += quantity
        self.quote_volume += price * quantity
        self.trades += 1
        if self.kind >= _IMBALANCE:
            self.ended = self.is_unbalanced(price, quantity)
        elif self.kind == _TICK:
            self.ended = self.trades >= self.size
        else:
            self.ended = (self.volume if self.kind == _VOLUME else self.quote_volume) >= self.size
        if self.ended:
            self.bars += 1
        return self.ended

    def is_unbalanced(self, price: float, quantity: float) -> bool:
        """Count the last trade in; whether the imbalance is as large as expected of a whole bar."""
        amount = self.sign
        if self.kind == _IMBALANCE + _VOLUME:
            amount *= quantity
        elif self.kind == _IMBALANCE + _DOLLAR:
            amount *= price * quantity
        self.imbalance += amount
        if self.bars == 0:
            self.mean_imbalance = self.imbalance / self.trades
            return self.trades >= self.size
        self.mean_imbalance += self.trades_decay * (amount - self.mean_imbalance)
        threshold = self.expected_trades * np.abs(self.expected_imbalance)
        ended = self.trades >= self.least and (np.abs(self.imbalance) >= threshold or self.trades >= self.most)
        if ended:
            expected = self.expected_trades + self.bars_decay * (self.trades - self.expected_trades)
            self.expected_trades = min(max(expected, self.least), self.most)
        return ended


class _Clock(Record):
    def __init__(self) -> None:
        self.last_close = 0


CLOCK = layout_of(_Clock())
CLOCK_BYTES = CLOCK.size
INFO_BAR = layout_of(InfoBar(BarRule("tick", 1)))
INFO_BAR_BYTES = INFO_BAR.size


def build(states: Any, trades: Any, count: int, out: Any) -> int:
    """Take `count` trades and write the bars that they end to `out`; returns how many. All three are addresses."""
    clock = at(states, 0, CLOCK)
    ended = 0
    for k in range(count):
        trade = at(trades, k * TRADE_BYTES, TRADE_ROW)
        state = at(states, CLOCK_BYTES + trade.instrument * INFO_BAR_BYTES, INFO_BAR)
        if state.update(trade.event_time, trade.price, trade.quantity, trade.side):
            clock.last_close = max(trade.event_time, clock.last_close) + 1
            bar = at(out, ended * BAR_BYTES, BAR_ROW)
            bar.instrument = trade.instrument
            bar.open_time = max(state.first_time, state.close_time)
            bar.close_time = clock.last_close
            bar.open = state.open
            bar.high = state.high
            bar.low = state.low
            bar.close = state.close
            bar.volume = state.volume
            bar.quote_volume = state.quote_volume
            bar.trades = state.trades
            state.close_time = clock.last_close
            ended += 1
    return ended


class _Saved(msgspec.Struct, array_like=True):
    rule: tuple[str, float, int, float]
    instruments: list[str]
    last_time: int
    states: bytes


_SAVED = msgspec.msgpack.Decoder(_Saved)


class InfoBars:
    """Builds a rule's bars of several instruments, trade by trade or array by array: the same code, hence the same bars.

    `instruments` are their ids; arrays name them by their index. `compiled=False` runs in plain Python, to the same bytes.
    """

    def __init__(self, rule: BarRule, instruments: Sequence[str], *, compiled: bool = True) -> None:
        self.rule = rule
        self._names = list(instruments)
        self._index = {name: k for k, name in enumerate(self._names)}
        self._states = np.zeros(CLOCK_BYTES + len(self._names) * INFO_BAR_BYTES, np.uint8)
        each = self._states[CLOCK_BYTES:].view(INFO_BAR.dtype)
        for k in range(len(each)):
            pack(InfoBar(rule), INFO_BAR, each[k])
        self._last_time = 0
        self._compiled = compiled

    def on_trade(self, trade: Trade) -> Bar | None:
        """Take a trade; the bar that it ends, if it does. DataError as of `on_trades`, for an instrument not named as well."""
        if trade.instrument not in self._index:
            raise DataError(f"a trade of {trade.instrument}, which is none of the instruments of these bars")
        row = np.zeros(1, TRADE)
        row[0] = (self._index[trade.instrument], *msgspec.structs.astuple(trade)[1:])
        ended = self.on_trades(row)
        return bar_of(ended[0], self._names[int(ended["instrument"][0])]) if len(ended) else None

    def on_trades(self, trades: NDArray[Any]) -> NDArray[Any]:
        """Take trades (dtype TRADE, in order of time); the bars that they end, by close_time: rows of dtype BAR.

        Raises DataError for a price or quantity that is not above 0, a time before the one before it, or an unknown instrument.
        """
        self._check(trades)
        trades = np.ascontiguousarray(trades)
        found = []
        for start in range(0, len(trades), _BATCH):
            batch = trades[start : start + _BATCH]
            out = blank_bars(len(batch))
            found.append(out[: self._build(batch, out)].copy())
        return np.concatenate(found) if found else blank_bars(0)

    def save(self) -> bytes:
        """The whole state."""
        rule = (self.rule.kind, float(self.rule.size), self.rule.bars_span, float(self.rule.limit))
        return msgspec.msgpack.encode(_Saved(rule, self._names, self._last_time, self._states.tobytes()))

    def restore(self, state: bytes) -> None:
        """Go on from `save`. InputError when it was saved by a builder of another rule or instruments, or is damaged."""
        try:
            saved = _SAVED.decode(state)
        except msgspec.DecodeError as error:
            raise InputError(f"the bar builder's saved state cannot be read: {error}") from None
        rule = (self.rule.kind, float(self.rule.size), self.rule.bars_span, float(self.rule.limit))
        if (saved.rule, saved.instruments, len(saved.states)) != (rule, self._names, len(self._states)):
            raise InputError(f"the saved state is of {saved.rule[0]} bars of {saved.rule[1]:g}: not of these bars")
        self._states = np.frombuffer(saved.states, np.uint8).copy()
        self._last_time = saved.last_time

    def _build(self, trades: NDArray[Any], out: NDArray[Any]) -> int:
        if self._compiled:
            return int(_compiled_build()(self._states.ctypes.data, trades.ctypes.data, len(trades), out.ctypes.data))
        source, target = trades.view(np.uint8).reshape(-1), out.view(np.uint8).reshape(-1)
        return build(Address(self._states), Address(source), len(trades), Address(target))

    def _check(self, trades: NDArray[Any]) -> None:
        if trades.dtype != TRADE:
            raise DataError("trades are an array of dtype TRADE")
        if not len(trades):
            return
        bad = ~((trades["price"] > 0) & (trades["quantity"] > 0))
        bad |= ~(np.isfinite(trades["price"]) & np.isfinite(trades["quantity"]))
        _refuse(bad, trades, "has a price or a quantity that is not a number above 0")
        back = np.diff(trades["event_time"], prepend=self._last_time) < 0
        _refuse(back, trades, "is earlier than the one before it")
        _refuse(
            (trades["instrument"] < 0) | (trades["instrument"] >= len(self._names)), trades, "is of no instrument here"
        )
        self._last_time = int(trades["event_time"][-1])


def bars_from_trades(
    trades: NDArray[Any], rule: BarRule, instruments: int = 1, *, compiled: bool = True
) -> NDArray[Any]:
    """The bars of all trades (dtype TRADE) at once, by close_time: rows of dtype BAR. Errors as of `InfoBars.on_trades`."""
    return InfoBars(rule, [str(k) for k in range(instruments)], compiled=compiled).on_trades(trades)


def _refuse(bad: NDArray[np.bool_], trades: NDArray[Any], what: str) -> None:
    if bad.any():
        row = int(np.argmax(bad))
        raise DataError(f"trade {row} at {iso(int(trades['event_time'][row]))} {what}")


_built: list[Any] = []


def _compiled_build() -> Any:
    if not _built:
        from numba import intp

        from quantlytic.engine.compiler.jit import compile_function

        _built.append(compile_function(build, intp(intp, intp, intp, intp)))
    return _built[0]
