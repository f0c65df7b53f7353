"""The promotion gate: luck is kept out, an edge is let in, and each condition can stop a challenger alone."""

from __future__ import annotations

import math

import numpy as np
import pytest
from tests.learn.forecasts import contest_of
from tests.learn.made import made_bars

from quantlytic.engine.data.bars import Bars
from quantlytic.learn.contest.contest import Contest
from quantlytic.learn.contest.promotion import Gate, Verdict
from quantlytic.learn.labels.labelspec import LabelSpec
from quantlytic.learn.models.model import RETURN, UP
from quantlytic.model.errors import InputError

GATE = Gate(outcomes=100, looks=3, cost_bps=0.0)
ROWS = 420


def decided(bars: Bars, label: LabelSpec, task: str, champion: object, challenger: object) -> Verdict:
    """What the gate says in the end."""
    looked = 0
    for contest in contest_of(bars, label, task, champion, challenger):  # type: ignore[arg-type]
        if GATE.is_due(contest, looked):
            verdict = GATE.judge(contest, looked, trials=1)
            looked += 1
            if verdict.promoted or verdict.final:
                return verdict
    raise AssertionError(f"{contest.outcomes} outcomes were not enough")


def noise(rng: np.random.Generator, task: str) -> np.ndarray:
    """A model that knows nothing, and is sure of itself to some degree."""
    if task == UP:
        return 1.0 / (1.0 + np.exp(-rng.normal(0.0, rng.uniform(0.05, 0.6), ROWS)))
    return rng.normal(0.0, rng.uniform(1e-5, 5e-4), ROWS)


@pytest.mark.parametrize(
    ("task", "label", "has_champion"),
    [
        (UP, LabelSpec("direction", 8), True),
        (UP, LabelSpec("direction", 4), False),
        (RETURN, LabelSpec("forward_return", 4), True),
    ],
)
def test_on_noise_at_most_5_percent_of_200_models_are_promoted(task: str, label: LabelSpec, has_champion: bool) -> None:
    promoted = 0
    for seed in range(200):
        rng = np.random.default_rng([2026, seed])
        bars = made_bars(ROWS, seed=seed)
        champion = noise(rng, task) if has_champion else None
        promoted += decided(bars, label, task, champion, noise(rng, task)).promoted
    print("promoted by luck:", promoted)
    assert promoted <= 10


@pytest.mark.parametrize("horizon", [1, 4])
def test_on_a_planted_edge_most_are_promoted(horizon: int) -> None:
    promoted = 0
    for seed in range(40):
        rng = np.random.default_rng([7, seed])
        bars = made_bars(ROWS, seed=seed)
        close = bars.array["close"]
        ahead = np.append(close[horizon:] / close[:-horizon] - 1.0, np.zeros(horizon))
        knows = np.sign(ahead) * 0.25 + rng.normal(0.0, 0.6, ROWS)
        challenger = 1.0 / (1.0 + np.exp(-knows))
        promoted += decided(bars, LabelSpec("direction", horizon), UP, noise(rng, UP), challenger).promoted
    print("of those with an edge:", promoted)
    assert promoted >= 30


def an_edge() -> Contest:
    rng = np.random.default_rng(3)
    bars = made_bars(ROWS, seed=3)
    ahead = np.append(np.diff(bars.array["close"]), 0.0)
    challenger = 0.5 + 0.2 * np.sign(ahead) * (rng.random(ROWS) < 0.8)
    contests = list(contest_of(bars, LabelSpec("direction", 1), UP, np.full(ROWS, 0.5), challenger))
    return contests[-1]


