"""One backtest: a strategy over bars, and everything to know about it."""

from __future__ import annotations

import os
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlytic.engine.data.adjust import adjust, adjust_fills
from quantlytic.engine.data.bars import Bars
from quantlytic.engine.data.tape import Tape, Ticks
from quantlytic.engine.market.fees import Fees
from quantlytic.engine.market.market import Market
from quantlytic.engine.session import Session
from quantlytic.engine.strategy import Strategy
from quantlytic.model.action import ACTION
from quantlytic.model.cashflow import CASH_FLOW
from quantlytic.model.errors import InputError, StrategyError
from quantlytic.model.order import OrderStatus, Reason
from quantlytic.model.time import iso
from quantlytic.research.data.holes import find_holes, refuse_holes
from quantlytic.research.data.unadjusted import STEP, find_unadjusted, refuse_unadjusted
from quantlytic.research.figures.benchmark import benchmark_metrics, benchmark_of
from quantlytic.research.figures.capacity import capacity
from quantlytic.research.figures.curve import DAY_NS, Curve
from quantlytic.research.figures.metrics import MIN_RATIO_DAYS, Figures, curve_metrics, reasons
from quantlytic.research.figures.participation import participation
from quantlytic.research.figures.positions import exposure
from quantlytic.research.figures.roundtrips import round_trips
from quantlytic.research.figures.trades import cost_metrics, trade_metrics
from quantlytic.research.honesty.verdict import Verdict
from quantlytic.research.runs import manifest
from quantlytic.research.runs.failure import BacktestFailed, failed
from quantlytic.research.search.arguments import cash_of, strategy_of
from quantlytic.strategies.catalogue import reads_forecasts, source_hash


def backtest(
    strategy: Strategy | type[Strategy],
    bars: Bars,
    cash: float = 1_000_000.0,
    fees: Fees = Fees(),  # noqa: B008 - immutable
    *,
    compiled: bool = True,
    allow_short: bool = False,
    market: Market | None = None,
    allow_gaps: bool = False,
    allow_splits: bool = False,
    calendar: str | None = None,
    benchmark: Bars | Curve | None = None,
    actions: NDArray[Any] | None = None,
    record: bool | str | os.PathLike[str] = False,
    name: str | None = None,
) -> Result:
    """Run a strategy over bars, on one account that starts with `cash` in the quote currency and holds nothing.

    It decides at a bar's close, on equity marked there; market orders fill at the next bar's open, limits by its high
    and low. `compiled=False` runs the same class in plain Python, for a debugger, to the same bytes. `name` is what the
    run calls the strategy, its class's name unless given.

    `market` holds every assumption about trading: fees, slippage, latency, participation, margin and so on; `fees` and
    `allow_short` are short for a market of these alone.

    Bars that are missing are refused, unless `allow_gaps`; `calendar` (an exchange's code, such as XNYS) says when none
    are to be expected. Prices that step as at a split are refused where no `actions` are given, unless `allow_splits`.
    `benchmark` is what it is measured against: another instrument's bars or a curve; without one, the same instruments
    bought and held. `actions` (dtype ACTION, by time: what `load_equity` finds) are splits, dividends
    and delistings of the bars' instruments, whose prices are raw. Nothing is written, unless `record` asks for it: True
    keeps the run and enters its trial in the data folder (QUANTLYTIC_HOME, else ./quantlytic-data), a path in that folder.

    Raises InputError for no bars or no cash, DataError for holes and splits, StrategyError when the strategy does not
    compile, and BacktestFailed, which has the results so far, when it raises in the middle.
    """
    _check(bars, benchmark, actions)
    holes = _holes(bars, calendar)
    if not allow_gaps:
        refuse_holes(bars, holes)
    steps = find_unadjusted(bars) if actions is None else np.zeros(0, STEP)
    if not allow_splits:
        refuse_unadjusted(bars, steps)
    begun = time.perf_counter()
    strategy, cash = strategy_of(strategy), cash_of(cash)
    session = Session(strategy, bars.instruments, cash, fees, compiled=compiled, allow_short=allow_short, market=market)
    given: dict[str, Any] = {
        "name": name or type(strategy).__name__, "cash": cash, "market": session.market,
        "compiled": compiled, "calendar": calendar, "benchmark_given": benchmark, "actions": actions,
        "unadjusted": steps,
    }  # fmt: skip

    try:
        session.run(_data(bars, actions))
    except StrategyError as error:
        if error.bar < 0:  # it does not compile, or there is no telling where it stopped
            raise
        failure = _failure(error, session, bars, begun, given)
        if record:
            _record(failure, record)
        raise failure from error
    result = _result(session, bars, holes, begun, given)
    if record:
        _record(result, record)
    return result


def _check(bars: object, benchmark: object, actions: object) -> None:
    if not isinstance(bars, Bars):
        raise InputError("bars are what load_bars returns, or Bars.of(...) makes")
    if not len(bars):
        raise InputError(f"{bars.label or 'bars'}: no bars to run over")
    if not (benchmark is None or isinstance(benchmark, Bars | Curve)):
        raise InputError("a benchmark is bars, as load_bars returns them, or a Curve")
    if not (actions is None or (isinstance(actions, np.ndarray) and actions.dtype == ACTION)):
        raise InputError("actions are an array of dtype ACTION: what load_equity finds")


