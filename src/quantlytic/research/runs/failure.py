"""A backtest that ended in the middle, because the strategy raised."""

from __future__ import annotations

from typing import Any

import numpy as np

from quantlytic.engine.data.bars import Bars
from quantlytic.engine.session import Session
from quantlytic.model.errors import InputError, StrategyError
from quantlytic.model.time import iso
from quantlytic.research.runs.outcome import Outcome

_SHOWN = 12  # fields of the state in the message


class BacktestFailed(StrategyError):
    """The strategy raised at bar number `bar` (from 0), which closed at `time_ns`. The message has the file, the line, the
    bar and the strategy's state for that bar's instrument, which `state` has whole.

    `result` is the `Result` of the bars before it; None when there were none.
    """

    def __init__(self, message: str, bar: int, time_ns: int, state: dict[str, Any], result: Outcome | None) -> None:
        super().__init__(message)
        self.bar = bar
        self.time_ns = time_ns
        self.state = state
        self.result = result

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {"error": str(self), "bar": self.bar, "time": iso(self.time_ns), "state": _plain(self.state)}


def failed(error: StrategyError, session: Session, bars: Bars, partial: Outcome | None) -> BacktestFailed:
    """The error as one that tells the state, and holds the results so far."""
    row = bars.array[error.bar]
    instrument = bars.instruments[int(row["instrument"])]
    try:
        state = session.state_of(instrument.id)
    except InputError:  # it keeps none for each instrument
        state = {}
    shown = ", ".join(f"{name}={_short(value)}" for name, value in list(_flat(state).items())[:_SHOWN])
    told = f"; its state for {instrument.symbol or instrument.id}: {shown}" if shown else ""
    done = f"; the results of the {error.bar:,} bars before are kept" if partial is not None else ""
    return BacktestFailed(f"{error}{told}{done}", error.bar, int(row["close_time"]), state, partial)


def _flat(state: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested records as `fast_ma.value`; arrays only by their size."""
    found: dict[str, Any] = {}
    for name, value in state.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = value
    return found


def _short(value: Any) -> str:
    if isinstance(value, np.ndarray) and value.ndim:
        return f"array of {'x'.join(map(str, value.shape))}"
    return f"{float(value):.6g}" if isinstance(value, float | np.floating) else str(value)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if isinstance(value, float) and not np.isfinite(value):
        return str(value)
    return value
