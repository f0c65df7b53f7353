"""Features a bar at a time: the same machine code as over a table, on one row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from quantlytic.learn.features.across import Board
from quantlytic.learn.features.lane import EVENTS, Lane
from quantlytic.learn.features.nodes import FIELDS, Graph
from quantlytic.model.bar import BAR, Bar
from quantlytic.model.errors import DataError, InputError
from quantlytic.model.instrument import Instrument
from quantlytic.model.quote import Quote
from quantlytic.model.time import iso
from quantlytic.model.trade import Trade

_NEVER = -(2**62)
_OPENED, _CLOSED, _FIRST = ((BAR.names or ()).index(name) for name in ("open_time", "close_time", FIELDS[0]))


class _Saved(msgspec.Struct, array_like=True):
    """What `save` writes."""

    code_hash: str
    states: list[bytes]
    opened: list[int]
    closed: list[int]
    times: bytes
    values: bytes
    waiting: list[tuple[int, str, bytes]]


class LiveFeatures:
    """Bars of all instruments are given to `update` in order of time. Trades and quotes, for features that read them, are given
    when they come; they count towards the bar in whose time they are, so those of the next bar may come before this one."""

    def __init__(
        self,
        graph: Graph,
        instruments: Sequence[Instrument],
        names: tuple[str, ...],
        size_ns: int,
        age_ns: int,
        code_hash: str,
        compiled: bool,
    ) -> None:
        self.names, self.code_hash = names, code_hash
        self._graph, self._size, self._age = graph, size_ns, age_ns
        self._ids = {one.id: k for k, one in enumerate(instruments)}
        self._labels = list(self._ids)
        self._lanes = [_lane(graph, compiled) for _ in instruments]
        self._waiting = [{word: _Waiting(EVENTS[word]) for word in graph.events} for _ in instruments]
        self._opened, self._closed = [_NEVER] * len(instruments), [_NEVER] * len(instruments)
        self._board = Board(len(instruments), len(graph.nodes)) if graph.seen else None
        self._visible = np.array(graph.visible)
        self._all = graph.visible == tuple(range(len(graph.nodes)))

    def update(self, bar: np.void | Bar) -> NDArray[np.float64]:
        """Take a closed bar: a row of BAR (`instrument` is the set's index), or the event. Returns its features, f8[features];
        the next bar of this instrument may overwrite them. NaN until ready.

        Raises DataError for a bar that is not after the last one of its instrument, InputError for an unknown instrument. After
        whatever a feature raised, those of that instrument begin anew, as after a hole: some have missed the bar.
        """
        index = self._index(bar)
        lane = self._lanes[index]
        row = lane.bars[0]
        if isinstance(bar, Bar):
            _copy(bar, row, index)
        else:
            lane.bars[0] = bar
        numbers = row.item()
        opened, closed = numbers[_OPENED], numbers[_CLOSED]
        if closed <= self._closed[index]:
            raise DataError(
                f"{self._labels[index]}: the bar that closes at {iso(closed)} comes after one that closed at "
                f"{iso(self._closed[index])}: features take bars in order of time, each once"
            )
        if self._size and self._closed[index] != _NEVER and opened - self._opened[index] >= 2 * self._size:
            lane.reset()
        self._opened[index], self._closed[index] = opened, closed
        lane.fields[:, 0] = numbers[_FIRST : _FIRST + len(FIELDS)]
        for word, waiting in self._waiting[index].items():
            lane.give(word, waiting.take(opened, closed))
        try:
            lane.advance(False, 0, 1)
            if self._board is not None:
                self._board.see(self._graph.seen, index, closed, self._age, lane.seen)
                self._board.put(index, closed, lane.out[0])
                lane.advance(True, 0, 1)
        except Exception:
            lane.reset()
            raise
        values: NDArray[np.float64] = lane.out[0] if self._all else lane.out[0, self._visible]
        return values

    def on_trade(self, trade: np.void | Trade) -> None:
        """Take a trade: a row of TRADE, or the event. One whose bar has closed already is left out: late is late."""
        self._take("trade", trade)

    def on_quote(self, quote: np.void | Quote) -> None:
        """Take a quote: a row of QUOTE, or the event."""
        self._take("quote", quote)

    def go_on_from(self, index: int, lane: Lane) -> None:
        """Be where a lane over the history of that instrument has ended."""
        self._lanes[index].state[:] = lane.state
        opened, closed = lane.bars["open_time"].tolist(), lane.bars["close_time"].tolist()
        self._opened[index], self._closed[index] = opened[-1], closed[-1]
        if self._board is not None:
            for row in range(max(0, len(closed) - 2), len(closed)):
                self._board.put(index, closed[row], lane.out[row])

    def closed_at(self, instrument: str) -> int:
        """ns UTC: when the last bar of that instrument closed; 0 for none yet."""
        return max(self._closed[self._ids[instrument]], 0)

    def forget_events(self) -> None:
        """Drop trades and quotes that wait for their bar: they will be given again."""
        for words in self._waiting:
            for word in words:
                words[word] = _Waiting(EVENTS[word])

    def save(self) -> bytes:
        """All state, to go on from."""
        board = self._board
        waiting = [
            (k, word, one.rows().tobytes())
            for k, words in enumerate(self._waiting)
            for word, one in sorted(words.items())
        ]
        return msgspec.msgpack.encode(
            _Saved(
                self.code_hash, [lane.state.tobytes() for lane in self._lanes], self._opened, self._closed,
                b"" if board is None else board.times.tobytes(), b"" if board is None else board.values.tobytes(), waiting,
            )
        )  # fmt: skip

    def restore(self, state: bytes) -> None:
        """Go on from what `save` gave. DataError when it is of other features, instruments or code, or is damaged."""
        try:
            saved = msgspec.msgpack.decode(state, type=_Saved)
        except msgspec.MsgspecError as error:
            raise DataError(f"the saved features are damaged: {error}") from None
        if saved.code_hash != self.code_hash or len(saved.states) != len(self._lanes):
            raise DataError(
                "the saved features are of other code, other features or other instruments: begin from bars"
            )
        board = self._board
        sizes = (0, 0) if board is None else (board.times.nbytes, board.values.nbytes)
        if any(len(one) != self._graph.state_size for one in saved.states) or sizes != (
            len(saved.times), len(saved.values),
        ):  # fmt: skip
            raise DataError("the saved features are damaged: a state has another size")
        for lane, one in zip(self._lanes, saved.states, strict=True):
            lane.state[:] = np.frombuffer(one, np.uint8)
        self._opened, self._closed = list(saved.opened), list(saved.closed)
        if board is not None:
            board.times[:] = np.frombuffer(saved.times, np.int64).reshape(board.times.shape)
            board.values[:] = np.frombuffer(saved.values).reshape(board.values.shape)
        for k, word, rows in saved.waiting:
            self._waiting[k][word] = _Waiting(EVENTS[word], np.frombuffer(rows, EVENTS[word]))

    def _take(self, word: str, event: Any) -> None:
        index = self._index(event)
        waiting = self._waiting[index].get(word)
        if waiting is not None:
            waiting.add(event, index)

    def _index(self, event: Any) -> int:
        if not isinstance(event, np.void):
            if event.instrument not in self._ids:
                raise InputError(f"the features were made for {', '.join(self._labels)}, not for {event.instrument}")
            return self._ids[event.instrument]
        index = int(event["instrument"])
        if not 0 <= index < len(self._labels):
            raise InputError(f"the features were made for {len(self._labels)} instruments: there is no number {index}")
        return index


class _Waiting:
    """Events that no bar has taken yet, in the order they came."""

    def __init__(self, dtype: np.dtype[Any], rows: NDArray[Any] | None = None) -> None:
        self._rows = np.zeros(64, dtype) if rows is None else np.concatenate([rows, np.zeros(64, dtype)])
        self._count = 0 if rows is None else len(rows)

    def add(self, event: Any, index: int) -> None:
        if self._count == len(self._rows):
            self._rows = np.concatenate([self._rows, np.zeros_like(self._rows)])
        if isinstance(event, np.void):
            self._rows[self._count] = event
        else:
            _copy(event, self._rows[self._count], index)
        self._count += 1

    def rows(self) -> NDArray[Any]:
        return self._rows[: self._count]

    def take(self, opened: int, closed: int) -> NDArray[Any]:
        """Those in [opened, closed); the ones before are dropped, the ones after go on waiting."""
        rows = self.rows()
        times = rows["event_time"]
        taken = rows[(times >= opened) & (times < closed)]
        later = rows[times >= closed]
        self._rows[: len(later)] = later
        self._count = len(later)
        return taken


def _lane(graph: Graph, compiled: bool) -> Lane:
    bounds = {word: np.zeros((1, 2), np.int64) for word in graph.events}
    events = {word: np.zeros(0, EVENTS[word]) for word in graph.events}
    numbers = np.zeros((len(FIELDS), 1)), np.full((len(graph.seen), 1), np.nan), np.full((1, len(graph.nodes)), np.nan)
    return Lane(graph, np.zeros(1, BAR), *numbers, bounds, events, compiled)


def _copy(event: Any, row: Any, index: int) -> None:
    for name in row.dtype.names:
        row[name] = index if name == "instrument" else getattr(event, name, np.nan)
