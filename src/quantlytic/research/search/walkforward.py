"""Walk-forward analysis: choose parameters on the past, trade them on what came next, and go on (Pardo 1992, 2008).

Rules, stated once:
- Each fold sweeps the grid over its training bars and takes the cell with the best metric (of equal ones the first). A fold in
  which no cell has the metric sits out.
- The strategy then begins anew at the test stretch, flat, warmed up on the fold's training bars without trading in them. It
  decides for the first time at the close of the first test bar.
- At the end of each test stretch what is held is closed at the last close, for the taker's fee, and the money goes on to the
  next fold. Nothing is carried over, for the next parameters did not open it.
- A bar belongs to the stretch in which it closes.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlytic.engine.data.bars import Bars
from quantlytic.engine.market.fees import Fees
from quantlytic.engine.market.market import Market, market_of
from quantlytic.engine.run.warmup import warm_up
from quantlytic.engine.session import Session
from quantlytic.engine.strategy import Strategy
from quantlytic.model.errors import InputError
from quantlytic.model.fill import FILL
from quantlytic.model.time import duration_ns, iso
from quantlytic.research.data.holes import find_holes, refuse_holes
from quantlytic.research.data.unadjusted import find_unadjusted, refuse_unadjusted
from quantlytic.research.figures.metrics import equity_metrics
from quantlytic.research.figures.participation import participation
from quantlytic.research.figures.roundtrips import round_trips
from quantlytic.research.honesty.sampling import period_returns, periods_per_year
from quantlytic.research.honesty.splits import Fold, walk_forward_folds
from quantlytic.research.honesty.trials import code_of, sketch_of
from quantlytic.research.honesty.trials import tried as tried_in
from quantlytic.research.honesty.tried import Tried
from quantlytic.research.honesty.verdict import Verdict, hold_returns, judge
from quantlytic.research.runs.manifest import data_hash
from quantlytic.research.search.arguments import cash_of, strategy_of
from quantlytic.research.search.foldresult import FoldResult
from quantlytic.research.search.space import Constraint, Params, cells_of
from quantlytic.research.search.sweep import Sweep, sweep
from quantlytic.store.control.records import Trial

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class WalkForward:
    """What trading the chosen parameters out of sample gave: `equity` after each of the test bars, at `times` (ns UTC)."""

    name: str
    bars: Bars
    cash: float
    metric: str
    anchored: bool
    folds: list[FoldResult]
    times: NDArray[np.int64]
    equity: NDArray[np.float64]
    fills: NDArray[Any]
    trials: list[Trial]
    """One a fold and cell, for the trial ledger, and one for the whole."""
    tried: Tried
    """The walk-forwards that count against this one, itself included."""

    def __repr__(self) -> str:
        span = f"{iso(int(self.times[0]))[:10]} to {iso(int(self.times[-1]))[:10]}"
        return (
            f"WalkForward({self.name}, {len(self.folds)} folds, {len(self.times):,} test bars from {span}, "
            f"equity {self.cash:,.10g} -> {float(self.equity[-1]):,.10g})"
        )

    @cached_property
    def metrics(self) -> dict[str, float | int | None]:
        """Figures of the out-of-sample equity, as of a backtest."""
        return equity_metrics(self.times, self.equity, self.cash)

    @property
    def efficiency(self) -> float | None:
        """Growth a year out of sample over that in sample, of the folds that traded (walk-forward efficiency, Pardo): 1 keeps
        all, above 0.5 is called good. None where nothing was earned in sample."""
        inside = outside = 0.0
        for one in self.folds:
            if one.in_sample_growth is not None and one.in_sample_growth > 0.0 and one.growth > 0.0:
                inside += math.log(one.in_sample_growth) / (one.fold.train_end - one.fold.train_start)
                outside += math.log(one.growth) / (one.fold.test_end - one.fold.train_end)
        return outside / inside if inside > 0.0 else None

    @property
    def degradation(self) -> float | None:
        """Mean Sharpe ratio out of sample less that in sample, of the folds that have both: what choosing had made up."""
        pairs = [
            (one.sharpe, one.in_sample_sharpe)
            for one in self.folds
            if one.sharpe is not None and one.in_sample_sharpe is not None
        ]
        return math.fsum(out - into for out, into in pairs) / len(pairs) if pairs else None

    @property
    def profitable(self) -> float:
        """Share of the folds that made money out of sample."""
        return sum(one.growth > 1.0 for one in self.folds) / len(self.folds)

    @cached_property
    def verdict(self) -> Verdict:
        """On the out-of-sample returns. Nothing was picked by them, so only other walk-forwards on the data count as trials;
        but where the folds had one set of parameters to choose from, it was picked before, and all trials on the data count."""
        ends, returns = period_returns(self.times, self.equity, self.cash)
        tested = self.bars.between(int(self.times[0]), int(self.times[-1]) + 1)
        return judge(
            returns,
            per_year=periods_per_year(ends),
            hold=hold_returns(tested)[: len(returns)],
            trials=self.tried,
            round_trips=len(round_trips(self.fills)),
            sizes=participation(self.bars, self._placed_fills()),
            noun="walk-forward" if any(one.cells > 1 for one in self.folds) else "trial",
        )

    def _placed_fills(self) -> NDArray[Any]:
        """The fills with the rows of `bars` in `bar_offset`: each fold's session counted from its first training bar."""
        fills = self.fills.copy()
        begins = np.searchsorted(self.bars.array["close_time"], [one.fold.train_start for one in self.folds])
        fold = np.searchsorted([one.fold.train_end for one in self.folds], fills["event_time"], "right") - 1
        fills["bar_offset"] += begins[fold]
        return fills

    def summary(self) -> dict[str, Any]:
        """Flat, ready for JSON."""
        array = self.bars.array
        return {
            "strategy": self.name,
            "instruments": [one.id for one in self.bars.instruments],
            "bars": len(array),
            "test_bars": len(self.times),
            "start": iso(int(array["open_time"].min())),
            "end": iso(int(array["close_time"][-1])),
            "anchored": self.anchored,
            "metric": self.metric,
            "cash": self.cash,
            "final_equity": float(self.equity[-1]),
            "fills": len(self.fills),
            **self.metrics,
            "efficiency": self.efficiency,
            "degradation": self.degradation,
            "profitable_folds": self.profitable,
            "trials": len(self.trials) - 1,
            "verdict": self.verdict.to_dict(),
            "folds": [one.to_dict() for one in self.folds],
        }

    def plot(self, path: str | Path = "walkforward.html") -> Path:
        """Write one HTML page that needs no network; returns its path. Raises InputError when it cannot be written."""
        from quantlytic.research.pages.walkpage import write_walk  # its template engine takes a while to import

        return write_walk(self, Path(path))


