"""A sweep: one strategy over the same bars with many parameter sets, and what each was worth."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from quantlytic.engine.data.bars import Bars
from quantlytic.engine.market.fees import Fees
from quantlytic.engine.market.market import Market, market_of
from quantlytic.engine.session import Session
from quantlytic.engine.strategy import Strategy
from quantlytic.engine.sweep import sample_rows
from quantlytic.model.errors import InputError, StrategyError
from quantlytic.research.data.holes import find_holes, refuse_holes
from quantlytic.research.data.unadjusted import find_unadjusted, refuse_unadjusted
from quantlytic.research.honesty.peak import Peak, peak_of
from quantlytic.research.runs.manifest import data_hash
from quantlytic.research.search.arguments import cash_of, strategy_of
from quantlytic.research.search.space import Constraint, Params, Value, cells_of
from quantlytic.research.search.sweepjob import METRICS, CellOutcome, Job, Portable, run_cells

if TYPE_CHECKING:
    import os

    import polars as pl

Progress = Callable[[int, int], None]

MAX_SAMPLES = 2000
_FEWEST_SAMPLES, _MAX_VALUES = 60, 20_000_000  # of equity, a cell and in all: many cells are sampled less often
_MAX_JOBS = 1000
_TOGETHER = 32  # cells that walk over the bars together, at most; with digests, which keep every fill, fewer
_TOGETHER_WHOLE = 4
_NOT_RUN = "not run: the sweep was interrupted"


def sweep(
    strategy: Strategy | type[Strategy],
    bars: Bars,
    cash: float = 1_000_000.0,
    fees: Fees = Fees(),  # noqa: B008 - immutable
    *,
    market: Market | None = None,
    allow_short: bool = False,
    allow_gaps: bool = False,
    allow_splits: bool = False,
    calendar: str | None = None,
    draws: int | None = None,
    seed: int = 0,
    constraint: Constraint | None = None,
    jobs: int | None = None,
    backend: str | None = None,
    digests: bool = False,
    compiled: bool = True,
    progress: Progress | None = None,
    name: str | None = None,
    record: bool | str | os.PathLike[str] = False,
    over: Mapping[str, Any] | None = None,
    **axes: Any,
) -> Sweep:
    """Run every parameter set over the bars, each on an account of its own, as `backtest` would.

    Axes are given by name, `fast=range(10, 60, 5), slow=[100, 150]`, or in `over` (for names that this function uses
    itself); all combinations are run. With `draws` that many sets are drawn at random instead, by `seed`: (low, high) is a
    uniform range, more values are a choice, None is the parameter's own range, and without axes every parameter that has a
    range is drawn. `constraint` says of a dict of all parameters whether to run it. Other parameters keep the values of
    `strategy`, an instance or a class.

    Runs on all cores, or `jobs`; `backend` is one of joblib's ("threading" by default, "loky", "dask" with a client that
    was started before). The results are the same bytes for all of them. `progress` is called with (cells done, of).
    Ctrl-C ends the sweep early and keeps the cells that were finished (`Sweep.interrupted`).

    A cell that fails is a row with its error. `market`, `fees`, `allow_short`, `allow_gaps`, `allow_splits` and `calendar` are
    as in `backtest`. `record` enters every cell in the trial ledger: True in that of the data folder, a path in that of the
    folder. Raises DataError for holes and splits, InputError, or StrategyError where no cell could be run.
    """
    if not isinstance(bars, Bars) or not len(bars):
        raise InputError("a sweep runs over bars: what load_bars returns, or Bars.of(...) makes; there must be some")
    base, cash = strategy_of(strategy), cash_of(cash)
    wanted = _merged(axes, over or {})
    cells = cells_of(base, wanted, constraint, draws, seed)
    _check_jobs(jobs)
    assumed = market_of(market, fees, allow_short)
    # says at once what is wrong for all of them
    Session(base, bars.instruments, cash, market=assumed, compiled=compiled)
    _check_bars(bars, calendar, allow_gaps, allow_splits)
    samples = sample_rows(bars, min(MAX_SAMPLES, max(_FEWEST_SAMPLES, _MAX_VALUES // len(cells))))
    job = Job(Portable(type(base)), bars.instruments, cash, assumed, compiled, samples, digests)
    begun, outcomes = time.perf_counter(), _run(bars, job, cells, jobs, backend, progress)
    result = Sweep(
        strategy=base,
        name=name or type(base).__name__,
        bars=bars,
        cash=cash,
        market=assumed,
        cells=cells,
        outcomes=[one or CellOutcome(np.full(len(samples), np.nan), error=_NOT_RUN) for one in outcomes],
        return_times=bars.array["close_time"][samples],
        interrupted=any(one is None for one in outcomes),
        elapsed_s=time.perf_counter() - begun,
    )
    if not result.interrupted and all(one.error for one in result.outcomes):
        raise StrategyError(f"no cell could be run; the first: {result.outcomes[0].error}")
    if record:
        _record(result, record)
    return result


def _check_jobs(jobs: int | None) -> None:
    if jobs is not None and not (isinstance(jobs, int) and -_MAX_JOBS <= jobs <= _MAX_JOBS):
        raise InputError(f"jobs is a number of cores, {_MAX_JOBS:,} at most, not {jobs!r}")


def _merged(axes: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(over, Mapping):
        raise InputError(f"over holds values by parameter, such as {{'fast': [10, 20]}}, not {over!r}")
    if clash := sorted(set(over) & set(axes)):
        raise InputError(f"parameter {clash[0]!r} is given twice")
    return {**axes, **over}


def _check_bars(bars: Bars, calendar: str | None, allow_gaps: bool, allow_splits: bool) -> None:
    if not allow_gaps:
        refuse_holes(bars, _holes(bars, calendar))
    if not allow_splits:
        refuse_unadjusted(bars, find_unadjusted(bars))


def _holes(bars: Bars, calendar: str | None) -> NDArray[Any]:
    if calendar is None:
        return find_holes(bars)
    from quantlytic.research.data.calendars import find_session_holes  # imports pandas

    return find_session_holes(bars, calendar)


def _record(found: Sweep, where: bool | str | os.PathLike[str]) -> None:
    from quantlytic.research.search.sweepledger import enter_trials
    from quantlytic.store.home import home_folder

    enter_trials(found, home_folder() if isinstance(where, bool) else Path(where), time.time_ns())


@dataclass(frozen=True, repr=False)
class Sweep:
    """What a sweep found: `table` has a row a cell, `returns` a column a cell."""

    strategy: Strategy
    name: str
    bars: Bars
    cash: float
    market: Market
    cells: list[Params]
    outcomes: list[CellOutcome]
    return_times: NDArray[np.int64]
    """Close times (ns UTC) at which equity was sampled: each day, or every k-th bar time, 2,000 at most."""
    interrupted: bool
    elapsed_s: float

    def __len__(self) -> int:
        return len(self.cells)

    def __repr__(self) -> str:
        failed = sum(1 for one in self.outcomes if one.error)
        return f"Sweep({self.name}, {len(self):,} cells{f', {failed:,} failed' if failed else ''})\n{self.table}"

    @cached_property
    def axes(self) -> dict[str, list[Value]]:
        """The parameters that vary, each with its values in order."""
        found = {name: sorted({params[name] for params in self.cells}) for name in self.cells[0]}
        return {name: values for name, values in found.items() if len(values) > 1}

    @cached_property
    def data_hash(self) -> str:
        """That of `Result`: SHA-256 over the instruments' ids and the bars' columns."""
        return data_hash(self.bars)

    @cached_property
    def times(self) -> int:
        """How many different bar times there are."""
        return int(np.count_nonzero(np.diff(self.bars.array["close_time"]))) + 1

    @cached_property
    def table(self) -> pl.DataFrame:
        """A Polars frame: `cell`, the parameters that vary, the figures (as in `Result.metrics`, null where undefined),
        `digest` if asked for, `error` (null where all went well)."""
        import polars as pl

        columns: dict[str, Any] = {"cell": range(len(self))}
        names = list(self.axes) or list(self.cells[0])
        columns |= {name: [params[name] for params in self.cells] for name in names}
        for metric in METRICS:
            columns[metric if metric not in columns else f"{metric}_"] = self.values(metric)
        if any(one.digest for one in self.outcomes):
            columns["digest"] = [one.digest or None for one in self.outcomes]
        columns["error"] = [one.error or None for one in self.outcomes]
        return pl.DataFrame(columns, schema_overrides={"error": pl.String}, strict=False)

    @cached_property
    def returns(self) -> NDArray[np.float64]:
        """Simple returns between the sampled times, the first from the cash at the start: f8[times, cells]; NaN for cells
        that failed. What PBO and the deflated Sharpe ratio are made from."""
        equity = np.column_stack([one.equity for one in self.outcomes])
        with np.errstate(all="ignore"):
            returns: NDArray[np.float64] = equity / np.vstack((np.full(len(self), self.cash), equity[:-1])) - 1.0
        return returns

    def values(self, metric: str) -> list[float | int | None]:
        """A figure of every cell. Raises InputError for a name that is none."""
        if metric not in METRICS:
            raise InputError(f"no metric {metric!r}: there are {', '.join(METRICS)}")
        return [one.figures.get(metric) for one in self.outcomes]

    def ranked(self, metric: str = "sharpe", *, largest: bool = True) -> list[int]:
        """Numbers of the cells, best first, those without a figure left out; of equal ones the first."""
        values = self.values(metric)
        known = [(value, cell) for cell, value in enumerate(values) if value is not None]
        return [cell for _, cell in sorted(known, key=lambda one: (-one[0] if largest else one[0], one[1]))]

    def best(self, metric: str = "sharpe", *, largest: bool = True) -> dict[str, Any]:
        """The row of the best cell: `cell`, all parameters, all figures. Raises InputError when no cell has the figure."""
        order = self.ranked(metric, largest=largest)
        if not order:
            short = " (sharpe_per_bar needs no 30 days)" if metric == "sharpe" else ""
            raise InputError(f"no cell has a {metric}: they failed, never traded, or the data is too short{short}")
        return self.row(order[0])

    def row(self, cell: int) -> dict[str, Any]:
        """`cell`, its parameters and figures as a dict."""
        return {"cell": cell, **self.cells[cell], **self.outcomes[cell].figures}

    def plateau(self, metric: str = "sharpe", *, largest: bool = True) -> Peak:
        """How the best cell compares with its neighbours. Raises InputError when no cell has the figure."""
        cell = int(self.best(metric, largest=largest)["cell"])
        values = [math.nan if value is None else float(value) for value in self.values(metric)]
        return peak_of(metric, self.cells, list(self.axes), np.array(values), cell)

    def heatmap(
        self, x: str | None = None, y: str | None = None, metric: str = "sharpe", *, path: str | os.PathLike[str]
    ) -> Path:
        """Write an HTML page with a heat map of the metric over two parameters (the first two that vary unless told), how
        lonely the best cell is, and the best cells; needs no network. Where further parameters vary, each place shows the
        median. Returns the path. Raises InputError for unknown names and when it cannot be written.
        """
        from quantlytic.research.pages.heatmap import write_heatmap  # its template engine takes a while to import

        names = [*self.axes, *(name for name in self.cells[0] if name not in self.axes)]
        across = x or next((name for name in names if name != y), "")
        up = y or next((name for name in names if name != across), "")
        return write_heatmap(self, Path(path), across, up, metric)

    def plot(self, path: str | os.PathLike[str] = "sweep.html", *, metric: str = "sharpe", show: bool = False) -> Path:
        """Write the page of `heatmap` over the first two parameters that vary; `show=True` opens it in the browser."""
        written = self.heatmap(metric=metric, path=path)
        if show:
            import webbrowser

            webbrowser.open(written.resolve().as_uri())
        return written

    def strategy_of(self, cell: int) -> Strategy:
        """The strategy with the cell's parameters, for a backtest of its own."""
        return type(self.strategy)(**self.cells[cell])


