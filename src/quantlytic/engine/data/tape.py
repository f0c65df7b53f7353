"""Several inputs that a session takes at once, in event-time order."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlytic.engine.data.bars import Bars
from quantlytic.engine.matching.orderbook import LEVEL
from quantlytic.engine.run.desk import ACTIONS, BARS, BOOKS, NEVER, QUOTES, TRADES
from quantlytic.model.action import ACTION
from quantlytic.model.bar import BAR
from quantlytic.model.errors import InputError
from quantlytic.model.instrument import Instrument
from quantlytic.model.quote import QUOTE
from quantlytic.model.trade import TRADE

DTYPES = {ACTIONS: ACTION, BOOKS: LEVEL, QUOTES: QUOTE, TRADES: TRADE, BARS: BAR}
WORDS = {ACTIONS: "actions", BOOKS: "book", QUOTES: "quotes", TRADES: "trades", BARS: "bars"}


@dataclass(frozen=True)
class Ticks:
    """Rows of one kind (dtype TRADE, QUOTE, LEVEL or ACTION), in time order; `instruments[row["instrument"]]` is a row's
    instrument. `label` says where they came from."""

    array: NDArray[Any]
    instruments: tuple[Instrument, ...]
    label: str = ""

    def __len__(self) -> int:
        return len(self.array)


Input = Bars | Ticks


class Tape:
    """Bars, trades, quotes, order books and actions of any instruments, as one stream.

        Tape(bars=[minutes, hours], actions=splits)
        Tape(trades=trades, quotes=quotes)

    Each argument is one input or a sequence of them. Several sizes of bars are given **finest first**: an instrument's orders
    are matched, its position is valued and equity is told by the first of `bars` that names it; larger ones only call
    `on_bar`. Where there are ticks, bars match nothing: orders meet the book, else quotes, else trades.

    At one time come actions first, then book changes, quotes, trades, bars; each kind in the order in which it is given.
    `instruments` are those of all inputs, in order of appearance (or as given, to have them in an order of one's own).
    """

    def __init__(
        self,
        *,
        bars: Bars | Sequence[Bars] = (),
        trades: Ticks | Sequence[Ticks] = (),
        quotes: Ticks | Sequence[Ticks] = (),
        book: Ticks | Sequence[Ticks] = (),
        actions: Ticks | Sequence[Ticks] = (),
        instruments: Sequence[Instrument] = (),
    ) -> None:
        given = {ACTIONS: actions, BOOKS: book, QUOTES: quotes, TRADES: trades, BARS: bars}
        inputs: list[tuple[int, Input]] = []
        for kind, found in given.items():
            inputs += [(kind, one) for one in ([found] if isinstance(found, Bars | Ticks) else found)]
        self.kinds = tuple(kind for kind, _ in inputs)
        """What each input holds."""
        for kind, one in inputs:
            _check_kind(kind, one)
        self.instruments = _union(instruments, (one.instruments for _, one in inputs))
        index = {one.id: k for k, one in enumerate(self.instruments)}
        self.members = tuple(tuple(index[one.id] for one in part.instruments) for _, part in inputs)
        """The indices of the instruments that each input speaks of."""
        self.arrays = tuple(_renumbered(part.array, who) for (_, part), who in zip(inputs, self.members, strict=True))
        self.labels = tuple(part.label or WORDS[kind] for kind, part in inputs)

    def __len__(self) -> int:
        return sum(len(array) for array in self.arrays)

    def heads(self) -> NDArray[np.int64]:
        """The inputs as the compiled loop wants them told: kind, rows, rows taken, bytes a row, where in it its time is."""
        found = np.zeros((len(self.kinds), 5), np.int64)
        for k, (kind, array) in enumerate(zip(self.kinds, self.arrays, strict=True)):
            fields = DTYPES[kind].fields
            assert fields is not None
            found[k] = kind, len(array), 0, array.itemsize, fields[time_field(kind)][1]
        return found

    @property
    def end(self) -> int:
        """The first moment after the last row; NEVER where there is no row."""
        ends = [array[time_field(kind)][-1] for kind, array in zip(self.kinds, self.arrays, strict=True) if len(array)]
        return int(max(ends)) + 1 if ends else NEVER

    def split(self) -> tuple[Tape, Tape]:
        """What lies before the tape's last time, and what is of that time."""
        last = self.end - 1
        cuts = [
            int(np.searchsorted(array[time_field(kind)], last, "left")) if len(array) else 0
            for kind, array in zip(self.kinds, self.arrays, strict=True)
        ]
        return (
            self._with(array[:cut] for array, cut in zip(self.arrays, cuts, strict=True)),
            self._with(array[cut:] for array, cut in zip(self.arrays, cuts, strict=True)),
        )

    def after(self, before: Tape) -> Tape:
        """This tape with the rows of another of the same inputs put before its own."""
        if (self.kinds, self.members) != (before.kinds, before.members):
            raise InputError("the chunks have different inputs: give each the same ones, in the same order")
        pairs = zip(before.arrays, self.arrays, strict=True)
        return self._with(np.concatenate(pair) if len(pair[0]) else pair[1] for pair in pairs)

    @property
    def blank(self) -> Tape:
        """The same inputs without any rows."""
        return self._with(array[:0] for array in self.arrays)

    def _with(self, arrays: Iterable[NDArray[Any]]) -> Tape:
        other = copy.copy(self)
        other.arrays = tuple(arrays)
        return other

    @property
    def sources(self) -> tuple[int, ...]:
        """For each instrument the kind of input that matches its orders and values it: the first there is, bars last."""
        return tuple(
            min((kind for kind, who in self._inputs if k in who and kind != ACTIONS), default=BARS)
            for k in range(len(self.instruments))
        )

    @property
    def finest(self) -> tuple[int, ...]:
        """For each instrument the input that holds its finest bars; -1: none does."""
        return tuple(
            next((n for n, (kind, who) in enumerate(self._inputs) if kind == BARS and k in who), -1)
            for k in range(len(self.instruments))
        )

    @property
    def _inputs(self) -> list[tuple[int, tuple[int, ...]]]:
        return list(zip(self.kinds, self.members, strict=True))


def time_field(kind: int) -> str:
    """The field that says when a row's event happened."""
    return "close_time" if kind == BARS else "event_time"


def _check_kind(kind: int, one: Input) -> None:
    if one.array.dtype != DTYPES[kind]:
        names = ", ".join(DTYPES[kind].names or ())
        raise InputError(f"{WORDS[kind]}: {one.label or 'rows'} of another kind were given: wanted the fields {names}")


def _union(first: Sequence[Instrument], rest: Iterable[Sequence[Instrument]]) -> tuple[Instrument, ...]:
    found: dict[str, Instrument] = {}
    for part in (first, *rest):
        for one in part:
            if found.setdefault(one.id, one) != one:
                raise InputError(
                    f"{one.id} is there twice with different rules (tick size, lot size, minimum notional)"
                )
    return tuple(found.values())


def _renumbered(array: NDArray[Any], who: tuple[int, ...]) -> NDArray[Any]:
    """The rows with the tape's own instrument numbers; the array itself where they are the same."""
    if who == tuple(range(len(who))):
        return np.ascontiguousarray(array)
    index = array["instrument"]
    if len(array) and not (index.min() >= 0 and index.max() < len(who)):
        raise InputError(
            f"a row names instrument {int(index[(index < 0) | (index >= len(who))][0])}: there are {len(who)}"
        )
    renumbered = array.copy()
    renumbered["instrument"] = np.array(who, "i4")[index] if len(who) else index
    return renumbered
