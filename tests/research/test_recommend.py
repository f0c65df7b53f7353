"""Which strategy suits which instrument: none on noise, the right one where an edge was planted, and honest counts."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.research.walks import walk

from quantlytic.engine.data.bars import Bars
from quantlytic.engine.market.fees import Fees
from quantlytic.engine.market.market import Market
from quantlytic.engine.param import param
from quantlytic.engine.strategy import Strategy
from quantlytic.model.errors import DataError, InputError, StrategyError
from quantlytic.research.advice.recommend import by_symbol, recommend
from quantlytic.research.advice.recommendation import Recommendation
from quantlytic.research.advice.recommendtext import DOUBTS
from quantlytic.research.runs.manifest import data_hash
from quantlytic.store.control import open_control

FEW = ("heikin-ashi", "macd", "connors-rsi2")


def noise(seed: int, count: int, drift: float = 0.0) -> dict[str, Bars]:
    rng = np.random.default_rng(seed)
    return {f"N{k}": walk(rng, drift=drift, symbol=f"N{k}") for k in range(count)}


def planted(seed: int, trend: float = 0.5) -> Bars:
    return walk(np.random.default_rng(seed), trend=trend, symbol="EDGE")


@pytest.fixture(scope="module")
def looked(tmp_path_factory: pytest.TempPathFactory) -> Recommendation:
    """Two without a pattern and one with, as the command does it."""
    bars = {**noise(5, 2), "EDGE": planted(1)}
    home = tmp_path_factory.mktemp("home")
    return recommend(bars, strategies=FEW, draws=8, folds=4, allow_short=True, home=home)


def test_none_on_noise_and_the_planted_edge_is_found(looked: Recommendation) -> None:
    print(looked)
    assert looked.answers["N0"] is None
    assert looked.answers["N1"] is None
    assert looked.answers["EDGE"] in ("heikin-ashi", "macd")
    assert looked.sentence.startswith("A strategy for 1 of 3 instruments: EDGE (")


def test_what_the_words_say_is_what_the_figures_say(looked: Recommendation) -> None:
    edge, lost = looked.findings[2], looked.findings[0]
    best = edge.best
    assert best.strategy == edge.strategy
    assert best.doubt == ""
    assert best.dsr is not None
    assert best.dsr_strategies is not None
    assert 0.95 <= best.dsr <= best.dsr_strategies  # fewer trials, more left
    assert edge.spa_cash is not None
    assert edge.spa_cash <= 0.05
    assert "deflated Sharpe is over 0.99" in edge.sentence
    assert f"{edge.trials} trials" in edge.sentence
    assert lost.sentence.startswith("N0: none. ")
    assert lost.best.doubt in DOUBTS
    assert all(one.doubt for one in lost.tested)
    assert "nan" not in repr(looked)


def test_all_trials_of_all_strategies_count(looked: Recommendation) -> None:
    for one in looked.findings:
        assert one.trials == sum(tested.cells for tested in one.tested) == 3 * 8


def test_best_first_and_each_has_its_stretches(looked: Recommendation) -> None:
    for finding in looked.findings:
        enough = [one.sharpe for one in finding.tested if one.round_trips >= 5 and one.sharpe is not None]
        assert enough == sorted(enough, reverse=True)
        for one in finding.tested:
            assert len(one.stretches) == 4
            growth = np.prod([1.0 + part.gained for part in one.stretches])
            assert growth == pytest.approx(1.0 + one.total_return, rel=1e-9)
            assert one.stretches[0].start_ns == finding.test_start_ns
        assert [len(one.curve) > 0 for one in finding.tested] == [True, True, True]
        assert len(finding.hold.curve) == len(finding.curve_times) == len(finding.tested[0].curve)


def test_stress_begins_with_the_run_itself(looked: Recommendation) -> None:
    edge = looked.findings[2]
    assert edge.stressed == edge.strategy
    assert edge.stress[0].total_return == pytest.approx(edge.best.total_return, rel=1e-9)
    assert all(one.total_return > 0.0 for one in edge.stress)
    assert [one.name for one in edge.stress][1:3] == ["fees x2", "fees x3"]


def test_holding_is_held_from_the_first_close_out_of_sample(looked: Recommendation) -> None:
    one = looked.findings[0]
    array = noise(5, 2)["N0"].array
    inside = array[array["close_time"] >= one.test_start_ns]
    expected = inside["close"][-1] / inside["close"][0] * (1 - 10e-4) - 1
    assert one.hold.total_return == pytest.approx(expected, rel=1e-12)


def test_as_json_and_as_a_table(looked: Recommendation) -> None:
    told = json.loads(json.dumps(looked.summary(), allow_nan=False))
    assert told["answers"] == looked.answers
    assert told["findings"][2]["tested"][0]["strategy"] == looked.findings[2].tested[0].strategy
    assert told["manifest"]["seed"] == 0
    assert {one["name"] for one in told["manifest"]["strategies"]} == set(FEW)
    table = looked.table
    assert len(table) == 9
    assert table.filter(table["recommended"])["symbol"].to_list() == ["EDGE"]


def test_the_same_question_has_the_same_answer_on_any_number_of_cores(looked: Recommendation) -> None:
    again = recommend({"EDGE": planted(1)}, strategies=FEW, draws=8, folds=4, allow_short=True, jobs=1)
    assert dataclasses.asdict(again)["findings"] == [looked.findings[2]]


def test_the_ledger_keeps_every_trial_once_and_what_it_knew_counts(tmp_path: Path) -> None:
    bars = {"N": noise(3, 1)["N0"]}
    options: dict[str, Any] = {"strategies": ["heikin-ashi"], "folds": 2, "draws": 3, "home": tmp_path}
    first = recommend(bars, **options)
    with open_control(tmp_path) as control:
        entered = control.trials.list()
    assert {one.kind for one in entered} == {"walkforward", "walkforward-whole"}
    assert len(entered) == 2 * 3 + 1
    again = recommend(bars, **options)
    with open_control(tmp_path) as control:
        assert len(control.trials.list()) == len(entered)
    assert again.findings[0].trials == first.findings[0].trials == 3
    other = recommend(bars, **options, seed=1)
    assert other.findings[0].trials == 6


def test_costs_are_on_unless_said_otherwise() -> None:
    bars = {"N": noise(3, 1)["N0"]}
    options: dict[str, Any] = {"strategies": ["heikin-ashi"], "folds": 2, "draws": 2}
    standard = recommend(bars, **options)
    market = recommend(bars, **options, market=Market(fees=Fees(taker_bps=10)))
    assert standard.manifest["account"]["market"]["fees"]["taker_bps"] == 10
    assert standard.findings == market.findings
    free = recommend(bars, **options, fees=Fees())
    assert free.manifest["account"]["market"]["fees"]["taker_bps"] == 0
    assert free.findings[0].hold.total_return > standard.findings[0].hold.total_return
    assert free.findings[0].tested != standard.findings[0].tested


class Holder(Strategy):
    """Buys once: the market's gain and nothing else."""

    weight: float = param(0.9, low=0.1, high=0.9)

    def on_bar(self, bar: Any, broker: Any) -> None:
        if broker.is_flat:
            broker.target_weight(self.weight)


