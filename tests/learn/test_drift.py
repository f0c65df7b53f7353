"""The population stability index: by hand, on samples that did and did not move, and restartable."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from quantlytic.learn.live.drift import BLOCK_ROWS, LEAST_ROWS, Drift
from quantlytic.model.errors import DataError

Numbers = NDArray[np.float32]


def deciles(sample: Numbers) -> list[list[float]]:
    return [np.quantile(column, np.linspace(0, 1, 11)).tolist() for column in sample.T]


def fed(drift: Drift, rows: Numbers) -> float:
    return [drift.add(row) for row in rows][-1]


def sample(seed: int, rows: int, columns: int = 3) -> Numbers:
    return np.random.default_rng(seed).standard_normal((rows, columns)).astype(np.float32)


def test_by_hand() -> None:
    """Two thirds in the first bin, a third in the last, of ten that were equal."""
    drift = Drift([[float(k) for k in range(11)]])
    rows = np.array([[0.5]] * 200 + [[9.5]] * 100, np.float32)
    empty = 8 * (1e-4 - 0.1) * math.log(1e-4 / 0.1)
    expected = (2 / 3 - 0.1) * math.log(20 / 3) + (1 / 3 - 0.1) * math.log(10 / 3) + empty
    assert fed(drift, rows) == pytest.approx(expected, rel=1e-12)


def test_the_same_population_is_no_drift_and_a_moved_one_is() -> None:
    known = deciles(sample(1, 20_000))
    still = fed(Drift(known), sample(2, 1_000))
    assert still < 0.05
    moved = sample(2, 1_000)
    moved[:, 1] += 1.0
    assert fed(Drift(known), moved) > 0.5
    wider = sample(2, 1_000)
    wider[:, 2] *= 2.0
    assert fed(Drift(known), wider) > 0.25


def test_too_few_rows_are_not_judged() -> None:
    drift = Drift(deciles(sample(1, 1_000)))
    found = [drift.add(row) for row in sample(2, LEAST_ROWS)]
    assert all(math.isnan(one) for one in found[:-1])
    assert found[-1] >= 0


def test_what_is_long_past_is_forgotten() -> None:
    drift = Drift(deciles(sample(1, 20_000)))
    assert fed(drift, sample(2, 2 * BLOCK_ROWS) + np.float32(2.0)) > 1.0
    assert fed(drift, sample(3, 2 * BLOCK_ROWS + 1)) < 0.05


def test_columns_of_few_values_do_not_drift_by_themselves() -> None:
    """Candle patterns are 0 almost always; a constant is one value."""
    rng = np.random.default_rng(4)

    def rows(count: int) -> Numbers:
        pattern = rng.choice([-100.0, 0.0, 100.0], count, p=[0.03, 0.94, 0.03])
        return np.column_stack([pattern, np.full(count, 7.0), rng.integers(0, 3, count)]).astype(np.float32)

    drift = Drift(deciles(rows(20_000)))
    assert fed(drift, rows(1_000)) < 0.1
    different = rows(1_000)
    different[:, 1] = 7.5
    assert fed(Drift(deciles(rows(20_000))), different) > 1.0
    lower = rows(1_000)
    lower[:, 1] = 6.5
    assert fed(Drift(deciles(rows(20_000))), lower) > 1.0


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 1_300))
def test_saved_and_restored_it_goes_on_the_same(seed: int, at: int) -> None:
    known, rows = deciles(sample(1, 500)), sample(seed, 1_400)
    whole = Drift(known)
    expected = [whole.add(row) for row in rows]
    first, second = Drift(known), Drift(known)
    found = [first.add(row) for row in rows[:at]]
    second.restore(first.save())
    found += [second.add(row) for row in rows[at:]]
    assert np.array(found).tobytes() == np.array(expected).tobytes()
    with pytest.raises(DataError, match="of another model"):
        Drift(deciles(sample(1, 500, columns=5))).restore(first.save())


def test_a_model_whose_every_decile_is_one_number() -> None:
    """As a model of a single row would have."""
    drift = Drift([[1.0] * 11])
    assert fed(drift, np.full((LEAST_ROWS, 1), 1.0, np.float32)) == pytest.approx(0.0, abs=1e-2)
