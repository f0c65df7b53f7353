"""What came of forecasts: each gets its label once the label's time is over, by the very rule that the model learned from."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from quantlytic.engine.data.bars import Bars
from quantlytic.learn.labels.labels import labels_of
from quantlytic.learn.labels.labelspec import LabelSpec
from quantlytic.learn.registry.artifact import Manifest
from quantlytic.model.bar import BAR
from quantlytic.model.forecast import Forecast
from quantlytic.model.instrument import Instrument
from quantlytic.model.time import duration_ns

_PLAIN = 100  # labels that look no further ahead are as quick without a compiler, which would hold up the live process
_BARRIERS = ("triple_barrier", "meta")
_FIELDS = tuple(name for name in BAR.names or () if name in Forecast.__struct_fields__ and name != "instrument")


class Outcome(NamedTuple):
    """A forecast whose label is known: `label` as the model was trained on (1 and 0, or a return), `result` the return over the
    label's time, `side` the signal's side (of meta-labels; else 1)."""

    forecast: Forecast
    label: float
    result: float
    side: float


class _Saved(msgspec.Struct, array_like=True):
    forecasts: dict[str, list[Forecast]]
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
        self._window = self._behind + label.horizon + 1
        self._lanes: dict[str, _Lane] = {}

    @classmethod
    def of(cls, manifest: Manifest) -> Outcomes:
        """For a model's forecasts: its own label, bar size and rule about missing bars."""
        size_ns = 0 if gaps_of(manifest) == "span" else duration_ns(manifest.data.bar_size)
        return cls(manifest.label, size_ns, compiled=manifest.horizon > _PLAIN)

    def update(self, forecast: Forecast, side: float = 1.0) -> Outcome | None:
        """Take a bar and its forecast; returns what came of the one `horizon` bars ago. `side`: of meta-labels, the signal at
        this bar (above 0 long, below 0 short, 0 or NaN none)."""
        lane = self._lanes.get(forecast.instrument)
        if lane is None:
            lane = self._lanes[forecast.instrument] = _Lane(self._window)
        if lane.forecasts and forecast.close_time <= lane.forecasts[-1].close_time:
            return None  # a bar that was replayed
        lane.append(forecast, float(np.nan_to_num(side)))
        row = len(lane.forecasts) - 1 - self._label.horizon
        if row < 0:
            return None
        label, result = self._known(lane, row)
        return None if np.isnan(label) else Outcome(lane.forecasts[row], label, result, lane.sides[row])

    def _known(self, lane: _Lane, row: int) -> tuple[float, float]:
        bars = Bars(lane.rows(), (Instrument(lane.forecasts[0].instrument),))
        signal = lane.sides if self._label.kind == "meta" else None
        labels = labels_of(bars, self._label, signal=signal, bar_size_ns=self._bar_size_ns, compiled=self._compiled)
        return float(labels.value[row]), float(labels.result[row])

    def save(self) -> bytes:
        """All state, to go on from."""
        lanes = self._lanes.items()
        return msgspec.msgpack.encode(
            _Saved({name: one.forecasts for name, one in lanes}, {name: one.sides for name, one in lanes})
        )

    def restore(self, state: bytes) -> None:
        """Go on from what `save` gave."""
        saved = _SAVED.decode(state)
        self._lanes = {}
        for name, forecasts in saved.forecasts.items():
            lane = self._lanes[name] = _Lane(self._window)
            for forecast, side in zip(forecasts, saved.sides[name], strict=True):
                lane.append(forecast, side)


class _Lane:
    """The last `window` bars of an instrument, as events and as rows."""

    def __init__(self, window: int) -> None:
        self.forecasts: list[Forecast] = []
        self.sides: list[float] = []
        self._window = window
        self._rows = np.zeros(4 * window, BAR)
        self._end = 0

    def append(self, forecast: Forecast, side: float) -> None:
        if self._end == len(self._rows):
            self._end = self._window - 1
            self._rows[: self._end] = self._rows[len(self._rows) - self._end :]
        row = self._rows[self._end]
        for name in _FIELDS:
            row[name] = getattr(forecast, name)
        self._end += 1
        self.forecasts.append(forecast)
        self.sides.append(side)
        del self.forecasts[: -self._window], self.sides[: -self._window]

    def rows(self) -> NDArray[Any]:
        rows: NDArray[Any] = self._rows[self._end - len(self.forecasts) : self._end]
        return rows


def gaps_of(manifest: Manifest) -> str:
    """What the model's spec says of missing bars; "refuse" where it says nothing."""
    data = manifest.spec.get("data", {})
    return str(data.get("gaps", "refuse")) if isinstance(data, dict) else "refuse"
