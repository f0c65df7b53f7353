"""What the loops call when a strategy stays Python: handlers with bars, trades and so on as tuples, and the broker."""

from __future__ import annotations

import ctypes
import struct
from collections import namedtuple
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlytic.engine.account.broker import BROKER
from quantlytic.engine.compiler.record import Address, Bytes, Layout
from quantlytic.engine.data.slice import SLICE, SLICE_BYTES
from quantlytic.engine.matching.orderbook import BOOK
from quantlytic.engine.plain import Cast, PythonStrategy
from quantlytic.engine.run import machine
from quantlytic.engine.run.desk import BARS, DESK
from quantlytic.engine.run.loop import ON_BAR, ON_BOOK, ON_FILL, ON_QUOTE, ON_SLICE, ON_TIMER, ON_TRADE
from quantlytic.engine.run.plainbroker import PlainBroker
from quantlytic.engine.run.tapeloop import COUNT, KIND
from quantlytic.model.bar import BAR
from quantlytic.model.errors import InputError
from quantlytic.model.fill import FILL
from quantlytic.model.quote import QUOTE
from quantlytic.model.trade import TRADE

Array = NDArray[Any]
_KINDS = {
    ON_BAR: "on_bar", ON_FILL: "on_fill", ON_TRADE: "on_trade", ON_QUOTE: "on_quote", ON_BOOK: "on_book",
    ON_SLICE: "on_slice", ON_TIMER: "on_timer",
}  # fmt: skip
_AHEAD = 4_096


class _Rows:
    """Rows of one dtype as named tuples."""

    def __init__(self, name: str, dtype: np.dtype[Any]) -> None:
        assert dtype.names is not None
        self.dtype, self.size = dtype, dtype.itemsize
        self.make = partial(tuple.__new__, namedtuple(name, dtype.names))
        form, end = "=", 0
        for field in dtype.names:
            kind, offset = dtype.fields[field][:2]  # type: ignore[index]
            form += (
                f"{offset - end}x" + {"i8": "q", "i4": "i", "i2": "h", "i1": "b", "f8": "d", "b1": "?"}[kind.str[1:]]
            )
            end = offset + kind.itemsize
        self._codec = struct.Struct(form)

    def at(self, event: Any) -> Any:
        """The row at an address."""
        if isinstance(event, Address):
            return self.make(self._codec.unpack_from(event.buffer.data, event.offset))
        return self.make(self._codec.unpack_from(ctypes.string_at(event, self.size)))

    def all(self, rows: Array, first: int) -> Iterator[Any]:
        """Rows from `first` on, made some thousands at a time."""
        return map(
            self.make, chain.from_iterable(self._block(rows[k : k + _AHEAD]) for k in range(first, len(rows), _AHEAD))
        )

    def _block(self, rows: Array) -> Any:
        return zip(*(rows[name].tolist() for name in self.dtype.names or ()), strict=True)


_BAR, _FILL, _TRADE, _QUOTE = _Rows("Bar", BAR), _Rows("Fill", FILL), _Rows("Trade", TRADE), _Rows("Quote", QUOTE)


class PlainSlice:
    """What `quantlytic.engine.data.slice.Slice` is to compiled strategies; `bars` has all instruments' last bars."""

    __slots__ = ("bars", "count", "instruments", "time")

    def __init__(self, event: Any) -> None:
        size = SLICE.size
        head = _array(event, size).view(SLICE.dtype)[0]
        self.time, self.instruments, self.count = int(head["time"]), int(head["instruments"]), int(head["count"])
        rows = _array(event, SLICE_BYTES + self.instruments * BAR.itemsize)[SLICE_BYTES:].view(BAR)
        self.bars = list(_BAR.all(rows, 0))

    def bar(self, instrument: int) -> Any:
        """The instrument's last bar; prices NaN before its first."""
        if not 0 <= instrument < self.instruments:
            raise IndexError("slice: no such instrument")
        return self.bars[instrument]

    def has(self, instrument: int) -> bool:
        """Whether the instrument has a bar that closed now."""
        return bool(self.bar(instrument).close_time == self.time)

    def open(self, instrument: int) -> float:
        return float(self.bar(instrument).open)

    def high(self, instrument: int) -> float:
        return float(self.bar(instrument).high)

    def low(self, instrument: int) -> float:
        return float(self.bar(instrument).low)

    def close(self, instrument: int) -> float:
        return float(self.bar(instrument).close)

    def volume(self, instrument: int) -> float:
        return float(self.bar(instrument).volume)

    def forecast(self, instrument: int) -> float:
        return float(self.bar(instrument).forecast)