def walk_forward(
    strategy: Strategy | type[Strategy],
    bars: Bars,
    grid: Mapping[str, Any],
    *,
    train: str | int,
    test: str | int,
    anchored: bool = False,
    metric: str = "sharpe",
    largest: bool = True,
    cash: float = 1_000_000.0,
    fees: Fees = Fees(),  # noqa: B008 - immutable
    market: Market | None = None,
    allow_short: bool = False,
    allow_gaps: bool = False,
    allow_splits: bool = False,
    calendar: str | None = None,
    draws: int | None = None,
    seed: int = 0,
    constraint: Constraint | None = None,
    jobs: int | None = None,
    compiled: bool = True,
    progress: Progress | None = None,
    name: str | None = None,
    home: Path | None = None,
) -> WalkForward:
    """Choose on `train` ("180d", or ns), trade the next `test`, and go on to the end; `anchored` trains on all that was before.

    `fees` and `allow_short` are shortcuts for a `market`. `grid`, `draws`, `seed`, `constraint`, `jobs` are those of `sweep`,
    `metric` one of its figures (`largest`: more is better). `progress` is called with (folds done, of). With the data folder
    `home` every cell of every fold goes into its trial ledger, and the walk-forwards it has on this data count in the verdict.

    Raises DataError for bars with holes, unless `allow_gaps` (`calendar` says when none are to be expected), and for prices
    that step as at a split, unless `allow_splits`; InputError where not even one fold fits, or no cell can be run.
    """
    if not isinstance(bars, Bars) or not len(bars):
        raise InputError("a walk-forward needs bars: what load_bars returns, or Bars.of(...) makes; there must be some")
    if not allow_gaps:
        refuse_holes(bars, find_holes(bars) if calendar is None else _session_holes(bars, calendar))
    if not allow_splits:
        refuse_unadjusted(bars, find_unadjusted(bars))
    base, cash = strategy_of(strategy), cash_of(cash)
    if not isinstance(grid, Mapping):
        raise InputError(f"a grid holds values by parameter, such as {{'fast': [10, 20]}}, not {grid!r}")
    grid = {key: list(one) if isinstance(one, Iterator) else one for key, one in grid.items()}  # every fold reads them
    cells = cells_of(base, grid, constraint, draws, seed)
    spans = [duration_ns(span) if isinstance(span, str) else span for span in (train, test)]
    start, end = int(bars.array["open_time"].min()), int(bars.array["close_time"][-1]) + 1
    folds = walk_forward_folds(start, end, spans[0], spans[1], anchored=anchored)
    terms = market_of(market, fees, allow_short)
    options: dict[str, Any] = {"market": terms, "compiled": compiled}
    label = name or type(base).__name__
    ledger = _Ledger(bars, label, type(base), [cells, spans, anchored, metric, largest, cash, terms.to_dict()])
    search: dict[str, Any] = {
        "draws": draws, "seed": seed, "constraint": constraint, "jobs": jobs, "over": grid, "name": label,
    }  # fmt: skip
    steps = _walk(base, bars, folds, cash, search, options, (metric, largest), ledger, progress)
    times, equity, fills = (
        np.concatenate([getattr(one, what) for one in steps]) for what in ("times", "equity", "fills")
    )
    if not len(equity):
        raise InputError("no bars to test on: take longer stretches")
    trials = [*ledger.trials, ledger.whole(times, equity, cash)]
    tried = ledger.enter(home, trials, chosen=len(cells) > 1) if home is not None else Tried()
    folded = [one.result for one in steps]
    return WalkForward(label, bars, cash, metric, anchored, folded, times, equity, fills, trials, tried)