def test_each_condition_can_stop_it_and_the_reason_names_it() -> None:
    contest = an_edge()
    gate = Gate(outcomes=100, cost_bps=0.0)
    verdict = gate.judge(contest, 0, 1)
    assert verdict.promoted
    assert not verdict.failed
    assert verdict.reason.startswith("promoted on 419 outcomes: log loss 0.")
    for word in (
        "the champion's 0.6931", "the base rate's 0.6", "a bar after costs that are set to 0: what it pays is not shown",
        "holding earned", "PSI 0.01 (limit 0.25)", "p99 0.001 ms (limit 20 ms)",
    ):  # fmt: skip
        assert word in verdict.reason, verdict.reason
    contest.drift = 0.4
    assert gate.judge(contest, 0, 1).failed == ("drift",)
    contest.drift = math.nan
    assert gate.judge(contest, 0, 1).failed == ("drift",)
    contest.drift = 0.1
    contest.latencies_ns = [30_000_000] * 100
    assert gate.judge(contest, 0, 1).failed == ("latency",)
    contest.latencies_ns = [1_000] * 100
    better, contest.holding_book = contest.holding_book, contest.book
    assert gate.judge(contest, 0, 1).failed == ("holding",), "as much as holding is not more"
    contest.holding_book, contest.book = better, Contest(UP, 1, 0.0).book
    assert gate.judge(contest, 0, 1).failed == ("return", "holding")


def test_costs_and_trials_are_taken_off() -> None:
    bars = made_bars(ROWS, seed=3)
    ahead = np.append(np.diff(bars.array["close"]), 0.0)
    rng = np.random.default_rng(3)
    challenger = 0.5 + 0.1 * np.where(rng.random(ROWS) < 0.62, 1.0, -1.0) * np.sign(ahead)
    label = LabelSpec("direction", 1)
    free = list(contest_of(bars, label, UP, np.full(ROWS, 0.5), challenger))[-1]
    dear = list(contest_of(bars, label, UP, np.full(ROWS, 0.5), challenger, cost_bps=20.0))[-1]
    gate = Gate(outcomes=100)
    assert gate.judge(free, 0, 1).promoted
    assert gate.judge(dear, 0, 1).failed == ("return", "holding")
    assert "after costs of 20 bps and 1 trials" in gate.judge(dear, 0, 1).reason
    assert gate.judge(free, 0, 100_000).failed == ("return",), "the best of many settings must show more"


def test_the_better_of_two_goes_up_and_the_worse_does_not() -> None:
    contest = an_edge()
    turned = Contest(UP, 1, 0.0)
    turned._rows = [(*row[:2], row[4], row[3], row[2], *row[5:]) for row in contest._rows]
    turned._times, turned.has_champion = set(contest._times), True
    turned.book, turned.latencies_ns, turned.drift = contest.champion_book, [1], 0.0
    verdict = Gate(outcomes=100).judge(turned, 0, 1)
    assert "loss" in verdict.failed
    assert verdict.final, "it is not better at all: there is nothing to wait for"


def drifting(by: float, seed: int = 1) -> Bars:
    """A random walk that rises by so much a bar."""
    bars = made_bars(ROWS, seed=seed)
    rise = np.exp(np.arange(ROWS) * by)
    for name in ("open", "high", "low", "close"):
        bars.array[name] *= rise
    return bars


@pytest.mark.parametrize("champion", [None, 0.5, 0.3])
@pytest.mark.parametrize(("rise", "said"), [(5e-4, 0.7), (-5e-4, 0.3)])
def test_always_the_same_side_in_a_trend_is_no_skill(champion: float | None, rise: float, said: float) -> None:
    rng = np.random.default_rng(1)
    bars, label = drifting(rise), LabelSpec("direction", 1)
    theirs = None if champion is None else np.full(ROWS, champion if rise > 0 else 1.0 - champion)
    gate = Gate(outcomes=100, cost_bps=0.0)
    for challenger in (np.full(ROWS, said), said + rng.normal(0.0, 0.01, ROWS)):
        contest = list(contest_of(bars, label, UP, theirs, challenger))[-1]
        verdict = gate.judge(contest, 0, 1)
        assert "base rate" in verdict.failed, verdict.reason
        assert ("holding" in verdict.failed) == (rise > 0)
        assert ("constant" in verdict.failed) == (np.ptp(challenger) == 0.0)
        assert "return" not in verdict.failed, "it did earn"
    assert "loss" not in verdict.failed, "the champion was worse"


