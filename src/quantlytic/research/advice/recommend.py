"""Which strategy suits which instrument, or none: the catalogue walked forward with costs, and every trial counted.

For each instrument every strategy is walked forward (`walk_forward`, anchored): the first third of the data is for training
alone, the rest is divided into stretches; before each the strategy draws parameter sets, takes the one with the best Sharpe
ratio on everything before, and trades it. Only what it then earned counts. A strategy is recommended when all of this holds,
and the best of those by Sharpe ratio is:

- it earned money after costs, in at least five round trips that it closed itself;
- its deflated Sharpe ratio is 0.95 or more with all trials counted, of its returns and of what is left without the market;
- Hansen's SPA p-value over the returns of all strategies together is 0.05 or less;
- its Sharpe ratio is above that of holding, and at least half of the stretches earned;
- the same decisions still earn with fees twice and thrice, slippage, orders a bar late, and all of that at once.

Otherwise the answer is: none.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from quantlytic.engine.data.bars import Bars
from quantlytic.engine.market.fees import Fees
from quantlytic.engine.market.market import Market, market_of
from quantlytic.engine.strategy import Strategy
from quantlytic.model.errors import DataError, InputError, QuantlyticError, StrategyError
from quantlytic.research.advice.finding import Finding
from quantlytic.research.advice.recommendation import Recommendation
from quantlytic.research.advice.recommendfolder import Kept, question_of
from quantlytic.research.advice.recommendrules import Rule, is_sensible, rules_of
from quantlytic.research.advice.weighing import Plan, Walked, finding_of
from quantlytic.research.data.holes import find_holes, refuse_holes
from quantlytic.research.data.unadjusted import find_unadjusted, refuse_unadjusted
from quantlytic.research.search.walkforward import walk_forward

if TYPE_CHECKING:
    from collections.abc import Iterator

Progress = Callable[[str, int, int], None]

STANDARD_FEE_BPS = 10.0
_MOST_BARE = 0.5  # share of bars without wicks
_FEWEST_BARS = 300  # fewer, and nothing could be said of a fold


def recommend(
    bars: Bars | Mapping[str, Bars],
    *,
    strategies: Sequence[str | type[Strategy]] | None = None,
    folds: int = 6,
    draws: int = 16,
    seed: int = 0,
    cash: float = 1_000_000.0,
    fees: Fees | None = None,
    market: Market | None = None,
    allow_short: bool = False,
    allow_gaps: bool = False,
    allow_splits: bool = False,
    calendar: str | None = None,
    jobs: int | None = None,
    compiled: bool = True,
    progress: Progress | None = None,
    home: Path | None = None,
    keep: Path | None = None,
) -> Recommendation:
    """Try the strategies on each instrument alone and say which suits it, or that none does.

    `bars`: by symbol, or of several instruments, which are then taken one by one. `strategies`: names or classes; without
    them all built-in ones that decide on one instrument's bars. `folds` stretches out of sample; before each, `draws`
    parameter sets are tried, drawn by `seed`. Fees are 10 bps a fill unless `fees` or a `market` says otherwise;
    `allow_short`, `allow_gaps`, `allow_splits`, `calendar` are as in `backtest`. Runs on all cores, or `jobs`.

    With the data folder `home` every trial goes into its ledger, and what it has on the data counts. Finished instruments
    are kept in the folder `keep` until all are, and taken from there when the same question is asked again. Ctrl-C keeps
    what is finished (`Recommendation.interrupted`). `progress` is called with (symbol, strategies done, of).

    Raises InputError for too few bars and unknown names, DataError for holes and splits, StrategyError where nothing could
    be run.
    """
    parts = by_symbol(bars)
    assumed = market_of(
        market, Fees(STANDARD_FEE_BPS) if fees is None and market is None else fees or Fees(), allow_short
    )
    rules, left_out = rules_of(strategies, assumed.allow_short)
    plan = Plan(folds=_whole("folds", folds, 2), draws=_whole("draws", draws, 1), seed=int(seed), cash=float(cash),
                market=assumed, compiled=compiled)  # fmt: skip
    if not allow_splits:
        for own in parts.values():
            refuse_unadjusted(own, find_unadjusted(own))
    missing = {symbol: _missing(own, calendar, allow_gaps) for symbol, own in parts.items()}
    manifest = question_of(parts, rules, left_out, plan, calendar, missing)
    kept = Kept(keep, manifest)
    begun, found, resumed, interrupted = time.perf_counter(), list[Finding](), 0, False
    with _workers(jobs) as (submit, stop):
        waiting = {
            symbol: [] if symbol in kept else [submit(_walk, rule, own, plan, stop) for rule in rules]
            for symbol, own in parts.items()
        }
        try:
            for symbol, own in parts.items():
                if symbol in kept:
                    found.append(kept[symbol])
                    resumed += 1
                    continue
                walked = _gather(symbol, rules, waiting.pop(symbol), progress)
                found.append(finding_of(symbol, own, walked, plan, missing[symbol], home))
                kept.put(found[-1])
        except KeyboardInterrupt:
            interrupted = True
            if not found:
                raise
    if not interrupted:
        kept.clear()
    return Recommendation(found, manifest, interrupted, time.perf_counter() - begun, resumed)


def _walk(rule: Rule, own: Bars, plan: Plan, stop: threading.Event) -> Walked:
    """Walk a strategy forward; an error is a part of the answer."""
    start, end = int(own.array["open_time"][0]), int(own.array["close_time"][-1]) + 1
    train = (end - start) // 3
    test = -(-(end - start - train) // plan.folds)

    def check(_done: int, _of: int) -> None:
        if stop.is_set():
            raise _Stopped

    fixed = {name: [value] for name, value in list(rule.kind().params.items())[:1]}
    try:
        check(0, 0)
        found = walk_forward(
            rule.kind, own, rule.axes or fixed, train=train, test=test, anchored=True, cash=plan.cash, market=plan.market,
            allow_gaps=True, allow_splits=True, draws=plan.draws if rule.axes else None, seed=plan.seed,
            constraint=is_sensible, jobs=1, compiled=plan.compiled, progress=check, name=rule.name,
        )  # fmt: skip
    except QuantlyticError as error:
        return Walked(rule, None, str(error))
    return Walked(rule, found)


class _Stopped(Exception):
    """Nobody waits for it any more."""


@contextmanager
def _workers(jobs: int | None) -> Iterator[tuple[Callable[..., Future[Walked]], threading.Event]]:
    """(submit, an event that ends what runs): threads, as compiled code holds no lock of Python's."""
    from joblib import effective_n_jobs

    if jobs == 0:
        raise InputError("jobs is a number of cores, 1 or more; -1 is all of them")
    stop = threading.Event()
    pool = ThreadPoolExecutor(effective_n_jobs(-1 if jobs is None else jobs))
    try:
        yield pool.submit, stop
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)