@dataclass(frozen=True)
class _Step:
    """A fold and what it traded."""

    result: FoldResult
    times: NDArray[np.int64]
    equity: NDArray[np.float64]
    fills: NDArray[Any]


def _walk(
    base: Strategy, bars: Bars, folds: list[Fold], money: float, search: dict[str, Any], options: dict[str, Any],
    metric: tuple[str, bool], ledger: _Ledger, progress: Progress | None,
) -> list[_Step]:  # fmt: skip
    """Fold after fold, until the money is gone."""
    steps: list[_Step] = []
    for fold in folds:
        steps.append(_step(base, bars, fold, money, search, options, metric, ledger))
        money = float(steps[-1].equity[-1]) if len(steps[-1].equity) else money
        if progress is not None:
            progress(len(steps), len(folds))
        if not money > 0.0:
            break
    return steps


def _step(
    base: Strategy, bars: Bars, fold: Fold, money: float, search: dict[str, Any], options: dict[str, Any],
    metric: tuple[str, bool], ledger: _Ledger,
) -> _Step:  # fmt: skip
    """Choose on the fold's training bars, trade on its test bars."""
    training, testing = bars.between(fold.train_start, fold.train_end), bars.between(fold.train_end, fold.test_end)
    if not len(training):
        raise InputError(f"no bars to train on from {iso(fold.train_start)}: take longer stretches")
    found = sweep(base, training, money, allow_gaps=True, allow_splits=True, **search, **options)
    if found.interrupted:
        raise KeyboardInterrupt
    ledger.add(found, training)
    order = found.ranked(_comparable(metric[0]), largest=metric[1])
    chosen = found.strategy_of(order[0]) if order else None
    equity, fills = trade_fold(chosen, training, testing, money, options)
    result = _result(fold, found, order, metric[0], testing, equity, fills, money, ledger.bars_per_year)
    return _Step(result, testing.array["close_time"], equity, fills)


def trade_fold(
    chosen: Strategy | None, training: Bars, testing: Bars, cash: float, options: dict[str, Any]
) -> tuple[NDArray[np.float64], NDArray[Any]]:
    """(equity after each test bar, fills) of the chosen strategy, closed at the end."""
    if chosen is None or not len(testing):
        return np.full(len(testing), cash), np.zeros(0, FILL)
    session = Session(chosen, testing.instruments, cash, **options)
    warm_up(session, training)
    session.run(testing)
    equity = session.equity[len(training) :].copy()
    last = {one.id: index for index, one in enumerate(testing.instruments)}
    for instrument, quantity in session.positions.items():
        rows = np.flatnonzero(testing.array["instrument"] == last[instrument])
        if quantity and len(rows):
            equity[-1] -= abs(quantity) * float(testing.array["close"][rows[-1]]) * session.market.fees.taker_rate
    return equity, session.fills.copy()


