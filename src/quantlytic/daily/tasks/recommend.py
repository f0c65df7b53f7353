"""Which strategy suits each instrument: found out anew where the last answer is too old, or there is none."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from datetime import timedelta

import polars as pl

from quantlytic.daily.calendar import DAY_NS, label_ns
from quantlytic.daily.day import Day, Summary
from quantlytic.daily.shelf import bars_of, rows_before
from quantlytic.engine.data.bars import Bars
from quantlytic.engine.market.fees import Fees
from quantlytic.model.advice import Advice
from quantlytic.model.errors import QuantlyticError
from quantlytic.model.event import Event
from quantlytic.research.advice.finding import Finding
from quantlytic.research.advice.recommend import by_symbol, recommend
from quantlytic.research.advice.recommendfolder import save_recommendation


def run(day: Day) -> Summary:
    """Answers into the lake's table `advice`, the evidence into `recommendations/QUESTION`, every trial into the trial ledger.

    Finished instruments are kept until all are: killed in the middle, it goes on there. An instrument that cannot be judged is
    told of.
    """
    due = _due(day)
    bars, trouble = dict[str, Bars](), list[str]()
    for name, own in bars_of(day, due, "dividends").items() if due else ():
        try:
            bars |= by_symbol({name: own})
        except QuantlyticError as error:
            trouble.append(f"{name}: no recommendation: {error}")
    events: list[Event] = []
    for some in _together(day, bars, trouble):
        events += some
    day.lake.append(day.source, range(len(events)), events)
    recommended = sum(isinstance(one, Advice) and bool(one.strategy) for one in events)
    return {"instruments": len(events), "recommended": recommended, "trouble": trouble}


def _together(day: Day, bars: dict[str, Bars], trouble: list[str]) -> Iterator[list[Advice]]:
    """All in one question, and on one page; where that fails, each in its own: one must not keep the others from an answer."""
    if not bars:
        return
    try:
        yield _advise(day, bars)
    except QuantlyticError:
        for name, own in bars.items():
            try:
                yield _advise(day, {name: own})
            except QuantlyticError as error:
                trouble.append(f"{name}: no recommendation: {error}")


def _due(day: Day) -> list[str]:
    """Instruments whose last answer is older than it may be."""
    names = [one.instrument for one in day.works]
    oldest = label_ns(day.date - timedelta(days=day.settings.recommend_days)) + DAY_NS
    rows = rows_before(day, "advice", names, ["event_time"])
    fresh = set(rows.filter(pl.col("event_time") > oldest, pl.col("event_time") <= day.label + DAY_NS)["instrument"])
    return [name for name in names if name not in fresh]


def _advise(day: Day, bars: dict[str, Bars]) -> list[Advice]:
    settings, shelf = day.settings, day.home / "recommendations"

    def tell(symbol: str, done: int, of: int) -> None:
        place = list(bars).index(symbol)
        day.progress(f"recommend {symbol}", place * of + done, len(bars) * of)

    found = recommend(
        bars, strategies=settings.candidates or None, folds=settings.folds, draws=settings.draws, cash=settings.cash,
        fees=Fees(taker_bps=settings.fee_bps), allow_gaps=True, allow_splits=True, compiled=settings.compiled,
        progress=tell, home=day.home, keep=day.staging.folder,
    )  # fmt: skip
    if found.interrupted:
        raise KeyboardInterrupt
    question = str(found.manifest["question"])
    save_recommendation(found, shelf / question)
    return [advice_of(one, one.symbol, day.label + DAY_NS, question) for one in found.findings]


def advice_of(finding: Finding, name: str, event_time: int, question: str) -> Advice:
    """A finding as a row."""
    best = finding.best
    params = best.params if finding.strategy else None
    sharpe, deflated, hold = (
        math.nan if one is None else float(one) for one in (best.sharpe, best.dsr, finding.hold.sharpe)
    )
    return Advice(
        name, event_time, finding.strategy or "", json.dumps(params or {}, sort_keys=True), finding.sentence, best.strategy,
        sharpe, deflated, hold, finding.trials, finding.bars, question,
    )  # fmt: skip
