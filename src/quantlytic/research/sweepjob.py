"""The part of a sweep that runs elsewhere: some cells over all bars, in a thread, a process or on another machine."""

from __future__ import annotations

import importlib.util
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlytic.engine.fees import Fees
from quantlytic.engine.session import Session
from quantlytic.engine.strategy import Strategy
from quantlytic.engine.sweep import Cell, Grid, advance_cells
from quantlytic.model.errors import QuantlyticError
from quantlytic.model.instrument import Instrument
from quantlytic.research.metrics import YEAR_NS
from quantlytic.research.space import Params

Figures = dict[str, float | int | None]


@dataclass(frozen=True)
class Job:
    """What all cells of a sweep share, but for the bars. `samples`: rows at which equity is kept."""

    strategy: Portable
    instruments: tuple[Instrument, ...]
    cash: float
    fees: Fees
    options: dict[str, Any]
    samples: NDArray[np.int64]
    digests: bool


@dataclass(frozen=True)
class Outcome:
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
        import cloudpickle  # type: ignore[import-untyped]

        module = sys.modules.get(self.strategy.__module__)
        by_value = module is not None and module.__name__ != "__main__" and _spec_of(module.__name__) is None
        if by_value:
            cloudpickle.register_pickle_by_value(module)
        try:
            return _unpacked, (cloudpickle.dumps(self.strategy),)
        finally:
            if by_value:
                cloudpickle.unregister_pickle_by_value(module)


def run_cells(
    array: NDArray[Any], job: Job, cells: Sequence[Params], stopped: Callable[[], bool] | None = None
) -> list[Outcome] | None:
    """Run the cells over the bars, together; one outcome each. None when it was stopped before the end."""
    grid = Grid(array, job.samples)
    made = [_made(job, params, grid) for params in cells]
    running = [cell for cell in made if isinstance(cell, Cell)]
    if not advance_cells(running, grid, stopped or (lambda: False)):
        return None
    return [cell if isinstance(cell, Outcome) else _outcome(cell, array["close_time"], job.cash) for cell in made]


def _made(job: Job, params: Params, grid: Grid) -> Cell | Outcome:
    try:
        strategy = job.strategy.strategy(**params)
        session = Session(strategy, job.instruments, job.cash, job.fees, **job.options)
    except QuantlyticError as error:
        return Outcome(np.full(len(job.samples), np.nan), error=str(error))
    return Cell(session, grid, job.digests)


def _outcome(cell: Cell, times: NDArray[np.int64], cash: float) -> Outcome:
    if cell.error:
        return Outcome(np.full(len(cell.samples), np.nan), error=cell.error)
    return Outcome(cell.samples, figures_of(cell, times, cash), cell.digest)


def figures_of(cell: Cell, times: NDArray[np.int64], cash: float) -> Figures:
    """The figures of a finished cell, each equal to the one of the same name in `Result.metrics`."""
    curve, tally = _plain(cell.curve), _plain(cell.tally)
    span = (int(times[-1]) - int(times[0])) / YEAR_NS
    points, trips = curve["points"], tally["round_trips"]
    final = curve["last"]
    growth = final / cash
    cagr = _power(growth, span) if span > 0 and growth > 0 else None
    mean_equity = curve["total"] / curve["bars"]
    sane = math.isfinite(curve["total"]) and curve["lowest"] > 0
    drawdown = curve["deepest"] - 1.0 if math.isfinite(curve["total"]) else None
    figures: Figures = {
        "final_equity": final,
        "total_return": growth - 1.0,
        "cagr": cagr,
        "volatility": None,
        "sharpe": None,
        "sortino": None,
        "calmar": _ratio(cagr, -drawdown) if drawdown is not None else None,
        "max_drawdown": drawdown,
        "exposure": tally["exposed"] / points,
        "turnover": tally["traded_value"] / mean_equity / span if mean_equity > 0 and span > 0 else None,
        "fills": tally["fills"],
        "fees_paid": tally["fees_paid"],
        "traded_value": tally["traded_value"],
        "round_trips": trips,
        "win_rate": tally["wins"] / trips if trips else None,
        "profit_factor": _ratio(tally["won"], tally["lost"]),
        "avg_trade": (tally["won"] - tally["lost"]) / trips if trips else None,
        "best_trade": tally["best"],
        "worst_trade": tally["worst"],
        "avg_holding_ns": int(tally["held_ns"] / trips) if trips else None,
        "rejected": cell.rejected,
    }
    if sane and span > 0 and points > 2:
        figures |= _risk(curve, points - 1, (points - 1) / span)
    return {name: value if value is not None and math.isfinite(value) else None for name, value in figures.items()}


METRICS = (
    "final_equity", "total_return", "cagr", "volatility", "sharpe", "sortino", "calmar", "max_drawdown", "exposure",
    "turnover", "fills", "fees_paid", "traded_value", "round_trips", "win_rate", "profit_factor", "avg_trade", "best_trade",
    "worst_trade", "avg_holding_ns", "rejected",
)  # fmt: skip
"""Their names, in order."""

_ROUNDING = 1e-15  # a standard deviation of returns below this is rounding, not risk


def _risk(curve: dict[str, Any], returns: int, bars_per_year: float) -> Figures:
    scale = math.sqrt(bars_per_year)
    deviation = math.sqrt(curve["squares"] / (returns - 1))
    downside = math.sqrt(curve["losses"] / returns)
    return {
        "volatility": deviation * scale,
        "sharpe": curve["mean"] / deviation * scale if deviation > _ROUNDING else None,
        "sortino": curve["mean"] / downside * scale if downside > _ROUNDING else None,
    }


def _plain(record: Any) -> dict[str, Any]:
    return {name: record[name].item() for name in record.dtype.names}


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


def _spec_of(name: str) -> Any:
    try:
        return importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
