"""The part of a sweep that runs elsewhere: some cells over all bars, in a thread, a process or on another machine."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.machinery import PathFinder
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlytic.engine.market.market import Market
from quantlytic.engine.session import Session
from quantlytic.engine.strategy import Strategy
from quantlytic.engine.sweep import Cell, Cells, Grid
from quantlytic.model.errors import QuantlyticError
from quantlytic.model.instrument import Instrument
from quantlytic.research.figures.curve import DAY_NS
from quantlytic.research.figures.metrics import MIN_COMPOUND_DAYS, MIN_RATIO_DAYS, MIN_RETURNS, YEAR_NS
from quantlytic.research.search.space import Params

Figures = dict[str, float | int | None]


@dataclass(frozen=True)
class Job:
    """What all cells of a sweep share, but for the bars. `samples`: rows at which equity is kept."""

    strategy: Portable
    instruments: tuple[Instrument, ...]
    cash: float
    market: Market
    compiled: bool
    samples: NDArray[np.int64]
    digests: bool


@dataclass(frozen=True)
class CellOutcome:
    """What became of a cell. `equity` is sampled; `error` is empty where all went well."""

    equity: NDArray[np.float64]
    figures: Figures = field(default_factory=dict)
    digest: str = ""
    error: str = ""


class Portable:
    """A strategy's class that travels by value where another process could not import it: from a file, or a shell."""

    def __init__(self, strategy: type[Strategy]) -> None:
        self.strategy = strategy

    def __reduce__(self) -> tuple[Any, ...]:
        import cloudpickle

        module = sys.modules.get(self.strategy.__module__)
        by_value = module is not None and module.__name__ != "__main__" and not _can_be_imported(module.__name__)
        if by_value:
            cloudpickle.register_pickle_by_value(module)
        try:
            return _unpacked, (cloudpickle.dumps(self.strategy),)
        finally:
            if by_value:
                cloudpickle.unregister_pickle_by_value(module)


def run_cells(
    array: NDArray[Any], job: Job, cells: Sequence[Params], stopped: Callable[[], bool] | None = None
) -> list[CellOutcome] | None:
    """Run the cells over the bars, together; one outcome each. None when it was stopped before the end."""
    grid = Grid(array, job.samples)

    def session(strategy: Strategy) -> Session:
        return Session(strategy, job.instruments, job.cash, market=job.market, compiled=job.compiled)

    batch = Cells(session, grid, job.digests)
    made: list[Cell | CellOutcome] = []
    for params in cells:
        if stopped is not None and stopped():
            return None
        try:
            made.append(batch.add(job.strategy.strategy(**params)))
        except QuantlyticError as error:
            made.append(CellOutcome(np.full(len(job.samples), np.nan), error=str(error)))
    if not batch.advance(stopped or (lambda: False)):
        return None
    times = array["close_time"]
    return [one if isinstance(one, CellOutcome) else _outcome(one, times, job.cash) for one in made]


def _outcome(cell: Cell, times: NDArray[np.int64], cash: float) -> CellOutcome:
    if cell.error:
        return CellOutcome(np.full(len(cell.samples), np.nan), error=cell.error)
    return CellOutcome(cell.samples, figures_of(cell, times, cash), cell.digest)


def figures_of(cell: Cell, times: NDArray[np.int64], cash: float) -> Figures:
    """The figures of a finished cell, each equal to the one of the same name in `Result.metrics`."""
    curve, tally = _plain(cell.curve), _plain(cell.tally)
    span_ns = int(times[-1]) - int(times[0])
    years, trips = span_ns / YEAR_NS, tally["round_trips"]
    is_finite = math.isfinite(curve["total"])
    growth, mean_equity = curve["last"] / cash, curve["total"] / curve["bars"]
    cagr = _power(growth, years) if growth > 0 and span_ns >= MIN_COMPOUND_DAYS * DAY_NS else None
    drawdown = curve["deepest"] - 1.0 if is_finite else None
    lasts = span_ns >= MIN_RATIO_DAYS * DAY_NS and mean_equity > 0
    figures: Figures = dict.fromkeys(METRICS) | {
        "final_equity": curve["last"],
        "total_return": growth - 1.0,
        "cagr": cagr,
        "calmar": _ratio(cagr, -drawdown) if drawdown is not None else None,
        "max_drawdown": drawdown,
        "exposure": tally["exposed"] / curve["points"],
        "turnover": tally["traded_value"] / mean_equity / years if lasts else None,
        **{name: tally[name] for name in ("fills", "fees_paid", "slippage_paid", "traded_value", "round_trips")},
        "win_rate": tally["wins"] / trips if trips else None,
        "profit_factor": _ratio(tally["won"], tally["lost"]),
        "avg_trade": (tally["won"] - tally["lost"]) / trips if trips else None,
        "best_trade": tally["best"],
        "worst_trade": tally["worst"],
        "avg_holding_ns": int(tally["held_ns"] / trips) if trips else None,
        "rejected": cell.rejected,
    }
    if is_finite and curve["lowest"] > 0 and curve["points"] > _FEWEST:
        figures |= _risk(curve, curve["points"] - 1, span_ns)
    return {name: value if value is not None and math.isfinite(value) else None for name, value in figures.items()}


METRICS = (
    "final_equity", "total_return", "cagr", "volatility", "sharpe", "sortino", "calmar", "max_drawdown", "exposure",
    "turnover", "fills", "fees_paid", "slippage_paid", "traded_value", "round_trips", "win_rate", "profit_factor",
    "avg_trade", "best_trade", "worst_trade", "avg_holding_ns", "rejected", "sharpe_per_bar",
)  # fmt: skip
"""Their names, in order."""

_FEWEST = 2  # points: one return has no deviation
_ROUNDING = 1e-15  # a standard deviation of returns below this is rounding, not risk


def _risk(curve: dict[str, Any], returns: int, span_ns: int) -> Figures:
    deviation = math.sqrt(curve["squares"] / (returns - 1))
    downside = math.sqrt(curve["losses"] / returns)
    per_bar = curve["mean"] / deviation if deviation > _ROUNDING else None
    figures: Figures = {"sharpe_per_bar": per_bar}
    if span_ns >= MIN_RATIO_DAYS * DAY_NS and returns >= MIN_RETURNS:
        scale = math.sqrt(returns / (span_ns / YEAR_NS))
        figures["volatility"] = deviation * scale
        figures["sharpe"] = None if per_bar is None else per_bar * scale
        figures["sortino"] = curve["mean"] / downside * scale if downside > _ROUNDING else None
    return figures


def _plain(record: Any) -> dict[str, Any]:
    return dict(zip(record.dtype.names, record.item(), strict=True))


def _power(growth: float, span: float) -> float | None:
    try:
        return float(growth ** (1.0 / span)) - 1.0
    except OverflowError:
        return None


def _ratio(over: float | None, under: float) -> float | None:
    return None if over is None or under <= 0 else over / under


def _unpacked(data: bytes) -> Portable:
    import cloudpickle

    return Portable(cloudpickle.loads(data))


def _can_be_imported(name: str) -> bool:
    """By another process: `find_spec` would be content with its being here."""
    return PathFinder.find_spec(name.partition(".")[0]) is not None