def _result(session: Session, bars: Bars, holes: NDArray[Any], begun: float, given: dict[str, Any]) -> Result:
    return Result(
        strategy=session.strategy,
        bars=bars,
        equity=session.equity,
        fills=session.fills,
        flows=session.flows,
        digest=session.digest,
        elapsed_s=time.perf_counter() - begun,
        rejections=_rejections(session),
        holes_found=holes,
        **given,
    )


def _failure(error: StrategyError, session: Session, bars: Bars, begun: float, given: dict[str, Any]) -> BacktestFailed:
    """What was finished before the strategy raised stays in the session: it becomes a result of the bars until then."""
    done = len(session.equity)
    if given["actions"] is not None:  # actions are events too; on a tape the last bar has its equity before it is told
        error.bar = max(done - 1, 0)
    upto = Bars(bars.array[:done], bars.instruments, bars.label, bars.source)
    partial = _result(session, upto, _holes(upto, given["calendar"]), begun, given) if done else None
    return failed(error, session, bars, partial)


def _data(bars: Bars, actions: NDArray[Any] | None) -> Bars | Tape:
    """What the session runs over: bars, and their actions until they end."""
    if actions is None or not len(bars):
        return bars
    known = actions[actions["event_time"] <= bars.array["close_time"][-1]]
    return Tape(bars=bars, actions=Ticks(known, bars.instruments, "corporate actions"))


def _record(outcome: Result | BacktestFailed, where: bool | str | os.PathLike[str]) -> None:
    from quantlytic.research.runs.runfolder import save_failure, save_run
    from quantlytic.store.home import home_folder

    home = home_folder() if isinstance(where, bool) else Path(where)
    if isinstance(outcome, BacktestFailed):
        save_failure(outcome, home)
    else:
        save_run(outcome, home, time.time_ns())


def _holes(bars: Bars, calendar: str | None) -> NDArray[Any]:
    if calendar is None:
        return find_holes(bars)
    from quantlytic.research.data.calendars import find_session_holes  # imports pandas

    return find_session_holes(bars, calendar)


def _rejections(session: Session) -> dict[str, int]:
    """How many orders the broker refused, by reason, most frequent first."""
    updates = session.updates
    reasons = updates["reason"][updates["status"] == OrderStatus.REJECTED].tolist()
    return {Reason(reason).text: count for reason, count in Counter(reasons).most_common()}