class Stage:
    """Puts a cast on an arena."""

    def __init__(self, cast: Cast, arena: Bytes, layout: Layout, compiled: bool) -> None:
        view: Any = BROKER.view(arena)
        account = view.account
        self._players, self._compiled = cast.players, compiled
        self._rows: Iterator[Any] | None = None
        self._begun = False
        self.broker: Any = PlainBroker(arena, int(account.positions_at), int(account.instruments)) if compiled else view
        self._states_at, self._state_bytes = int(account.states_at), int(account.state_bytes)
        handlers = type(cast.players[0]).handlers()
        self._table = [
            {kind: self._callable(kind, player) for kind, name in _KINDS.items() if name in handlers}
            for player in cast.players
        ]
        if compiled:
            for k, row in enumerate(self._table):
                start = self._states_at + k * self._state_bytes
                numbers = arena[start : start + layout.size].view(layout.dtype)["callables"][0]
                for kind, function in row.items():
                    numbers[kind] = id(function)

    def machine(self) -> machine.Machine:
        """The loops, which call the cast."""
        if self._compiled:
            from quantlytic.engine.compiler.plainlink import step_address

            step: Any = step_address()
        else:
            step = self._step
        plain = machine.functions(self._compiled, step)
        return replace(
            plain,
            run=partial(self._run, plain.run),
            run_tape=partial(self._run_tape, plain.run_tape),
        )

    # ---- the passes ----

    def _run(self, run: Callable[..., int], arena: Any, bars: Any, first: int, count: int, *rest: Any) -> int:
        rows = _array(bars, count * BAR.itemsize).view(BAR)
        if first == 0:
            self._begin([rows])
        self._rows = _BAR.all(rows, first)
        self._next = self._rows.__next__
        try:
            return run(arena, bars, first, count, *rest)
        finally:
            self._rows = None

    def _run_tape(self, run: Callable[..., bool], arena: Any, table: Any, bases: Any, heads: Array, *rest: Any) -> bool:
        inputs = [
            _array(base, int(head[COUNT]) * BAR.itemsize).view(BAR)
            for base, head in zip(bases, heads, strict=True)
            if head[KIND] == BARS
        ]
        if not heads[:, 2].any():
            self._begin(inputs)
        return run(arena, table, bases, heads, *rest)

    def _begin(self, inputs: list[Array]) -> None:
        """Fill the columns."""
        for k, player in enumerate(self._players):
            columns = vars(player).get("_columns", ())
            if not columns:
                continue
            name = type(player).__name__
            if self._begun:
                raise InputError(f"{name} has columns, which need all bars at once: run it in one piece")
            if len(inputs) != 1 or self._state_bytes == 0:
                raise InputError(f"{name} has columns: they are for on_bar, over bars of one size")
            rows = inputs[0]
            own = rows[rows["instrument"] == k]
            for column in columns:
                column.fill(own, name)
        self._begun = True

    # ---- the calls ----

    def _step(self, kind: int, state: Any, event: Any, _broker: Any) -> None:
        number = (state.offset - self._states_at) // self._state_bytes if self._state_bytes else 0
        function = self._table[number].get(kind)
        if function is not None:
            function(event)

    def _callable(self, kind: int, player: PythonStrategy) -> Callable[[Any], None]:
        handler, broker = getattr(player, _KINDS[kind]), self.broker
        if kind == ON_BAR:
            return self._on_bar(handler, tuple(vars(player).get("_columns", ())))
        if kind == ON_TIMER:
            start = DESK.dtype.fields["timer"][1]  # type: ignore[index]
            size = start + 8
            return lambda event: handler(int(_array(event, size)[start:].view(np.int64)[0]), broker)
        if kind == ON_SLICE:
            return lambda event: handler(PlainSlice(event), broker)
        if kind == ON_BOOK:
            return lambda event: handler(_book(event), broker)
        read = {ON_FILL: _FILL, ON_TRADE: _TRADE, ON_QUOTE: _QUOTE}[kind].at
        return lambda event: handler(read(event), broker)

    def _on_bar(self, handler: Callable[[Any, Any], None], columns: tuple[Any, ...]) -> Callable[[Any], None]:
        broker, read = self.broker, _BAR.at
        steps = [column.step for column in columns]

        def on_bar(event: Any) -> None:
            bar = read(event) if self._rows is None else self._next()
            for step in steps:
                step()
            handler(bar, broker)

        return on_bar


def _array(base: Any, size: int) -> Bytes:
    """The bytes at an address."""
    if isinstance(base, Address):
        return base.buffer[base.offset : base.offset + size]
    memory: Any = (ctypes.c_uint8 * size).from_address(int(base)) if size else b""
    return np.frombuffer(memory, np.uint8)


def _book(event: Any) -> Any:
    """The book at an address, with its levels behind it."""
    if isinstance(event, Address):
        return BOOK.view(event.buffer, event.offset)
    from quantlytic.engine.matching.orderbook import PRICE_LEVEL_BYTES

    depth = int(_array(event, BOOK.size).view(BOOK.dtype)["depth"][0])
    return BOOK.view(_array(event, BOOK.size + 2 * depth * PRICE_LEVEL_BYTES))
