"""Runs with forecasts, and runs whose strategy is replaced, stepped in any order and dying anywhere."""

from __future__ import annotations

import os
import random
from contextlib import closing
from pathlib import Path

import pytest
from tests.services.follow_forecast import FollowForecast
from tests.services.swapline import ask, changes, means
from tests.sim.churn import Churn
from tests.sim.mortal import MARKETS, STREAMS, Case, Simulation, Undisturbed, torture
from tests.sim.truth import check_run, events_of

from quantlytic.model.fill import Fill
from quantlytic.model.forecast import Forecast, ModelChange
from quantlytic.model.strategychange import StrategyRequest
from quantlytic.research.runs.parity import check_parity

pytestmark = pytest.mark.usefixtures("no_fsync")
SEEDS = int(os.environ.get("SIM_SEEDS", "300"))
CASE = Case(FollowForecast(), forecasts="sim-line")
CHURN = Case(Churn(span=3, weight=0.3))
HEIRS = (
    ("sma-cross", {"fast": 2, "slow": 5, "weight": 0.3}),
    ("bollinger", {"period": 5, "weight": 0.3}),
    ("grid", {}),
    ("sma-cross", {"fast": 3, "slow": 200}),
)


@pytest.mark.timeout(300)
def test_forecasts_dying_anywhere_change_nothing(tmp_path: Path, undisturbed: Undisturbed) -> None:
    torture(tmp_path, CASE, range(2), undisturbed)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_forecasts_dying_anywhere_many_times_change_nothing(tmp_path: Path, undisturbed: Undisturbed) -> None:
    torture(tmp_path, CASE, range(3000, 3000 + SEEDS // 3), undisturbed)


def test_the_market_exercises_everything(tmp_path: Path) -> None:
    simulation = Simulation(tmp_path, CASE, 0, 0.0)
    with closing(simulation):
        simulation.play(CASE.market(1))
        found = [event for stream in STREAMS for _, event in events_of(simulation.log, stream)]
    assert sum(isinstance(event, ModelChange) for event in found) > 4
    assert sum(isinstance(event, Forecast) for event in found) > 50
    assert sum(isinstance(event, Fill) for event in found) > 10


class Succession(Simulation):
    """A simulation in which somebody asks for another strategy now and then."""

    def __init__(self, folder: Path, seed: int, rate: float) -> None:
        super().__init__(folder, CHURN, seed, rate)
        self.means = means(folder / "log")
        self.asked = list[str]()

    def _step(self, name: str) -> int:
        if len(self.asked) < 6 and self.mortality.rate and self.source.random() < 0.01:
            strategy, params = self.source.choice(HEIRS)
            ask(self.log, self.run, strategy, self.source.choice(("keep", "close")), len(self.asked), **params)
            self.asked.append(f"q{len(self.asked)}")
        return super()._step(name)


def succession(folder: Path, seeds: range) -> None:
    deaths = made = 0
    for seed in seeds:
        rate = random.Random(seed).choice((0.003, 0.02, 0.1))
        simulation = Succession(folder / str(seed), seed, rate)
        with closing(simulation):
            simulation.play(CHURN.market(seed % MARKETS))
            log, run = simulation.log, simulation.run
            check_run(log, run)
            answers = [change.request for change in changes(log, run)]
            requests = [e.request for _, e in events_of(log, run.commands_stream) if isinstance(e, StrategyRequest)]
            assert requests == simulation.asked, f"seed {seed}"
            assert answers == requests[: len(answers)], f"seed {seed}: answered twice, or out of turn"
            assert len(requests) - len(answers) <= 2, f"seed {seed}"
            parity = check_parity(log, run, CHURN.session())
            assert (parity.mismatches, parity.first_mismatch) == (0, None), f"seed {seed}"
            assert parity.bars > 50
            made += len([change for change in changes(log, run) if not change.refusal])
        deaths += simulation.mortality.deaths
    print(f"seeds {seeds}: {made} changes of strategy, {deaths} deaths")
    assert made > len(seeds)
    assert deaths > 5 * len(seeds)


@pytest.mark.timeout(300)
def test_strategies_replaced_while_everybody_dies(tmp_path: Path) -> None:
    succession(tmp_path, range(2))


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_strategies_replaced_while_everybody_dies_many_times(tmp_path: Path) -> None:
    succession(tmp_path, range(4000, 4000 + SEEDS // 3))
