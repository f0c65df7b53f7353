"""From the walk-forwards of many strategies on one instrument to an answer: which of them, or none, and how sure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from quantlytic.engine.data.bars import Bars
from quantlytic.engine.market.market import Market
from quantlytic.research.advice.finding import Contender, Finding, Record, Stressed, Stretch
from quantlytic.research.advice.recommendrules import Rule
from quantlytic.research.advice.recommendtext import CONFIDENCE, EVEN, FEWEST_TRIPS, sentence_of
from quantlytic.research.figures.metrics import equity_metrics
from quantlytic.research.figures.roundtrips import round_trips
from quantlytic.research.honesty.overfitting import backtest_overfitting, deflated_sharpe, moments
from quantlytic.research.honesty.realitycheck import superior_predictive_ability
from quantlytic.research.honesty.sampling import period_returns, periods_per_year
from quantlytic.research.honesty.stress import scenarios
from quantlytic.research.honesty.trials import tried
from quantlytic.research.honesty.tried import Tried
from quantlytic.research.honesty.verdict import judge
from quantlytic.research.runs.manifest import data_hash
from quantlytic.research.search.walkforward import WalkForward, trade_fold
from quantlytic.store.control.records import Trial

Values = NDArray[np.float64]

_POINTS = 400  # of a curve that is kept
_CURVES = 3  # strategies whose curve is kept
_FEWEST_PERIODS = 30
_BLOCKS = 16


@dataclass(frozen=True)
class Plan:
    """What is done with every strategy on every instrument."""

    folds: int
    draws: int
    seed: int
    cash: float
    market: Market
    compiled: bool


@dataclass(frozen=True)
class Walked:
    """A strategy's walk-forward, or the error it ended with."""

    rule: Rule
    found: WalkForward | None
    error: str = ""


def finding_of(
    symbol: str, bars: Bars, walked: Sequence[Walked], plan: Plan, missing: int, home: Path | None
) -> Finding:
    """Weigh all strategies against each other, against holding, and against luck. With the data folder `home` their trials
    go into its ledger first, and all that it has on the data counts."""
    ran = [(one.rule, one.found) for one in walked if one.found is not None]
    counted = _counted([found for _, found in ran], bars, home)
    longest = max((found for _, found in ran), key=lambda found: len(found.times))
    field = _Field.of(bars, longest.times, plan)
    tested, returns = zip(*(_test(rule, found, field, counted, len(ran)) for rule, found in ran), strict=True)
    table = np.column_stack(returns)
    spa_cash, spa_hold, loss = _together(table, field.hold, plan.seed)
    order = sorted(range(len(ran)), key=lambda k: _rank(tested[k]))
    marked, stressed, stress = _decide([tested[k] for k in order], [ran[k] for k in order], spa_cash, field)
    chosen = next((one.strategy for one in marked if not one.doubt), None)
    at = _curve_points(len(longest.times))
    shown = [one.strategy for one in marked[:_CURVES]] + [chosen]
    by_name = {rule.name: found for rule, found in ran}
    finding = Finding(
        instrument=bars.instruments[0].id,
        symbol=symbol,
        strategy=chosen,
        sentence="",
        trials=counted.count,
        tested=tuple(
            msgspec.structs.replace(one, curve=_curve(by_name[one.strategy], at, plan.cash))
            if one.strategy in shown
            else one
            for one in marked
        ),
        hold=field.record(at),
        curve_times=tuple(longest.times[at].tolist()),
        spa_cash=spa_cash,
        spa_hold=spa_hold,
        picked_loss=loss,
        stressed=stressed,
        stress=stress,
        failed={one.rule.name: one.error for one in walked if one.found is None},
        bars=len(bars),
        missing=missing,
        start_ns=int(bars.array["open_time"][0]),
        test_start_ns=longest.folds[0].fold.train_end,
        end_ns=int(bars.array["close_time"][-1]),
        data_sha256=data_hash(bars),
    )
    return msgspec.structs.replace(finding, sentence=sentence_of(finding))


