"""What is of another kind is told in one line, before anything runs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pytest
from tests.research.leaky_rules import Trend, make_bars

import quantlytic as ql
from quantlytic.model.errors import InputError
from quantlytic.research.data.history import time_ns
from quantlytic.research.honesty.splits import walk_forward_folds
from quantlytic.research.search.arguments import cash_of, strategy_of

BARS = make_bars(40)
RUNS: list[Callable[..., Any]] = [
    lambda strategy, **given: ql.backtest(strategy, BARS, **given),
    lambda strategy, **given: ql.sweep(strategy, BARS, over={"span": [2]}, **given),
    lambda strategy, **given: ql.walk_forward(strategy, BARS, {"span": [2]}, train="20h", test="10h", **given),
]


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("strategy", ["sma-cross", None, 5, object, ql.Strategy])
def test_what_is_no_strategy(run: Callable[..., Any], strategy: object) -> None:
    with pytest.raises(InputError, match="a strategy is a class that derives"):
        run(strategy)


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("cash", ["1e6", None, [], True, 10**400, 1j, 0, -1.0, float("nan")])
def test_what_is_no_cash(run: Callable[..., Any], cash: object) -> None:
    with pytest.raises(InputError, match="cash is a positive number, not"):
        run(Trend, cash=cash)


@pytest.mark.parametrize("given", [{"market": 5}, {"benchmark": 5}, {"actions": np.zeros(3)}])
def test_what_a_backtest_cannot_take(given: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        ql.backtest(Trend, BARS, **given)


def test_what_is_fine() -> None:
    trend = Trend()
    assert strategy_of(trend) is trend
    assert isinstance(strategy_of(Trend), Trend)
    assert (cash_of(5), cash_of(np.float64(2.5))) == (5.0, 2.5)


def test_times_of_any_kind() -> None:
    wanted = int(np.datetime64("2026-11-21", "ns").astype(np.int64))
    day = date(2026, 11, 21)
    for given in ("2026-11-21", day, datetime(2026, 11, 21, tzinfo=UTC), np.datetime64("2026-11-21"), wanted):
        assert time_ns(given) == wanted
    for wrong in (5.5, [1], np.datetime64("NaT")):
        with pytest.raises(InputError, match="is no time"):
            time_ns(wrong)  # type: ignore[arg-type]


def test_folds_without_number_are_refused() -> None:
    with pytest.raises(InputError, match=r"more than 10,000 folds"):
        walk_forward_folds(0, 10**18, 10**9, 1)
    with pytest.raises(InputError, match="durations above 0"):
        walk_forward_folds(0, 100, 1.5, 1)  # type: ignore[arg-type]
