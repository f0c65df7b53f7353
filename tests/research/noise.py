"""Instruments without any pattern, and one with; sweeps over them, and what the verdict says of the best cell."""

from __future__ import annotations

from collections import Counter

import numpy as np

from quantlytic.engine.data.bars import Bars
from quantlytic.engine.market.fees import Fees
from quantlytic.model.bar import blank_bars
from quantlytic.model.instrument import Instrument
from quantlytic.research.honesty.verdict import Verdict, verdict
from quantlytic.research.runs.run import backtest
from quantlytic.research.search.sweep import Sweep, sweep
from quantlytic.strategies.sma_cross import SmaCross

DAY_NS = 86_400 * 1_000_000_000
FREE = Fees(taker_bps=0)  # fees would only make luck rarer
GRID = {"fast": [5, 10, 15, 20, 30, 40], "slow": [50, 75, 100, 150]}


def daily(rng: np.random.Generator, count: int = 1_500, drift: float = 0.0, trend: float = 0.0) -> Bars:
    """A random walk of fat-tailed steps, 1 % a day. `drift` is its annualised Sharpe ratio; `trend` the size, as a share of a
    day's risk, of a drift that keeps its sign for months: what a moving average can follow."""
    steps = rng.standard_t(5, count) / np.sqrt(5 / 3)
    sign = np.repeat(rng.choice([-1.0, 1.0], count // 60 + 1), 60)[:count]
    close = 100 * np.exp(np.cumsum(0.01 * (steps + drift / np.sqrt(365.25) + trend * sign)))
    array = blank_bars(count)
    array["open_time"] = np.arange(count) * DAY_NS
    array["close_time"] = array["open_time"] + DAY_NS
    array["open"], array["close"] = np.concatenate(([100.0], close[:-1])), close
    array["high"], array["low"] = np.maximum(array["open"], close), np.minimum(array["open"], close)
    array["volume"] = 0.0  # unknown
    return Bars(array, (Instrument("noise:X"),))


def judged(bars: Bars, *, allow_short: bool = True) -> dict[str, Verdict]:
    """Verdicts on the best cell of a sweep, with the whole `table` of returns or with the `count` of trials alone; and on the
    `only` run of somebody who never searched."""
    found: Sweep = sweep(SmaCross, bars, 1e6, FREE, over=GRID, jobs=1, allow_short=allow_short)
    best = backtest(found.strategy_of(found.ranked("sharpe")[0]), bars, 1e6, FREE, allow_short=allow_short)
    only = backtest(SmaCross(fast=20, slow=100), bars, 1e6, FREE, allow_short=allow_short)
    return {
        "table": verdict(best, trials=len(found), returns_matrix=found.returns),
        "count": verdict(best, trials=len(found)),
        "only": verdict(only),
    }


def labels(seed: int, count: int, *, drift: float = 0.0, trend: float = 0.0) -> dict[str, Counter[str]]:
    """How often each label was given, over `count` instruments."""
    rng = np.random.default_rng(seed)
    found: dict[str, Counter[str]] = {"table": Counter(), "count": Counter(), "only": Counter()}
    for _ in range(count):
        for how, one in judged(daily(rng, drift=drift, trend=trend)).items():
            found[how][one.label] += 1
    return found