@dataclass(frozen=True)
class _Field:
    """What all strategies of an instrument are held against: the bars out of sample, and holding them from the first close,
    for the fee. `hold`: its returns per period."""

    bars: Bars
    plan: Plan
    equity: Values
    times: NDArray[np.int64]
    hold: Values
    per_year: float

    @classmethod
    def of(cls, bars: Bars, times: NDArray[np.int64], plan: Plan) -> _Field:
        close = bars.between(int(times[0]), int(times[-1]) + 1).array["close"]
        equity = plan.cash * close / close[0] * (1.0 - plan.market.fees.taker_rate)
        ends, hold = period_returns(times, equity, plan.cash)
        return cls(bars, plan, equity, times, hold, periods_per_year(ends))

    def returns(self, found: WalkForward) -> Values:
        """Per period; after a total loss nothing more."""
        _, returns = period_returns(found.times, found.equity, found.cash)
        return np.append(returns, np.zeros(len(self.hold) - len(returns)))

    def sharpe(self, returns: Values) -> float | None:
        of = moments(returns)
        return None if of is None or not self.per_year else of.sharpe * math.sqrt(self.per_year)

    def record(self, at: NDArray[np.int64]) -> Record:
        """Of holding."""
        figures = equity_metrics(self.times, self.equity, self.plan.cash)
        return Record(
            total_return=float(self.equity[-1]) / self.plan.cash - 1.0,
            cagr=figures["cagr"],
            sharpe=self.sharpe(self.hold),
            max_drawdown=figures["max_drawdown"],
            curve=tuple((self.equity[at] / self.plan.cash).round(6).tolist()),
        )


def _test(rule: Rule, found: WalkForward, field: _Field, counted: Tried, strategies: int) -> tuple[Contender, Values]:
    """A strategy's record, and its returns."""
    returns, figures = field.returns(found), found.metrics
    trips = _trips(found)
    weighed = judge(returns, per_year=field.per_year, hold=field.hold, trials=counted, round_trips=trips).figures
    of = moments(returns)
    alone = None if of is None else deflated_sharpe(of, strategies, 1.0 / max(len(returns) - 1, 1))
    record = Contender(
        strategy=rule.name,
        total_return=float(found.equity[-1]) / found.cash - 1.0,
        cagr=figures["cagr"],
        sharpe=field.sharpe(returns),
        max_drawdown=figures["max_drawdown"],
        round_trips=trips,
        cells=max(one.cells for one in found.folds),
        fills=len(found.fills),
        dsr_strategies=alone,
        stretches=tuple(
            Stretch(start_ns=one.fold.train_end, end_ns=one.fold.test_end, gained=one.growth - 1.0, params=one.params)
            for one in found.folds
        ),
        psr=weighed.get("psr"),
        dsr=weighed.get("dsr"),
        dsr_alpha=weighed.get("dsr_alpha"),
        beta=weighed.get("beta"),
    )
    return record, returns


def _trips(found: WalkForward) -> int:
    """Round trips that the strategy closed itself: each fold begins flat, what it holds at its end is no trip."""
    edges = np.searchsorted(found.fills["event_time"], [one.fold.train_end for one in found.folds])
    return sum(len(round_trips(part)) for part in np.split(found.fills, edges[1:]))


def _together(table: Values, hold: Values, seed: int) -> tuple[float | None, float | None, float | None]:
    """(SPA p against nothing, against holding, how often the best of one half lost in the other); None: too short to say."""
    if len(table) < _FEWEST_PERIODS:
        return None, None, None
    cash = superior_predictive_ability(table, seed=seed).p_value
    against = superior_predictive_ability(table, hold, seed=seed).p_value
    moving = table[:, table.std(axis=0) > 0.0]
    loss = backtest_overfitting(moving, _BLOCKS).loss if moving.shape[1] > 1 and len(table) >= 2 * _BLOCKS else None
    return cash, against, loss


def _rank(one: Contender) -> tuple[bool, float]:
    """Best Sharpe ratio first; those with too few round trips to judge go last."""
    return one.round_trips < FEWEST_TRIPS, -(one.sharpe if one.sharpe is not None else -math.inf)