def _run(
    bars: Bars, job: Job, cells: Sequence[Params], jobs: int | None, backend: str | None, progress: Progress | None
) -> list[CellOutcome | None]:
    """The outcomes in the order of the cells; None for those that an interruption left undone."""
    import joblib

    outcomes: list[CellOutcome | None] = [None] * len(cells)
    stop, done = threading.Event(), 0
    try:
        with joblib.parallel_config(**({} if backend is None else {"backend": backend})):
            for first, found in _finished(bars.array, job, cells, -1 if jobs is None else jobs, stop):
                outcomes[first : first + len(found)] = found
                done += len(found)
                if progress is not None:
                    progress(done, len(cells))
    except KeyboardInterrupt:
        pass
    except (ValueError, ImportError) as error:
        raise InputError(f"backend {backend!r}, jobs {jobs!r}: {str(error).strip().splitlines()[0]}") from None
    finally:
        stop.set()
    return outcomes


def _finished(
    array: NDArray[Any], job: Job, cells: Sequence[Params], jobs: int, stop: threading.Event
) -> Iterator[tuple[int, list[CellOutcome]]]:
    """(number of the first cell, outcomes) of each batch, as they come in."""
    import joblib

    workers = joblib.effective_n_jobs(jobs)
    size = min(_TOGETHER_WHOLE if job.digests else _TOGETHER, -(-len(cells) // (4 * workers)))
    batches = [(first, cells[first : first + size]) for first in range(0, len(cells), size)]
    settings = {"n_jobs": jobs, "prefer": "threads", "batch_size": 1}
    try:
        parallel = joblib.Parallel(**settings, return_as="generator_unordered")
        rounds = [batches]
    except ValueError:  # Dask gives results all at once: ask for some at a time
        parallel = joblib.Parallel(**settings)
        rounds = [batches[at : at + 4 * workers] for at in range(0, len(batches), 4 * workers)]
    stopped = stop.is_set if _shares_memory(parallel) else None
    for some in rounds:
        tasks = (joblib.delayed(_batch)(array, job, first, part, stopped) for first, part in some)
        for first, found in parallel(tasks):
            if found is not None:
                yield first, found


def _shares_memory(parallel: Any) -> bool:
    return bool(getattr(parallel._backend, "supports_sharedmem", False))


def _batch(
    array: NDArray[Any], job: Job, first: int, cells: Sequence[Params], stopped: Callable[[], bool] | None
) -> tuple[int, list[CellOutcome] | None]:
    return first, run_cells(array, job, cells, stopped)
