"""Real or luck: the rules one by one, and how often noise is called real."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.research.noise import daily, judged, labels

from quantlytic.model.fill import FILL
from quantlytic.research.honesty.tried import Tried
from quantlytic.research.honesty.verdict import LIKELY_LUCK, LIKELY_REAL, LOSES, UNPROVEN, judge, verdict_of
from quantlytic.research.runs.run import backtest
from quantlytic.strategies.sma_cross import SmaCross


def made(sharpe: float, periods: int = 1_000, seed: int = 0) -> np.ndarray:
    """Daily returns with exactly that annualised Sharpe ratio (252 days)."""
    noise = np.random.default_rng(seed).normal(0, 1, periods)
    noise = (noise - noise.mean()) / noise.std(ddof=1)
    return 0.01 * (noise + sharpe / np.sqrt(252))


def test_the_sentence_of_the_best_of_many() -> None:
    found = judge(made(0.9), per_year=252, trials=412, round_trips=100)
    assert found.label == LIKELY_LUCK
    assert found.sentence == f"likely luck: 412 trials, deflated Sharpe {found.figures['dsr']:.2f}"
    assert found.to_dict()["figures"]["trials"] == 412


@pytest.mark.parametrize(
    ("sharpe", "trials", "label"),
    [
        (-0.5, 1, LOSES),
        (0.0, 1, LOSES),
        (0.6, 1, UNPROVEN),
        (1.5, 1, LIKELY_REAL),
        (1.2, 300, LIKELY_LUCK),
        (4.0, 300, LIKELY_REAL),
    ],
)
def test_labels(sharpe: float, trials: int, label: str) -> None:
    assert judge(made(sharpe), per_year=252, trials=trials, round_trips=50).label == label


def test_losing_says_how_much() -> None:
    assert judge(made(-2.0), per_year=252).sentence.startswith("loses: −")


def test_few_round_trips_and_few_periods_prove_nothing() -> None:
    assert judge(made(9.0), per_year=252, round_trips=4).sentence == "unproven: 4 round trips are too few to say"
    assert judge(made(9.0), per_year=252, round_trips=1).sentence == "unproven: 1 round trip is too few to say"
    assert judge(made(40.0, 20), per_year=252).sentence == "unproven: 20 periods are too few to say"
    assert judge(np.zeros(100), per_year=252).sentence == "unproven: it never traded"
    assert judge(np.zeros(0), per_year=0.0).label == UNPROVEN


def test_what_is_the_market_s_is_no_skill() -> None:
    hold = made(2.5, seed=1)
    found = judge(0.6 * hold + 1e-5 * made(0.0, seed=2), per_year=252, hold=hold, round_trips=50)
    assert found.label == UNPROVEN
    assert "most of it is the market's" in found.sentence
    assert found.figures["beta"] == pytest.approx(0.6, abs=0.01)
    apart = judge(made(2.5, seed=3), per_year=252, hold=hold, round_trips=50)
    assert apart.label == LIKELY_REAL


@pytest.mark.parametrize(
    ("beyond", "median", "label"), [(0.1, 0.5, LIKELY_REAL), (0.11, 0.5, UNPROVEN), (1.0, 1469.0, UNPROVEN)]
)
def test_what_nobody_could_have_traded_is_never_real(beyond: float, median: float, label: str) -> None:
    sizes = {"beyond_volume": beyond, "participation_median": median}
    found = judge(made(3.0), per_year=252, round_trips=50, sizes=sizes)
    assert found.label == label
    assert found.figures["beyond_volume"] == beyond
    assert ("nobody could have traded this" in found.sentence) == (label == UNPROVEN)
    assert judge(made(1.2), per_year=252, trials=300, round_trips=50, sizes=sizes).label == LIKELY_LUCK
    assert judge(made(-1.0), per_year=252, round_trips=50, sizes=sizes).label == LOSES


def test_fills_beyond_the_volume_of_their_bars() -> None:
    bars = daily(np.random.default_rng(0), 1_500, trend=0.4)
    volumes, found = (0.0, 1.0, 1e9), []
    for volume in volumes:
        array = bars.array.copy()
        array["volume"] = volume
        run = backtest(SmaCross(fast=20, slow=100), dataclasses.replace(bars, array=array), compiled=False)
        found.append((verdict_of(run), run.metrics["participation_median"]))
    (unknown, none), (thin, large), (deep, small) = found
    assert (unknown.label, none) == (LIKELY_REAL, None)
    assert (deep.label, deep.sentence) == (unknown.label, unknown.sentence)
    assert (thin.label, large) == (UNPROVEN, pytest.approx(small * 1e9))
    assert thin.sentence == f"unproven: fills are {large:,.0f} times their bars' volume: nobody could have traded this"


def test_a_rule_that_does_well_is_not_punished_for_bad_ones_beside_it() -> None:
    returns = made(2.6)
    few = judge(returns, per_year=252, trials=Tried(100, 0.05))
    wild = judge(returns, per_year=252, trials=Tried(100, 400.0))
    unknown = judge(returns, per_year=252, trials=Tried(100))
    assert few.figures["dsr"] > wild.figures["dsr"]  # type: ignore[operator]
    assert wild.figures["dsr"] == unknown.figures["dsr"]


def test_a_table_counts_its_cells_and_more_trials_than_it_shows_count_too() -> None:
    table = np.random.default_rng(1).normal(0, 0.01, (800, 25))
    best = table[:, table.mean(axis=0).argmax()]
    shown = judge(best, per_year=252, returns_matrix=table)
    assert shown.figures["trials"] == 25
    assert shown.figures["spa_p"] > 0.05  # type: ignore[operator]
    assert {"pbo", "oos_loss", "effective_trials"} <= shown.figures.keys()
    more = judge(best, per_year=252, trials=5_000, returns_matrix=table)
    assert more.figures["trials"] == 5_000
    assert more.figures["dsr"] < shown.figures["dsr"]  # type: ignore[operator]


def test_a_table_sampled_otherwise_gives_the_same_deflation() -> None:
    table = np.random.default_rng(2).normal(0.0004, 0.01, (1_200, 12))
    weekly = (1 + table).reshape(240, 5, 12).prod(axis=1) - 1
    best = table[:, 3]
    one, two = (
        judge(best, per_year=252, returns_matrix=shown).figures["expected_max_sharpe"] for shown in (table, weekly)
    )
    assert one == pytest.approx(two, rel=0.1)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(-3, 4), st.integers(1, 10_000), st.integers(3, 400))
def test_always_a_verdict(seed: int, sharpe: float, trials: int, periods: int) -> None:
    found = judge(made(sharpe, periods, seed), per_year=252, trials=trials)
    assert found.label in (LIKELY_REAL, UNPROVEN, LIKELY_LUCK, LOSES)
    assert found.sentence.startswith(found.label)
    assert "nan" not in found.sentence


@dataclasses.dataclass
class Lost:
    """A run whose equity reached zero."""

    bars: Any
    equity: Any
    cash: float = 1.0
    round_trips: tuple[int, ...] = ()
    fills: Any = dataclasses.field(default_factory=lambda: np.zeros(0, FILL))


def test_a_total_loss() -> None:
    bars = daily(np.random.default_rng(0), 200)
    found = verdict_of(Lost(bars, np.linspace(1.0, -0.2, 200)))  # type: ignore[arg-type]
    assert found.sentence == "loses: −100.0% after costs over 167 periods"


def test_noise_is_rarely_called_real_and_an_edge_is() -> None:
    found = labels(seed=3, count=16)
    edge = [judged(daily(np.random.default_rng(seed), trend=0.4))["table"].label for seed in range(5)]
    print(f"noise, seed 3: {found}; planted trend: {edge}")
    assert all(one[LIKELY_REAL] <= 3 for one in found.values())
    assert found["table"][LIKELY_REAL] <= 1
    assert edge.count(LIKELY_REAL) >= 4


def chunks(seed: int, count: int, **options: float) -> dict[str, Counter[str]]:
    """Labels of 50 instruments from each of `count` seeds."""
    found: dict[str, Counter[str]] = {"table": Counter(), "count": Counter(), "only": Counter()}
    for chunk in range(count):
        for how, one in labels(seed + chunk, 50, **options).items():
            found[how] += one
    return found


@pytest.mark.slow
@pytest.mark.timeout(3_600)
def test_of_a_thousand_instruments_without_a_pattern_at_most_one_in_twenty_is_called_real() -> None:
    found = chunks(20_261_121, 20)
    print(f"1,000 pure-noise instruments, best of 24 cells, no fees, from seed 20261121: {found}")
    assert all(one[LIKELY_REAL] <= 50 for one in found.values())


@pytest.mark.slow
@pytest.mark.timeout(3_600)
def test_a_rising_market_without_a_pattern_is_no_skill() -> None:
    found = chunks(7, 4, drift=1.0)
    print(f"200 instruments that only rise (Sharpe 1), from seed 7: {found}")
    assert all(one[LIKELY_REAL] <= 14 for one in found.values())


@pytest.mark.slow
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize(("trend", "least"), [(0.3, 30), (0.4, 36)])
def test_power(trend: float, least: int) -> None:
    found = labels(8, 40, trend=trend)
    print(f"40 instruments with trends of {trend} of a day's risk, seed 8: {found}")
    assert found["table"][LIKELY_REAL] >= least