def test_a_constant_is_named_and_has_no_further_look() -> None:
    for task, label, said in (
        (UP, LabelSpec("direction", 1), 0.7),
        (UP, LabelSpec("direction", 1), 0.5001),
        (RETURN, LabelSpec("forward_return", 1), 1e-4),
    ):
        contest = list(contest_of(drifting(5e-4), label, task, np.full(ROWS, said / 2), np.full(ROWS, said)))[-1]
        verdict = GATE.judge(contest, 0, 1)
        assert verdict.failed[0] == "constant"
        assert f"it says {said:.4g} whatever happens: a constant is no forecast" in verdict.reason
        assert verdict.final


def test_the_best_constant_of_all_does_not_pass_although_it_beats_what_was_known() -> None:
    bars = drifting(8e-4)
    up = float((np.diff(bars.array["close"]) > 0).mean())
    nearly = up + np.random.default_rng(3).normal(0.0, 0.003, ROWS)
    contest = list(contest_of(bars, LabelSpec("direction", 1), UP, np.full(ROWS, 0.5), nearly))[-1]
    verdict = Gate(outcomes=100, alpha=0.1, looks=1, cost_bps=0.0).judge(contest, 0, 1)
    assert "base rate" in verdict.failed
    assert "against the best constant's 0." in verdict.reason, verdict.reason


def test_a_later_challenger_of_the_year_has_to_show_more() -> None:
    gate, contest = Gate(outcomes=100, cost_bps=0.0), an_edge()
    verdicts = [gate.judge(contest, 0, 1, place) for place in (0, 1, 50, 366)]
    for verdict, limit in zip(verdicts, ("0.333 %", "0.0838 %", "0.000522 %", "1.24e-06 %"), strict=True):
        assert f"limit {limit}" in verdict.reason, verdict.reason
    assert "on 419 outcomes, as no. 50 of its year: log loss" in verdicts[2].reason
    assert "of its year" not in verdicts[0].reason


def test_which_side_a_forecast_takes() -> None:
    plain, meta, returns = Contest(UP, 1, 0.0), Contest(UP, 1, 0.0, is_meta=True), Contest(RETURN, 1, 0.0)
    assert [plain.sign(value) for value in (0.6, 0.4, 0.5, math.nan)] == [1.0, -1.0, 0.0, 0.0]
    assert [meta.sign(0.6, side) for side in (2.0, -1.0, 0.0, math.nan)] == [1.0, -1.0, 0.0, 0.0]
    assert meta.sign(0.4, 1.0) == 0.0, "a signal that is not expected to pay is not turned around"
    assert [returns.sign(value) for value in (1e-9, -1e-9, 0.0)] == [1.0, -1.0, 0.0]


def test_looks_are_few_and_share_alpha() -> None:
    gate = Gate(outcomes=100, looks=3, alpha=0.05)
    seen, looked = [], 0
    contest = Contest(UP, 1, 0.0)
    for outcomes in range(2_000):
        contest._times.add(outcomes)
        contest.drift = 0.1 if outcomes > 120 else math.nan
        if gate.is_due(contest, looked):
            seen.append(contest.outcomes)
            looked += 1
    assert seen == [122, 200, 400], "the first one waited for the drift to be known"
    verdicts = [gate.judge(an_edge(), k, 1) for k in range(3)]
    assert [one.final for one in verdicts] == [False, False, True]
    limits = [float(one.reason.partition("limit ")[2].partition(" %")[0]) for one in verdicts]
    assert limits == pytest.approx([5 / 7, 10 / 7, 20 / 7], rel=0.01), "in proportion to the outcomes"


def test_limits_that_cannot_be_are_refused() -> None:
    for wrong in (
        Gate(outcomes=3),
        Gate(looks=0),
        Gate(alpha=0.0),
        Gate(cost_bps=-1.0),
        Gate(max_drift=0.0),
        Gate(looks=10),
        Gate(challengers_a_year=0),
    ):
        with pytest.raises(InputError, match="promotion gate"):
            wrong.check()
    Gate().check()