def test_what_only_holds_is_no_strategy() -> None:
    rising = {"N": walk(np.random.default_rng(0), drift=2.0, symbol="N")}
    found = recommend(rising, strategies=[Holder], folds=2, draws=2, compiled=False).findings[0]
    assert found.strategy is None
    assert found.best.doubt == "few"
    assert "too few to say" in found.sentence


def test_an_interrupted_run_keeps_what_is_finished_and_goes_on(tmp_path: Path) -> None:
    bars = noise(6, 3)
    options: dict[str, Any] = {"strategies": ["heikin-ashi"], "folds": 2, "draws": 2, "keep": tmp_path, "jobs": 1}

    def stop(symbol: str, done: int, _of: int) -> None:
        if symbol == "N2" and done == 0:
            raise KeyboardInterrupt

    part = recommend(bars, **options, progress=stop)
    assert part.interrupted
    assert list(part.answers) == ["N0", "N1"]
    seen: list[str] = []
    whole = recommend(bars, **options, progress=lambda symbol, _done, _of: seen.append(symbol))
    assert set(seen) == {"N2"}
    assert whole.resumed == 2
    assert not whole.interrupted
    assert whole.findings[:2] == part.findings
    assert not list(tmp_path.iterdir())
    other = recommend(bars, **options, seed=1)
    assert other.resumed == 0


def test_interrupted_before_anything_is_finished(tmp_path: Path) -> None:
    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        recommend(noise(6, 1), strategies=["heikin-ashi"], folds=2, draws=2, keep=tmp_path, progress=stop)