def _gather(
    symbol: str, rules: Sequence[Rule], waiting: list[Future[Walked]], progress: Progress | None
) -> list[Walked]:
    """What became of each strategy, in order."""
    found = []
    for done, future in enumerate(waiting):
        if progress is not None:
            progress(symbol, done, len(rules))
        found.append(future.result())
    if progress is not None:
        progress(symbol, len(rules), len(rules))
    if all(one.found is None for one in found):
        raise StrategyError(f"no strategy could be run on {symbol}; the first: {found[0].error}")
    return found


def by_symbol(bars: Bars | Mapping[str, Bars]) -> dict[str, Bars]:
    """Bars of one instrument each."""
    given = bars if isinstance(bars, Mapping) else _parts(bars)
    if not given:
        raise InputError("recommend needs bars of at least one instrument")
    for symbol, own in given.items():
        if not isinstance(own, Bars) or len(own.instruments) != 1:
            raise InputError(f"{symbol}: recommend takes bars of one instrument for each symbol")
        if len(own) < _FEWEST_BARS:
            raise InputError(f"{symbol} has {len(own)} bars: at least {_FEWEST_BARS} are needed to say anything")
        _check_wicks(symbol, own)
    return dict(given)


def _check_wicks(symbol: str, own: Bars) -> None:
    """Refuse bars that know nothing beyond their opens and closes: a stop inside a bar that closes at its high always wins."""
    array = own.array
    moved = array[array["open"] != array["close"]]
    bare = (moved["high"] == np.maximum(moved["open"], moved["close"])) & (
        moved["low"] == np.minimum(moved["open"], moved["close"])
    )
    if bare.sum() > _MOST_BARE * len(moved):
        raise DataError(
            f"{symbol}: in {bare.mean():.0%} of the bars highs and lows are no more than open and close, so what stops and "
            "limits would have earned inside them cannot be known: give bars with true highs and lows"
        )


def _parts(bars: Bars) -> dict[str, Bars]:
    """Each instrument's own."""
    if not isinstance(bars, Bars):
        raise InputError("recommend needs bars: what load_bars returns, or a dict of them by symbol")
    if len(bars.instruments) == 1:
        return {_name(bars): bars}
    found = {}
    for index, instrument in enumerate(bars.instruments):
        array = bars.array[bars.array["instrument"] == index]
        array["instrument"] = 0
        own = Bars(array, (instrument,), bars.label, bars.source)
        found[_name(own)] = own
    return found


def _name(own: Bars) -> str:
    return own.instruments[0].symbol or own.instruments[0].id


def _missing(own: Bars, calendar: str | None, allow_gaps: bool) -> int:
    """How many bars are missing; DataError when there are any and that is not allowed."""
    holes: NDArray[Any]
    if calendar is None:
        holes = find_holes(own)
    else:
        from quantlytic.research.data.calendars import find_session_holes  # imports pandas

        holes = find_session_holes(own, calendar)
    if not allow_gaps:
        refuse_holes(own, holes)
    return int(np.sum(holes["missing"]))


def _whole(name: str, value: int, least: int) -> int:
    if isinstance(value, bool) or int(value) != value or value < least:
        raise InputError(f"{name} is a whole number, {least} or more, not {value!r}")
    return int(value)
