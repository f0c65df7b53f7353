"""A set of features over bars: what a model is trained on, and what it is given live; the same bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from quantlytic.engine.compiler.fingerprint import fingerprint_of
from quantlytic.engine.data.bars import Bars
from quantlytic.learn.features.across import Known, seen_over
from quantlytic.learn.features.featurespec import FeatureSpec
from quantlytic.learn.features.kernel import judged
from quantlytic.learn.features.lane import EVENTS, Lane
from quantlytic.learn.features.live import LiveFeatures
from quantlytic.learn.features.nodes import FIELDS, graph_of
from quantlytic.learn.samples.leaks import Leak, find_leaks
from quantlytic.model.bar import BAR
from quantlytic.model.errors import DataError, InputError
from quantlytic.model.instrument import Instrument
from quantlytic.model.time import iso

GAPS = ("refuse", "restart", "span")
_TURN = 1000  # rows: some tenths of a millisecond of machine code
_RULES = 1  # counts up when the rules of computing change: what was trained before then no longer fits


@dataclass(frozen=True)
class FeatureTable:
    """`values` f8[rows, features], `ready` bool[rows]: all features of the row are known. Rows are those of the bars."""

    names: tuple[str, ...]
    values: NDArray[np.float64]
    ready: NDArray[np.bool_]


class FeatureSet:
    """Features of `specs` for bars of `instruments`, each bar `bar_size_ns` long (0: bars by activity, without holes).

    A feature of a row is made from that instrument's bars up to and including this one, at its close; what it takes from
    other instruments is what was known before that: their last bar that closed earlier. Rows of one time may therefore come
    in any order.

    `gaps`: what a hole (a missing bar) does. "refuse": `table` raises DataError; "restart": all features of that instrument
    begin anew after it, as no window may span it; "span": windows go on over it, as over the night of an exchange. Live,
    "refuse" is as "restart". `folder`: where paths to features of one's own begin. `compiled` False runs plain Python.
    """

    def __init__(
        self,
        specs: Sequence[FeatureSpec],
        instruments: Sequence[Instrument],
        bar_size_ns: int,
        *,
        gaps: str = "refuse",
        folder: Path | None = None,
        compiled: bool = True,
    ) -> None:
        if gaps not in GAPS:
            raise InputError(f"gaps is one of {', '.join(GAPS)}, not {gaps!r}")
        if isinstance(bar_size_ns, bool) or not isinstance(bar_size_ns, int) or bar_size_ns < 0:
            raise InputError(f"bar_size_ns is whole nanoseconds, or 0 for bars by activity, not {bar_size_ns!r}")
        self.specs, self.instruments = tuple(specs), tuple(instruments)
        self.bar_size_ns, self.gaps, self.compiled = bar_size_ns, gaps, compiled
        self.graph = graph_of(self.specs, self.instruments, folder)
        self.names = tuple(self.graph.nodes[k].name for k in self.graph.visible)
        self.code_hash = self._hash()

    def table(
        self, bars: Bars, *, trades: NDArray[Any] | None = None, quotes: NDArray[Any] | None = None
    ) -> FeatureTable:
        """The features after each bar. `trades`, `quotes`: rows of TRADE and QUOTE, `instrument` as in the bars, in the order
        they came in; each counts towards the bar in whose [open_time, close_time) it is.

        Raises DataError for a hole (see `gaps`), a feature that is infinite, or one that is never known; InputError for
        instruments the set was not made for, and when trades or quotes are needed and not given.
        """
        given = {"trade": trades, "quote": quotes}
        for word in sorted(self.graph.events):
            if given[word] is None:
                raise InputError(f"features of {word}s need them: table(bars, {word}s=...)")
        own = self._places(bars)
        rows = [np.flatnonzero(bars.array["instrument"] == k) for k in range(len(bars.instruments))]
        lanes: dict[int, tuple[Lane, NDArray[np.int64], NDArray[np.int64]]] = {}
        for k, mine in enumerate(rows):
            if len(mine):
                events = {word: _of(found, k) for word, found in given.items() if found is not None}
                lanes[own[k]] = self._own_features(bars, k, mine, events)
        known = {k: Known(lane.bars["close_time"], lane.out) for k, (lane, _, _) in lanes.items()}
        for k, (lane, _, starts) in lanes.items():
            if self.graph.seen:
                seen_over(
                    self.graph.seen, k, len(self.instruments), lane.bars["close_time"], known, self.age, lane.seen
                )
                self._over(lane, True, starts)
        table = self._together(bars, [(lane.out, mine) for lane, mine, _ in lanes.values()])
        ready, counts = judged(table, self.compiled)
        self._check(bars, table, *counts.tolist())
        return FeatureTable(self.names, table, ready)

    def leaks(self, bars: Bars, *, seed: int = 0) -> list[Leak]:
        """What the features know of the future of these bars (some hundred do): [] unless one of one's own reads what it should
        not, such as an array computed beforehand. See `find_leaks`."""
        return find_leaks(lambda changed: self.table(changed).values, bars, seed=seed)

    def live(self) -> LiveFeatures:
        """The same features, a bar at a time."""
        return LiveFeatures(
            self.graph, self.instruments, self.names, self.size, self.age, self.code_hash, self.compiled
        )

    def live_after(self, rows: NDArray[Any], rest: Callable[[], object] = int) -> LiveFeatures:
        """`live()` as it is when it has been given these rows of BAR, one after the other; much sooner. `instrument` is the
        set's index. A row that is not after the last one of its instrument is left out, a hole is as it is live. Not for
        features of trades or quotes. `rest` is called every thousand rows: other threads may be in a hurry."""
        assert not self.graph.events, "the events of these rows are not known"
        live, lanes = self.live(), dict[int, tuple[Lane, NDArray[np.int64]]]()
        for k in range(len(self.instruments)):
            mine = rows[rows["instrument"] == k]
            times = mine["close_time"]
            mine = mine[times > np.append(np.iinfo(np.int64).min, np.maximum.accumulate(times)[:-1])[: len(times)]]
            if len(mine):
                lane = self._lane(np.ascontiguousarray(mine, BAR), {})
                starts = self._begins(lane.bars)
                self._over(lane, False, starts, rest)
                lanes[k] = lane, starts
        known = {k: Known(lane.bars["close_time"], lane.out) for k, (lane, _) in lanes.items()}
        for k, (lane, starts) in lanes.items():
            if self.graph.seen:
                times, plain = lane.bars["close_time"], lane.state.copy()
                seen_over(self.graph.seen, k, len(self.instruments), times, known, self.age, lane.seen)
                self._over(lane, True, starts, rest)
                for node in self.graph.nodes:
                    if not node.across:
                        part = slice(node.offset, node.offset + node.layout.size)
                        lane.state[part] = plain[part]
            live.go_on_from(k, lane)
        return live

    @property
    def size(self) -> int:
        """The bar size by which holes are found, ns; 0 when they do not matter."""
        return 0 if self.gaps == "span" else self.bar_size_ns

    @property
    def age(self) -> int:
        """How old (ns) another instrument's last bar may be; 0 for any age."""
        return self.size

    def _own_features(
        self, bars: Bars, k: int, mine: NDArray[np.int64], events: dict[str, NDArray[Any]]
    ) -> tuple[Lane, NDArray[np.int64], NDArray[np.int64]]:
        """All that is made from one instrument alone."""
        array = (
            np.ascontiguousarray(bars.array[mine], BAR) if len(mine) < len(bars) else np.ascontiguousarray(bars.array)
        )
        if len(array) > 1 and (np.diff(array["close_time"]) <= 0).any():
            raise DataError(f"{bars.label or 'bars'}: {bars.instruments[k].id} has bars that are not in order of time")
        starts = self._starts(array, bars, k)
        lane = self._lane(array, events)
        self._over(lane, False, starts)
        return lane, mine, starts

    def _lane(self, array: NDArray[Any], events: dict[str, NDArray[Any]]) -> Lane:
        fields = np.empty((len(FIELDS), len(array)))
        for number in self.graph.fields:
            fields[number] = array[FIELDS[number]]
        bounds, sorted_events = {}, {}
        for word in self.graph.events:
            bounds[word], sorted_events[word] = _within(array, events[word], EVENTS[word])
        seen = np.full((len(self.graph.seen), len(array)), np.nan)
        out = np.empty((len(array), len(self.graph.nodes)))
        return Lane(self.graph, array, fields, seen, out, bounds, sorted_events, self.compiled)

    def _over(
        self, lane: Lane, across: bool, starts: NDArray[np.int64], rest: Callable[[], object] | None = None
    ) -> None:
        """Over all rows, with a rest every `_TURN` of them, or without."""
        ends = np.append(starts[1:], len(lane.bars))
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
            lane.reset()
            turn = _TURN if rest is not None else end - start
            for first in range(start, end, turn or 1):
                lane.advance(across, first, min(turn, end - first))
                if rest is not None:
                    rest()

    def _begins(self, array: NDArray[Any]) -> NDArray[np.int64]:
        """The rows at which features begin: the first, and each after a hole."""
        holes = np.flatnonzero(np.diff(array["open_time"]) >= 2 * self.size) + 1 if self.size else np.zeros(0, np.int64)
        return np.append(0, holes).astype(np.int64)

    def _starts(self, array: NDArray[Any], bars: Bars, k: int) -> NDArray[np.int64]:
        """The same; DataError for a hole where holes are refused."""
        starts = self._begins(array)
        holes = starts[1:]
        if len(holes) and self.gaps == "refuse":
            at = int(holes[0])
            raise DataError(
                f"{bars.label or 'bars'}: {bars.instruments[k].id} has {len(holes):,} hole{'s' if len(holes) > 1 else ''}, the "
                f"first from {iso(int(array['close_time'][at - 1]))[:19]} to {iso(int(array['open_time'][at]))[:19]}: mend "
                'the data, or say gaps = "restart" (windows begin anew after a hole) or "span" (they go on over it)'
            )
        return starts

    def _places(self, bars: Bars) -> list[int]:
        """Each instrument of the bars as one of the set's."""
        ids = [one.id for one in self.instruments]
        unknown = [one.id for one in bars.instruments if one.id not in ids]
        if unknown:
            raise InputError(f"the features were made for {', '.join(ids)}, not for {unknown[0]}")
        return [ids.index(one.id) for one in bars.instruments]

    def _together(self, bars: Bars, parts: list[tuple[NDArray[np.float64], NDArray[np.int64]]]) -> NDArray[np.float64]:
        """The columns asked for, in the order of the bars' rows."""
        visible = list(self.graph.visible)
        every = visible == list(range(len(self.graph.nodes)))
        if len(parts) == 1:
            return parts[0][0] if every else np.ascontiguousarray(parts[0][0][:, visible])
        table = np.empty((len(bars), len(visible)))
        for out, mine in parts:
            table[mine] = out if every else out[:, visible]
        return table

    def _check(self, bars: Bars, table: NDArray[np.float64], finite: list[int], infinite: list[int]) -> None:
        """Nothing infinite, and each feature known at least once."""
        for k, name in enumerate(self.names):
            if infinite[k]:
                row = int(np.argmax(np.isinf(table[:, k])))
                raise DataError(
                    f"feature {name!r} is infinite in {infinite[k]:,} rows, first in row {row} "
                    f"({iso(int(bars.array['close_time'][row]))[:19]}): it divides by 0 there; choose another, or a longer window"
                )
            if len(table) and not finite[k]:
                raise DataError(
                    f"feature {name!r} is not known in any of {len(table):,} rows: its window is longer than the data "
                    "(or than what lies between holes), or what it reads is missing"
                )

    def _hash(self) -> str:
        graph = self.graph
        digest = hashlib.sha256(msgspec.json.encode([self.specs, self.bar_size_ns, self.gaps, _RULES]))
        if graph.seen:
            digest.update(msgspec.json.encode([one.id for one in self.instruments]))
        digest.update(fingerprint_of(*(node.layout for node in graph.nodes)).encode())
        digest.update(graph.initial().tobytes())
        return digest.hexdigest()


def _of(events: NDArray[Any], instrument: int) -> NDArray[Any]:
    own: NDArray[Any] = events[events["instrument"] == instrument]
    return own


def _within(bars: NDArray[Any], events: NDArray[Any], dtype: np.dtype[Any]) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Each bar's events: from and to (i8[bars, 2]), and the events so ordered; those in no bar's time are left out."""
    times = events["event_time"]
    row = np.searchsorted(bars["close_time"], times, "right")
    inside = row < len(bars)
    inside[inside] = times[inside] >= bars["open_time"][row[inside]]
    events, row = events[inside], row[inside]
    order = np.argsort(row, kind="stable")
    events, row = np.ascontiguousarray(events[order], dtype), row[order]
    edges = np.searchsorted(row, np.arange(len(bars) + 1), "left")
    return np.ascontiguousarray(np.column_stack([edges[:-1], edges[1:]]), np.int64), events