def test_a_kept_finding_that_cannot_be_read_is_found_again(tmp_path: Path) -> None:
    bars = noise(6, 2)
    options: dict[str, Any] = {"strategies": ["heikin-ashi"], "folds": 2, "draws": 2, "keep": tmp_path}

    def stop(symbol: str, _done: int, _of: int) -> None:
        if symbol == "N1":
            raise KeyboardInterrupt

    recommend(bars, **options, progress=stop)
    (kept,) = (tmp_path / "unfinished").iterdir()
    kept.write_text('{"instrument": "torn')
    assert recommend(bars, **options).resumed == 0


class Broken(Strategy):
    """Raises in the middle."""

    at: int = param(700, low=600, high=800)

    def setup(self) -> None:
        self.seen = 0

    def on_bar(self, bar: Any, broker: Any) -> None:
        self.seen += 1
        if self.seen > self.at:
            raise ValueError("no more")


def test_a_strategy_that_fails_is_told_and_the_others_go_on() -> None:
    bars = {"N": noise(7, 1)["N0"]}
    found = recommend(bars, strategies=["heikin-ashi", Broken], folds=2, draws=2, compiled=False).findings[0]
    assert [one.strategy for one in found.tested] == ["heikin-ashi"]
    assert "ValueError" in found.failed["Broken"]
    with pytest.raises(StrategyError, match="no strategy could be run on N"):
        recommend(bars, strategies=[Broken], folds=2, draws=2, compiled=False)


def test_bars_of_several_instruments_are_taken_one_by_one() -> None:
    parts = noise(8, 2)
    merged = by_symbol(Bars.merge(parts.values()))
    assert list(merged) == ["N0", "N1"]
    for name, own in merged.items():
        assert data_hash(own) == data_hash(parts[name])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"folds": 1}, "folds is a whole number, 2 or more"),
        ({"draws": 0}, "draws is a whole number, 1 or more"),
        ({"strategies": []}, "at least one strategy"),
        ({"strategies": ["sma-cros"]}, "did you mean"),
        ({"strategies": ["heikin-ashi", "heikin-ashi"]}, "named twice"),
        ({"strategies": ["equal-weight"]}, "several instruments against each other"),
        ({"jobs": 0}, "jobs is a number of cores"),
    ],
)
def test_one_line_for_what_is_wrong(change: dict[str, Any], message: str) -> None:
    options: dict[str, Any] = {"strategies": ["heikin-ashi"], "folds": 2, "draws": 2, **change}
    with pytest.raises(InputError, match=message):
        recommend(noise(1, 1), **options)


def test_bars_that_cannot_be_used() -> None:
    bars = noise(1, 1)["N0"]
    with pytest.raises(InputError, match="has 100 bars: at least 300"):
        recommend({"N": Bars(bars.array[:100], bars.instruments)})
    with pytest.raises(InputError, match="at least one instrument"):
        recommend({})
    bare = bars.array.copy()
    bare["high"], bare["low"] = np.maximum(bare["open"], bare["close"]), np.minimum(bare["open"], bare["close"])
    with pytest.raises(DataError, match="highs and lows"):
        recommend({"N": Bars(bare, bars.instruments)}, strategies=["heikin-ashi"])
    holey = Bars(np.delete(bars.array, [700, 701]), bars.instruments)
    with pytest.raises(DataError, match="2 bars are missing"):
        recommend({"N": holey}, strategies=["heikin-ashi"])
    found = recommend({"N": holey}, strategies=["heikin-ashi"], folds=2, draws=2, allow_gaps=True)
    assert found.findings[0].missing == 2


@pytest.mark.slow
@pytest.mark.timeout(3_600)
def test_on_twenty_instruments_without_a_pattern_at_most_one_is_recommended() -> None:
    """The whole catalogue, without fees: they would only make luck rarer."""
    found = recommend(noise(20_261_121, 20), fees=Fees(), allow_short=True)
    print(found)
    assert sum(one is not None for one in found.answers.values()) <= 1


@pytest.mark.slow
@pytest.mark.timeout(3_600)
def test_on_twenty_rising_instruments_without_a_pattern_at_most_one_is_recommended() -> None:
    found = recommend(noise(7, 20, drift=1.0), fees=Fees())
    print(found)
    assert sum(one is not None for one in found.answers.values()) <= 1


@pytest.mark.slow
@pytest.mark.timeout(3_600)
def test_the_whole_catalogue_finds_planted_trends() -> None:
    bars = {f"E{k}": planted(k, trend=0.4) for k in range(10)}
    found = recommend(bars, allow_short=True)
    print(found)
    assert sum(one is not None for one in found.answers.values()) >= 7
