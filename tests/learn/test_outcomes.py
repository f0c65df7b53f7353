"""What came of forecasts: the labels of the whole table, bar by bar, however they are cut."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.learn.forecasts import forecasts_of
from tests.learn.made import MINUTE_NS, made_bars, without

from quantlytic.engine.data.bars import Bars
from quantlytic.learn.contest.outcomes import Outcomes
from quantlytic.learn.labels.labels import labels_of
from quantlytic.learn.labels.labelspec import LabelSpec

SPECS = (
    LabelSpec("direction", 1),
    LabelSpec("direction", 5, dead_zone=5e-4),
    LabelSpec("forward_return", 4, log=True),
    LabelSpec("triple_barrier", 6, volatility_window=10),
    LabelSpec("triple_barrier", 6, volatility_window=10, at_end="drop"),
    LabelSpec("trend_scan", 8, shortest=3),
    LabelSpec("meta", 4, volatility_window=10),
)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: f"{spec.kind}-{spec.horizon}-{spec.at_end}")
def test_they_are_the_labels_of_the_table(spec: LabelSpec) -> None:
    bars = without(Bars.merge([made_bars(160, "x:A", 1), made_bars(160, "x:B", 2)]), [61, 62, 63, 200])
    signal = np.sign(np.sin(np.arange(len(bars))))
    sides = signal if spec.kind == "meta" else None
    labels = labels_of(bars, spec, signal=sides, bar_size_ns=MINUTE_NS, compiled=False)
    outcomes = Outcomes(spec, MINUTE_NS, compiled=False)
    found = {}
    for k, forecast in enumerate(forecasts_of(bars, np.full(len(bars), 0.5))):
        if k % 37 == 20:  # a restart
            state = outcomes.save()
            outcomes = Outcomes(spec, MINUTE_NS, compiled=False)
            outcomes.restore(state)
        outcome = outcomes.update(forecast, float(signal[k]) if sides is not None else 1.0)
        if outcome is not None:
            found[outcome.forecast.bar_offset] = outcome
    assert sorted(found) == np.flatnonzero(labels.known).tolist()
    for row, outcome in found.items():
        assert outcome.label == pytest.approx(labels.value[row], rel=1e-12)
        assert outcome.result == pytest.approx(labels.result[row], rel=1e-9)
        assert outcome.side == (signal[row] if sides is not None else 1.0)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), horizon=st.integers(1, 9))
def test_none_comes_before_its_time_and_none_twice(seed: int, horizon: int) -> None:
    bars = made_bars(60, seed=seed)
    outcomes = Outcomes(LabelSpec("direction", horizon), MINUTE_NS, compiled=False)
    seen = []
    for k, forecast in enumerate(forecasts_of(bars, np.full(60, 0.5))):
        assert outcomes.update(forecast) is None or k >= horizon
        again = outcomes.update(forecast)
        assert again is None, "the same bar again is no new one"
    for k, forecast in enumerate(forecasts_of(bars, np.full(60, 0.5))):
        fresh = outcomes.update(forecast)
        assert fresh is None, "nor is one of before"
        seen.append(k)
    assert len(seen) == 60


def test_the_future_beyond_the_horizon_changes_nothing() -> None:
    spec = LabelSpec("triple_barrier", 6, volatility_window=10)
    bars, other = made_bars(80, seed=1), made_bars(80, seed=1)
    other.array["close"][60:] *= 1.5
    other.array["high"][60:] *= 2.0
    found = []
    for made in (bars, other):
        outcomes = Outcomes(spec, MINUTE_NS, compiled=False)
        got = [outcomes.update(one) for one in forecasts_of(made, np.full(80, 0.5))]
        found.append([(one.label, one.result) for one in got if one is not None and one.forecast.bar_offset < 54])
    assert found[0] == found[1]
