"""Walk-forward: what was chosen on the past, traded on what came next."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.research.leaky_rules import make_bars

import quantlytic as ql
from quantlytic.engine.data.bars import Bars
from quantlytic.engine.market.fees import Fees
from quantlytic.engine.run.warmup import warm_up
from quantlytic.engine.session import Session
from quantlytic.model.errors import InputError
from quantlytic.research.search.sweep import sweep
from quantlytic.research.search.walkforward import WalkForward, walk_forward
from quantlytic.store.control import open_control

FEES = Fees(taker_bps=10)
BARS = make_bars(600, seed=9)
GRID = {"period": [3, 8, 20]}


class Above(ql.Strategy):
    """Long above the average."""

    period: int = ql.param(10, low=2, high=50)

    def setup(self) -> None:
        self.average = ql.SMA(self.period)

    def on_bar(self, bar: Any, broker: Any) -> None:
        mean = self.average.update(bar.close)
        if not self.average.ready:
            return
        if bar.close > mean and broker.is_flat:
            broker.target_weight(0.9)
        elif bar.close < mean and broker.is_long:
            broker.close()


def run(**options: Any) -> WalkForward:
    given = {"train": "200h", "test": "100h", "fees": FEES, "jobs": 1} | options
    return walk_forward(Above, options.pop("bars", BARS), GRID, **{k: v for k, v in given.items() if k != "bars"})


@pytest.fixture(scope="module")
def found() -> WalkForward:
    return run()


def test_each_fold_is_what_sweep_and_session_say(found: WalkForward) -> None:
    money, at = 1e6, 0
    assert len(found.folds) == 4
    for one in found.folds:
        training = BARS.between(one.fold.train_start, one.fold.train_end)
        testing = BARS.between(one.fold.train_end, one.fold.test_end)
        best = sweep(Above, training, money, FEES, over=GRID, jobs=1).best("sharpe_per_bar")
        assert one.params == {"period": best["period"]}
        assert one.in_sample == best["sharpe_per_bar"]
        session = Session(Above(period=best["period"]), BARS.instruments, money, FEES)
        warm_up(session, training)
        session.run(testing)
        wanted = session.equity[len(training) :].copy()
        wanted[-1] -= abs(session.positions["test:A"]) * testing.array["close"][-1] * 0.001
        assert np.array_equal(found.equity[at : at + len(testing)], wanted)
        assert one.growth == wanted[-1] / money
        money, at = wanted[-1], at + len(testing)
    assert at == len(found.equity) == len(found.times)
    assert found.metrics["total_return"] == pytest.approx(money / 1e6 - 1)


def test_times_are_out_of_sample_and_increase(found: WalkForward) -> None:
    assert found.times[0] >= found.folds[0].fold.train_end
    assert (np.diff(found.times) > 0).all()
    assert all(found.fills["event_time"] >= found.folds[0].fold.train_end)


def test_the_future_does_not_change_a_fold(found: WalkForward) -> None:
    array = BARS.array.copy()
    late = array["close_time"] >= found.folds[2].fold.train_end
    for name in ("open", "high", "low", "close"):
        array[name][late] *= 1.7
    array["open"][np.argmax(late)] = array["close"][np.argmax(late)]
    other = run(bars=Bars(array, BARS.instruments))
    assert other.folds[:2] == found.folds[:2]
    kept = found.times < found.folds[2].fold.train_end
    assert np.array_equal(other.equity[: kept.sum()], found.equity[kept])


def test_anchored_trains_on_everything_before() -> None:
    anchored = run(anchored=True)
    assert {one.fold.train_start for one in anchored.folds} == {int(BARS.array["open_time"][0])}
    assert all(one.cells == 3 for one in anchored.folds)


def test_degradation_and_efficiency(found: WalkForward) -> None:
    pairs = [(one.sharpe, one.in_sample_sharpe) for one in found.folds]
    assert found.degradation == pytest.approx(np.mean([out - into for out, into in pairs]))
    inside = sum(np.log(one.in_sample_growth) for one in found.folds) / 200
    outside = sum(np.log(one.growth) for one in found.folds) / 100
    assert found.efficiency == (pytest.approx(outside / inside) if inside > 0 else None)
    assert found.profitable == sum(one.growth > 1 for one in found.folds) / 4


def test_each_fill_is_weighed_with_the_volume_of_its_own_bar(found: WalkForward) -> None:
    rows = [int(np.flatnonzero(BARS.array["open_time"] == fill["event_time"])[0]) for fill in found.fills]
    shares = found.fills["quantity"] / BARS.array["volume"][rows]
    assert len({one.fold.train_end for one in found.folds if one.fills}) > 1
    assert found.verdict.figures["participation_median"] == pytest.approx(np.median(shares))
    assert found.verdict.figures["participation_95"] == pytest.approx(np.percentile(shares, 95))


def test_a_fold_without_a_figure_sits_out() -> None:
    flat = BARS.array.copy()
    for name in ("open", "high", "low", "close"):
        flat[name] = 100.0
    found = run(bars=Bars(flat, BARS.instruments))
    assert [one.params for one in found.folds] == [None] * 4
    assert (found.equity == 1e6).all()
    assert found.verdict.label == "unproven"


def test_every_cell_of_every_fold_is_in_the_ledger_once(tmp_path: Path) -> None:
    first = run(home=tmp_path)
    run(home=tmp_path)
    with open_control(tmp_path) as control:
        trials = control.trials.list()
    assert len(trials) == 4 * 3 + 1
    assert {one.kind for one in trials} == {"walkforward", "walkforward-whole"}
    assert first.tried.count == 1
    assert run(home=tmp_path, anchored=True).tried.count == 2
    assert run(home=tmp_path, anchored=True, metric="total_return").tried.count == 3  # none is forgotten
    assert run(home=tmp_path).tried.count == 3


class Edited(Above):
    """The same, for the moment."""


def ask(strategy: type[ql.Strategy], grid: dict[str, Any], **options: Any) -> WalkForward:
    return walk_forward(strategy, BARS, grid, train="300h", test="200h", jobs=1, compiled=False, name="one", **options)


def test_the_constraint_and_the_source_are_part_of_the_question(tmp_path: Path) -> None:
    asked = [ask(Above, GRID), ask(Above, GRID, constraint=lambda one: one["period"] < 9), ask(Edited, GRID)]
    assert len({one.trials[-1].run_id for one in asked}) == 3
    assert ask(Above, {"period": iter(GRID["period"])}).trials[-1].run_id == asked[0].trials[-1].run_id


def test_what_was_chosen_before_counts_with_all_that_was_tried(tmp_path: Path) -> None:
    ql.sweep(Above, BARS, period=[3, 8, 20, 30], jobs=1, compiled=False, record=tmp_path)
    assert ask(Above, GRID, home=tmp_path).verdict.figures["trials"] == 1  # it chose in its folds: one walk-forward
    alone = ask(Above, {"period": 8}, home=tmp_path)
    assert alone.verdict.figures["trials"] == 4 + 2  # every set of parameters, and two walk-forwards


def test_summary_is_json_and_the_page_stands_alone(found: WalkForward, tmp_path: Path) -> None:
    told = json.loads(json.dumps(found.summary(), allow_nan=False))
    assert told["folds"][0]["params"] == found.folds[0].params
    assert told["trials"] == 12
    page = found.plot(tmp_path / "page.html").read_text()
    assert found.verdict.sentence in page
    assert "http" not in page.replace("http://www.w3.org", "")
    with pytest.raises(InputError, match="regular file"):
        found.plot(tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"train": "900h"}, "shorter"), ({"metric": "luck"}, "no metric"), ({"train": "soon"}, "not a duration")],
)
def test_what_cannot_be_walked(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        run(**options)


def test_no_bars() -> None:
    with pytest.raises(InputError, match="there must be some"):
        walk_forward(Above, Bars(BARS.array[:0], BARS.instruments), GRID, train="1h", test="1h")
