"""What the ledger says of some data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec import structs
from tests.research.leaky_rules import make_bars

import quantlytic as ql
from quantlytic.engine.strategy import Strategy
from quantlytic.model.instrument import Instrument
from quantlytic.research.honesty.trials import code_of, sketch_of, trials_on, tried
from quantlytic.research.honesty.verdict import verdict_of
from quantlytic.store.control import open_control
from quantlytic.store.control.records import Trial


class Sized(ql.Strategy):
    span: int = ql.param(2)

    def on_bar(self, bar: Any, broker: Any) -> None:
        broker.target_weight(0.5 if bar.close > bar.open else 0.0)


def trial(
    sharpe: float | None, fast: float = 1.0, *, bars: int = 100, data: str = "d", start: int = 0, end: int = 10
) -> Trial:
    return Trial(
        strategy="s", params={"fast": fast}, data=data, time_ns=0, bars=bars, sharpe=sharpe,
        instruments=("test:A",), start_ns=start, end_ns=end,
    )  # fmt: skip


def test_nothing_on_record_is_one_trial(tmp_path: Path) -> None:
    found = trials_on(tmp_path, make_bars(30), "d")
    assert (found.count, found.sharpe_variance) == (1, None)
    assert tried([]).count == 1


def test_the_same_again_is_one_trial_and_the_newest_counts() -> None:
    found = tried([trial(0.1), trial(0.5), trial(1.5, 2.0)])
    assert found.count == 2
    assert found.sharpe_variance == pytest.approx(np.var([0.5, 1.5], ddof=1))


def test_short_stretches_do_not_spread_the_variance() -> None:
    found = tried([trial(0.5), trial(1.5, 2.0), trial(9.0, 3.0, bars=40), trial(None, 4.0)])
    assert found.count == 4
    assert found.sharpe_variance == pytest.approx(0.5)
    assert tried([trial(1.0)]).sharpe_variance is None


def test_an_overlapping_range_of_the_same_instrument_counts(tmp_path: Path) -> None:
    bars = make_bars(30)
    start, end = int(bars.array["open_time"][0]), int(bars.array["close_time"][-1])
    with open_control(tmp_path) as control:
        control.trials.add([
            trial(0.5, 1.0),
            trial(0.7, 2.0, data="other", start=start + 1, end=end + 9),
            trial(0.9, 3.0, data="later", start=end, end=end + 9),
        ])  # fmt: skip
    assert trials_on(tmp_path, bars, "d").count == 2


def test_the_verdict_on_a_run_counts_them(tmp_path: Path) -> None:
    from tests.research.leaky_rules import Trend

    import quantlytic as ql

    result = ql.backtest(Trend(), make_bars(400, seed=5), compiled=False, fees=ql.Fees(taker_bps=0))
    with open_control(tmp_path) as control:
        control.trials.add([trial(0.1 * k, float(k), data=result.data_hash) for k in range(40)])
    assert verdict_of(result).figures["trials"] == 1
    assert verdict_of(result, tmp_path).figures["trials"] == 40


def test_an_edited_rule_is_another_trial_and_a_name_is_not() -> None:
    one = trial(0.1)
    edited, renamed = (structs.replace(one, code=code, strategy=name) for code, name in (("b", "s"), ("a", "t")))
    known = structs.replace(one, code="a")
    assert tried([known, edited]).count == 2
    assert tried([known, renamed]).count == 1


def test_every_walk_forward_counts() -> None:
    wholes = [structs.replace(trial(0.1), params={}, kind="walkforward-whole", run_id=name) for name in "abb"]
    assert tried(wholes).count == 2


def test_bars_under_another_name_with_more_or_fewer_days_are_the_same_data(tmp_path: Path) -> None:
    bars = make_bars(400, seed=5)
    other = (Instrument("test:B"),)
    ql.backtest(Sized(), bars, compiled=False, record=tmp_path)
    for part, edited, count in ((bars.array, 3, 2), (bars.array[:200], 4, 3), (bars.array[100:], 5, 4)):
        result = ql.backtest(Sized(span=edited), ql.Bars(part.copy(), other), compiled=False, record=tmp_path)
        assert verdict_of(result, tmp_path).figures["trials"] == count
    fresh = ql.Bars(make_bars(400, seed=6).array, (Instrument("test:C"),))
    elsewhere = ql.backtest(Sized(), fresh, compiled=False)
    assert verdict_of(elsewhere, tmp_path).figures["trials"] == 1


def test_a_sketch_is_of_the_rows_alone() -> None:
    bars = make_bars(50)
    assert sketch_of(bars) == sketch_of(type(bars)(bars.array[::-1].copy(), bars.instruments))
    assert len(sketch_of(bars)) == 16
    assert len(sketch_of(type(bars)(bars.array[:3], bars.instruments))) == 3
    assert not set(sketch_of(bars)) & set(sketch_of(make_bars(50, seed=9)))


def test_code_typed_into_a_shell_is_known_by_what_it_does() -> None:
    def typed(body: str) -> str:
        space = {"Strategy": Strategy, "__name__": "a_shell"}
        exec(f"class Typed(Strategy):\n    def on_bar(self, bar, broker):\n        {body}\n", space)
        return code_of(space["Typed"])  # type: ignore[arg-type]

    assert typed("broker.buy(1.0)") == typed("broker.buy(1.0)  # the same")
    assert len({typed("broker.buy(1.0)"), typed("broker.buy(2.0)"), typed("broker.sell(1.0)")}) == 3