@dataclass(frozen=True)
class Result:
    """What a backtest did: `equity` at the close of each bar (f8[bars]), `fills` (dtype FILL), and what follows.

    `digest` is the SHA-256 over fills and equity: equal digests, equal runs. `run_id` is made from what went in
    (strategy, its source, parameters, data, cash, fees), so the same question has the same id.
    """

    strategy: Strategy
    name: str
    bars: Bars
    cash: float
    market: Market
    compiled: bool
    equity: NDArray[np.float64]
    fills: NDArray[Any]
    digest: str
    elapsed_s: float
    rejections: dict[str, int] = field(default_factory=dict)
    flows: NDArray[Any] = field(default_factory=lambda: np.zeros(0, CASH_FLOW))
    holes_found: NDArray[Any] | None = None
    calendar: str | None = None
    benchmark_given: Bars | Curve | None = None
    actions: NDArray[Any] | None = None
    unadjusted: NDArray[Any] = field(default_factory=lambda: np.zeros(0, STEP))
    """Steps in prices that look like splits, where no actions are given: rows of dtype STEP."""

    def __repr__(self) -> str:
        return (
            f"Result({self.name}, {self.bars!r}, {len(self.fills):,} fills, "
            f"equity {self.cash:,.10g} -> {float(self.equity[-1]):,.10g}, digest {self.digest[:12]})"
        )

    @cached_property
    def comparable(self) -> tuple[Bars, NDArray[Any]]:
        """Bars and fills in units of after all splits: the run's own where there were none."""
        if self.actions is None:
            return self.bars, self.fills
        array = adjust(self.bars.array, self.actions, dividends=False)
        return Bars(array, self.bars.instruments, self.bars.label), adjust_fills(self.fills, self.actions)

    @cached_property
    def round_trips(self) -> NDArray[Any]:
        """Entries with their exits, first in, first out: rows of dtype ROUND_TRIP, by exit; in units of after all splits."""
        bars, fills = self.comparable
        return round_trips(fills, bars.array)

    @cached_property
    def hole_rows(self) -> NDArray[Any]:
        """The holes in the data: rows of dtype HOLE."""
        return _holes(self.bars, self.calendar) if self.holes_found is None else self.holes_found

    @property
    def holes(self) -> int:
        """Bars that are missing in the data."""
        return int(self.hole_rows["missing"].sum())

    @cached_property
    def curve(self) -> Curve:
        """Equity, one value a bar time."""
        return Curve.of(self.bars.array["close_time"], self.equity)

    @cached_property
    def benchmark(self) -> Curve:
        """What the same cash would be worth in the benchmark, at the times of `curve`; dividends put back where known."""
        if self.actions is None:
            return benchmark_of(self.bars, self.cash, self.benchmark_given)
        adjusted = Bars(adjust(self.bars.array, self.actions), self.bars.instruments, self.bars.label)
        return benchmark_of(adjusted, self.cash, self.benchmark_given)

    @cached_property
    def metrics(self) -> Figures:
        """Every figure by name; None where it is undefined. See docs/backtest.md for what each means."""
        curve = self.curve
        figures = curve_metrics(curve, self.cash) | benchmark_metrics(curve, self.benchmark, self.cash)
        figures |= trade_metrics(self.fills, self.round_trips) | cost_metrics(self.fills, self.flows)
        mean_equity, traded = float(self.equity.mean()), float(figures["traded_value"] or 0.0)
        lasts = curve.span_ns >= MIN_RATIO_DAYS * DAY_NS and mean_equity > 0
        figures["turnover"] = traded / mean_equity / curve.years if lasts else None
        bars, fills = self.comparable
        figures["exposure"] = exposure(bars.array["close_time"], fills)
        figures["capacity"] = capacity(bars, fills, self.cash, float(self.equity[-1]) - self.cash)
        figures |= participation(self.bars, self.fills)  # both as they were traded, before any split
        return figures

    @cached_property
    def reasons(self) -> dict[str, str]:
        """Why figures are None, where there were too few data for them: name -> plain words."""
        return reasons(self.curve, self.metrics)

    @cached_property
    def code_hash(self) -> str:
        """SHA-256 of the file that defines the strategy ("" for one typed into a shell)."""
        return source_hash(type(self.strategy))

    @cached_property
    def data_hash(self) -> str:
        """SHA-256 over the instruments' ids and the bars' columns, and those of the actions where there are any."""
        return manifest.data_hash(self.bars, self.actions)

    @cached_property
    def run_id(self) -> str:
        """`bt-` and 12 hex digits."""
        return manifest.run_id(self)

    @property
    def assumptions(self) -> list[str]:
        """What was assumed, in plain sentences."""
        return [
            "The strategy decides at a bar's close, on equity marked at that close.",
            *(str(one["sentence"]) for one in self.bars.source.get("forecasts", ())),
            *(["It follows forecasts, and these bars have none."] if self._misses_forecasts else []),
            "Market orders fill at the open of the instrument's next bar.",
            "Limits and stops fill when a later bar's high or low reaches them, at their price, or at its open if that is "
            "beyond it.",
            *self.market.sentences(),
            f"One account starts with {self.cash:,.10g} in cash and earns no interest.",
            "Nothing is rounded unless an instrument states a tick or lot size.",
            "What is still held at the end is valued at the last close, not sold.",
        ]

    @property
    def _misses_forecasts(self) -> bool:
        return not self.bars.has_forecasts and reads_forecasts(type(self.strategy))

    def summary(self) -> dict[str, Any]:
        """The run in one flat record, ready for JSON: fixed names, None where a figure is undefined."""
        array, figures = self.bars.array, self.metrics
        return {
            "run_id": self.run_id,
            "strategy": self.name,
            "params": self.strategy.params,
            "bars": len(array),
            "start": iso(int(array["open_time"].min())),
            "end": iso(int(array["close_time"][-1])),
            "final_equity": _number(float(self.equity[-1])),
            **{
                name: figures[name]
                for name in ("fills", "round_trips", "fees_paid", "sharpe", "sortino", "max_drawdown")
            },
            "elapsed_s": round(self.elapsed_s, 6),
            "digest": self.digest,
            "mode": "compiled" if self.compiled else "debug",
            "instruments": [one.id for one in self.bars.instruments],
            "cash": self.cash,
            "fee_bps": self.market.fees.taker_bps,
            "holes": self.holes,
            "unadjusted_splits": len(self.unadjusted),
            "rejected": sum(self.rejections.values()),
            "rejections": self.rejections,
            **{name: value for name, value in figures.items() if name not in _FIXED},
            "reasons": self.reasons,
            "versions": manifest.versions(),
        }

    def manifest(self) -> dict[str, Any]:
        """What it takes to run it again and to know it is the same: code, data, parameters, assumptions, versions."""
        return manifest.manifest_of(self)

    def plot(
        self, path: str | os.PathLike[str] | None = None, *, show: bool = False, verdict: Verdict | None = None
    ) -> Path:
        """Write the report, one HTML file that needs no network (`RUN_ID.html` unless told), and return its path.

        `show=True` opens it in the browser. `verdict`: the one to put on top; without it one that counts no other trials.
        """
        from quantlytic.research.pages.report import write_report  # its template engine takes a while to import

        written = write_report(self, Path(path) if path is not None else Path(f"{self.run_id}.html"), verdict)
        if show:
            import webbrowser

            webbrowser.open(written.resolve().as_uri())
        return written


_FIXED = {"fills", "round_trips", "fees_paid", "sharpe", "sortino", "max_drawdown"}


def _number(value: float) -> float | None:
    return value if np.isfinite(value) else None
