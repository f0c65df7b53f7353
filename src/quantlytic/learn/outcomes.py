"""What came of forecasts: each gets its label once the label's time is over, by the very rule that the model learned from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from quantlytic.engine.data.bars import Bars
from quantlytic.learn.artifact import Manifest
from quantlytic.learn.labels.labels import labels_of
from quantlytic.learn.labels.labelspec import LabelSpec
from quantlytic.model.bar import BAR
from quantlytic.model.errors import DataError
from quantlytic.model.forecast import Forecast
from quantlytic.model.instrument import Instrument
from quantlytic.model.time import duration_ns

_BARRIERS = ("triple_barrier", "meta")
_FIELDS = tuple(name for name in BAR.names or () if name != "instrument")


class Outcome(NamedTuple):
    """A forecast whose label is known: `label` as the model was trained on (1 and 0, or a return), `result` the return over the
    label's time, `side` the signal's side (of meta-labels; else 1)."""

    forecast: Forecast
    label: float
    result: float
    side: float


class _Saved(msgspec.Struct, array_like=True):
    bars: dict[str, list[Forecast]]
    sides: dict[str, list[float]]


_SAVED = msgspec.msgpack.Decoder(_Saved)


class Outcomes:
    """Forecasts in, in order; out, `horizon` bars of the same instrument later, what came of each.

    A label is made by `labels_of` from the bars that the forecasts carry, always from as many of them (what the barriers' width
    looks back on, and the horizon): the same forecasts give the same labels, however they were cut into batches or restarts.
    One that is never known (a hole in its time, a return within the dead zone, a meta-label without a signal) has no outcome.
    `bar_size_ns`: by which holes are found; 0 where bars may be missing.
    """

    def __init__(self, label: LabelSpec, bar_size_ns: int, *, compiled: bool = True) -> None:
        self._label, self._bar_size_ns, self._compiled = label, bar_size_ns, compiled
        self._behind = label.volatility_window if label.kind in _BARRIERS else 0
        self._bars: dict[str, list[Forecast]] = {}
        self._sides: dict[str, list[float]] = {}

    @classmethod
    def of(cls, manifest: Manifest) -> Outcomes:
        """For a model's forecasts: its own label, bar size and rule about missing bars."""
        size_ns = 0 if gaps_of(manifest) == "span" else duration_ns(manifest.data.bar_size)
        return cls(manifest.label, size_ns)

    def update(self, forecast: Forecast, side: float = 1.0) -> Outcome | None:
        """Take a bar and its forecast; returns what came of the one `horizon` bars ago. `side`: of meta-labels, the signal at
        this bar (above 0 long, below 0 short, 0 or NaN none)."""
        bars = self._bars.setdefault(forecast.instrument, [])
        sides = self._sides.setdefault(forecast.instrument, [])
        if bars and forecast.close_time <= bars[-1].close_time:
            return None  # a bar that was replayed
        bars.append(forecast)
        sides.append(float(np.nan_to_num(side)))
        ahead = self._label.horizon
        if len(bars) <= ahead:
            return None
        del bars[: -(self._behind + ahead + 1)], sides[: -(self._behind + ahead + 1)]
        row = len(bars) - 1 - ahead
        label, result = self._known(bars, sides, row)
        return None if np.isnan(label) else Outcome(bars[row], label, result, sides[row])

    def _known(self, bars: Sequence[Forecast], sides: Sequence[float], row: int) -> tuple[float, float]:
        array = np.zeros(len(bars), BAR)
        for name in _FIELDS:
            if hasattr(bars[0], name):
                array[name] = [getattr(one, name) for one in bars]
        try:
            labels = labels_of(
                Bars(array, (Instrument(bars[0].instrument),)),
                self._label,
                signal=sides if self._label.kind == "meta" else None,
                bar_size_ns=self._bar_size_ns,
                compiled=self._compiled,
            )
        except DataError:
            return float("nan"), float("nan")
        return float(labels.value[row]), float(labels.result[row])

    def save(self) -> bytes:
        """All state, to go on from."""
        return msgspec.msgpack.encode(_Saved(self._bars, self._sides))

    def restore(self, state: bytes) -> None:
        """Go on from what `save` gave."""
        saved = _SAVED.decode(state)
        self._bars, self._sides = saved.bars, saved.sides


def gaps_of(manifest: Manifest) -> str:
    """What the model's spec says of missing bars; "refuse" where it says nothing."""
    data = manifest.spec.get("data", {})
    return str(data.get("gaps", "refuse")) if isinstance(data, dict) else "refuse"