def _result(
    fold: Fold, found: Sweep, order: list[int], metric: str, testing: Bars,
    equity: NDArray[np.float64], fills: NDArray[Any], cash: float, bars_per_year: float,
) -> FoldResult:  # fmt: skip
    figures = found.outcomes[order[0]].figures if order else {}
    outside = equity_metrics(testing.array["close_time"], equity, cash)
    final = figures.get("final_equity")
    return FoldResult(
        fold=fold,
        params={name: found.cells[order[0]][name] for name in found.cells[0]} if order else None,
        cells=len(found),
        in_sample=figures.get(_comparable(metric)),
        in_sample_sharpe=_annual(figures, bars_per_year),
        in_sample_growth=None if final is None else final / cash,
        sharpe=_annual(outside, bars_per_year),
        growth=float(equity[-1]) / cash if len(equity) else 1.0,
        fills=len(fills),
    )


def _session_holes(bars: Bars, calendar: str) -> NDArray[Any]:
    from quantlytic.research.data.calendars import find_session_holes  # imports pandas

    return find_session_holes(bars, calendar)


def _comparable(metric: str) -> str:
    """A fold may be too short for an annualised Sharpe ratio; per bar it has the same order."""
    return "sharpe_per_bar" if metric == "sharpe" else metric


def _annual(figures: Mapping[str, float | int | None], bars_per_year: float) -> float | None:
    """The Sharpe ratio at as many bars a year as the whole data has, so that folds of any length compare."""
    ratio = figures.get("sharpe_per_bar")
    return None if ratio is None else ratio * math.sqrt(bars_per_year)


class _Ledger:
    """Collects a trial for each cell of each fold."""

    def __init__(self, bars: Bars, name: str, strategy: type[Strategy], question: list[Any]) -> None:
        self.bars, self.name, self.trials = bars, name, list[Trial]()
        self.data, self.now = data_hash(bars), time.time_ns()
        self.bars_per_year = periods_per_year(bars.array["close_time"])
        self.code, self.sketch = code_of(strategy, bars), sketch_of(bars)
        text = json.dumps([name, self.code, self.data, question], sort_keys=True)
        self.run_id = "wf-" + hashlib.sha256(text.encode()).hexdigest()[:12]

    def add(self, found: Sweep, training: Bars) -> None:
        for params, outcome in zip(found.cells, found.outcomes, strict=True):
            if not outcome.error:
                sharpe = _annual(outcome.figures, self.bars_per_year)
                self.trials.append(self._trial(params, sharpe, training.array["close_time"], "walkforward"))

    def whole(self, times: NDArray[np.int64], equity: NDArray[np.float64], cash: float) -> Trial:
        sharpe = _annual(equity_metrics(times, equity, cash), self.bars_per_year)
        return self._trial({}, sharpe, times, "walkforward-whole")

    def _trial(self, params: Params, sharpe: float | None, times: NDArray[np.int64], kind: str) -> Trial:
        return Trial(
            strategy=self.name, params={name: float(value) for name, value in params.items()}, data=self.data,
            time_ns=self.now, run_id=self.run_id, bars=len(times), sharpe=sharpe, kind=kind,
            instruments=tuple(one.id for one in self.bars.instruments),
            start_ns=int(times[0]), end_ns=int(times[-1]) + 1, code=self.code, sketch=self.sketch,
        )  # fmt: skip

    def enter(self, home: Path, trials: list[Trial], *, chosen: bool) -> Tried:
        """Enter them, unless the same walk-forward was entered before; returns the walk-forwards on this data. With nothing to
        choose from in the folds it was chosen before: then every trial on this data counts."""
        from quantlytic.store.control import open_control

        with open_control(home) as control:
            known = control.trials.like(trials[-1])
            if not any(one.run_id == self.run_id for one in known):
                control.trials.add(trials)
                known = [*known, *trials]
        if not chosen:
            return tried_in(known)
        wholes = {one.run_id: one.sharpe for one in known if one.kind == "walkforward-whole"}
        ratios = [sharpe for sharpe in wholes.values() if sharpe is not None]
        return Tried(max(len(wholes), 1), float(np.var(ratios, ddof=1)) if len(ratios) > 1 else None)