def _decide(
    tested: list[Contender], ran: list[tuple[Rule, WalkForward]], spa: float | None, field: _Field
) -> tuple[list[Contender], str, tuple[Stressed, ...]]:
    """(each with its doubt, the one that was stressed, how it did). The first without a doubt is the answer."""
    marked: list[Contender] = []
    name, rows = "", tuple[Stressed, ...]()
    answered = False
    for one, (rule, found) in zip(tested, ran, strict=True):
        doubt = _doubt(one, spa, field)
        if not answered and (not doubt or (not marked and one.total_return > 0.0)):
            name, rows = one.strategy, _stress(rule, found, field)
            if not doubt and any(row.total_return <= 0.0 for row in rows):
                doubt = "costs"
        if not doubt and answered:
            doubt = "second"
        answered = answered or not doubt
        marked.append(msgspec.structs.replace(one, doubt=doubt))
    return marked, name, rows


def _doubt(one: Contender, spa: float | None, field: _Field) -> str:
    """A key of `recommendtext.DOUBTS`; "" for none but what costs may do."""
    sharpe, dsr, alpha, hold = one.sharpe, one.dsr, one.dsr_alpha, field.sharpe(field.hold)
    if sharpe is None or one.total_return <= 0.0 or sharpe <= 0.0:
        return "lost" if one.fills else "idle"
    if one.round_trips < FEWEST_TRIPS:
        return "few"
    if len(field.hold) < _FEWEST_PERIODS or dsr is None or spa is None:
        return "short"
    weighed = {
        "luck": dsr < EVEN,
        "unproven": dsr < CONFIDENCE,
        "market": alpha is not None and alpha < CONFIDENCE,
        "search": spa > 1.0 - CONFIDENCE,
        "holding": hold is not None and sharpe <= hold,
        "unstable": 2 * one.earned < len(one.stretches),
    }
    return next((doubt for doubt, holds in weighed.items() if holds), "")


def _stress(rule: Rule, found: WalkForward, field: _Field) -> tuple[Stressed, ...]:
    """What each stretch chose, traded again in harder markets."""
    rows = []
    for name, market in scenarios(field.plan.market, field.bars):
        money = found.cash
        for one in found.folds:
            training = field.bars.between(one.fold.train_start, one.fold.train_end)
            testing = field.bars.between(one.fold.train_end, one.fold.test_end)
            chosen = None if one.params is None else rule.kind(**one.params)
            options = {"market": market, "compiled": field.plan.compiled}
            equity, _ = trade_fold(chosen, training, testing, money, options)
            money = float(equity[-1]) if len(equity) else money
            if not money > 0.0:
                break
        rows.append(Stressed(name=name, total_return=money / found.cash - 1.0))
    return tuple(rows)


def _counted(found: Sequence[WalkForward], bars: Bars, home: Path | None) -> Tried:
    """The trials on this data: all cells of all strategies, and what was on record before."""
    made = [trial for one in found for trial in one.trials]
    if home is not None:
        made = _entered(made, bars, home)
    return tried([one for one in made if one.kind != "walkforward-whole"])


def _entered(made: list[Trial], bars: Bars, home: Path) -> list[Trial]:
    """Enter the trials of walk-forwards that are not on record yet; returns all that are."""
    from quantlytic.store.control import open_control

    array = bars.array
    whole = Trial(
        strategy="", params={}, data=made[0].data, time_ns=0, instruments=(bars.instruments[0].id,),
        start_ns=int(array["open_time"][0]), end_ns=int(array["close_time"][-1]) + 1,
    )  # fmt: skip
    with open_control(home) as control:
        known = control.trials.like(whole)
        runs = {one.run_id for one in known}
        fresh = [one for one in made if one.run_id not in runs]
        control.trials.add(fresh)
    return [*known, *fresh]


def _curve_points(count: int) -> NDArray[np.int64]:
    return np.unique(np.linspace(0, count - 1, min(_POINTS, count)).astype(np.int64))


def _curve(found: WalkForward, at: NDArray[np.int64], cash: float) -> tuple[float, ...]:
    """Equity over cash at the points; where the money was gone before, what was left of it."""
    inside = np.minimum(at, len(found.equity) - 1)
    return tuple((found.equity[inside] / cash).round(6).tolist())
