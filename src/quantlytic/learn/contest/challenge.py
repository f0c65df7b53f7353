"""A challenger at work beside a line's champion: forecasts the same bars, and is measured by what then happens."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

import msgspec

from quantlytic.learn.contest.contest import Contest
from quantlytic.learn.contest.outcomes import Outcomes
from quantlytic.learn.contest.promotion import LONGEST, Gate
from quantlytic.learn.live.serving import Fault, Serving, check_scope
from quantlytic.learn.live.staleness import staleness
from quantlytic.learn.registry.artifact import Manifest
from quantlytic.learn.samples.inputs import Values
from quantlytic.model.errors import DataError
from quantlytic.model.forecast import Forecast


class Seat(msgspec.Struct, array_like=True):
    """What a restart has to know of a challenger: the `alias` it came by and the `number` of that change, the model, the line's
    `instruments` it is asked about; from which offsets of the line's and the shadows' stream on it is (`first`,
    `shadows_first`; -1 for not yet); and its contest: against whom of each instrument ("": there is no champion), from which
    offset of the line's stream on, how often it has been looked at, and which of its year's challengers it is (0: not yet looked
    at)."""

    alias: str
    number: int
    model_id: str
    instruments: tuple[str, ...]
    first: int = -1
    shadows_first: int = 0
    opponents: dict[str, str] = {}
    began: int = -1
    looked: int = 0
    place: int = 0


class Challenge:
    """A seat that is taken: its model, and the contest so far."""

    def __init__(self, seat: Seat, serving: Serving, gate: Gate) -> None:
        self.seat, self.serving = seat, serving
        self._gate = gate
        self._outcomes = Outcomes.of(self.manifest)
        self._signal = signal_column(self.manifest)
        self.contest = self._contest()

    @property
    def manifest(self) -> Manifest:
        """The challenger's."""
        return self.serving.manifest

    @property
    def is_pooled(self) -> bool:
        """Whether it is one model for all instruments."""
        return self.manifest.line.endswith("/pooled")

    @property
    def is_due(self) -> bool:
        """Whether the gate is to look at it."""
        return self._gate.is_due(self.contest, self.seat.looked)

    def meet(self, theirs: Forecast, offset: int) -> None:
        """From this offset of the line's stream on the champion of that instrument is the one of `theirs`. What was seen against
        another one counts no more; the looks that were taken do."""
        seat = self.seat
        known = seat.opponents.get(theirs.instrument)
        seat.opponents[theirs.instrument] = theirs.model_id
        if self.contest.outcomes >= LONGEST:  # without a gate, or held up
            seat.first = seat.began = offset
            self._outcomes, self.contest = Outcomes.of(self.manifest), self._contest()
        elif seat.began < 0 or known not in (None, theirs.model_id):
            seat.began = offset
            self.contest = self._contest()

    def move(self, instruments: tuple[str, ...]) -> None:
        """From now on it is asked about these, no others: the contest begins anew, the looks that were taken count. InputError
        when it knows none of them."""
        check_scope(self.manifest, instruments)
        seat = self.seat
        seat.instruments, seat.opponents, seat.first, seat.began = instruments, {}, -1, -1
        self._outcomes, self.contest = Outcomes.of(self.manifest), self._contest()

    def forecast(self, theirs: Forecast, row: Values, features_ns: int) -> Forecast:
        """The challenger's forecast of the bar that `theirs` follows, whose features took `features_ns`. Fault when it fails."""
        if stale := staleness(self.manifest, theirs.close_time):
            raise Fault(stale)
        began_ns = time.perf_counter_ns()
        try:
            value, reason, drift = self.serving.forecast(row)
        except Fault as fault:
            raise Fault(f"model {self.serving.short} {fault}") from fault
        took_ns = time.perf_counter_ns() - began_ns + features_ns
        if slowness := self.serving.slowness:
            raise Fault(f"model {self.serving.short} {slowness}")
        return msgspec.structs.replace(
            theirs, value=value, model_id=self.serving.model_id, reason=reason, drift=drift, latency_ns=took_ns
        )

    def count(self, theirs: Forecast, ours: Forecast, row: Values | None) -> None:
        """Take both forecasts of a bar into the contest, unless the challenger has learned from that bar. `row`: its features,
        for the side of meta-labels."""
        side = 1.0 if self._signal < 0 else math.nan if row is None else float(row[self._signal])
        if theirs.close_time > self.manifest.data.end_ns:
            self.contest.take(theirs.value if theirs.model_id else None, ours, side)
        outcome = self._outcomes.update(ours, side)
        if outcome is not None:
            self.contest.settle(outcome)

    def rejoin(
        self, theirs: Sequence[tuple[int, Forecast]], ours: Sequence[Forecast], rows: Sequence[Values | None]
    ) -> None:
        """Bring the contest back to where it was: both streams' forecasts since the challenger came, joined by bar. `theirs`:
        with their offsets; `rows`: their features, where they are needed."""
        said = {(one.instrument, one.close_time): one for one in ours if one.model_id == self.seat.model_id}
        has_begun = False
        for (offset, their), row in zip(theirs, rows, strict=True):
            if offset >= self.seat.began and not has_begun:
                has_begun, self.contest = True, self._contest()
            mine = said.get((their.instrument, their.close_time))
            if mine is not None:
                self.count(their, mine, row)

    def _contest(self) -> Contest:
        made, is_meta = self.manifest, self._signal >= 0
        return Contest(made.task, made.horizon, self._gate.cost_bps, is_meta=is_meta)


def signal_column(manifest: Manifest) -> int:
    """Which column is the signal that meta-labels judge; -1 for other labels."""
    if manifest.label.kind != "meta":
        return -1
    name = str(manifest.spec.get("signal", ""))
    if name not in manifest.columns:
        raise DataError(f"model {manifest.model_id[:12]} judges the signal {name!r}, which is none of its columns")
    return manifest.columns.index(name)


def comparable(one: Manifest, other: Manifest) -> str:
    """Why the losses of two models cannot be compared; "" when they can."""
    if (one.task, one.label) != (other.task, other.label):
        return (
            f"{one.model_id[:12]} and champion {other.model_id[:12]} forecast different labels: their losses cannot be "
            "compared; promote it by command, or train it on the champion's label"
        )
    return ""
