"""A model that never answers is stopped; others hear nothing of it."""

from __future__ import annotations

import gc
import threading
import time
from typing import Any

import numpy as np
import pytest
from tests.learn.servable import artifact, endless_artifact

from quantlytic.learn.registry import overtime
from quantlytic.learn.registry.overtime import LOOK_S, Overtime, TookTooLong
from quantlytic.learn.registry.runtime import LIMIT_S, ServedModel
from quantlytic.model.errors import DataError

ENDLESS, QUICK = np.array([1.0, 0.0]), np.array([-1.0, 0.0])


class FakeRuntime:
    class RunOptions:
        terminate = False


def test_a_run_that_never_ends_is_stopped_and_the_next_one_is_not(capfd: pytest.CaptureFixture[str]) -> None:
    model, other = ServedModel(endless_artifact()), ServedModel(artifact(1))
    model.golden()
    model.limit(0.3)
    for _ in range(2):
        began_s = time.perf_counter()
        with pytest.raises(TookTooLong, match=r"did not answer within 0\.3 s and was stopped"):
            model.predict(ENDLESS)
        assert 0.3 <= time.perf_counter() - began_s < LIMIT_S
        assert model.predict(QUICK).tolist() == [-1.0]
        assert np.isfinite(other.predict(QUICK)).all()
    assert capfd.readouterr().err == ""  # the runtime prints nothing beside


def test_other_threads_go_on_meanwhile() -> None:
    model, other = ServedModel(endless_artifact()), ServedModel(artifact(1))
    model.limit(0.3)
    told: list[str] = []

    def ask() -> None:
        try:
            model.predict(ENDLESS)
        except TookTooLong as error:
            told.append(str(error))

    thread = threading.Thread(target=ask)
    thread.start()
    asked = 0
    while thread.is_alive():
        other.predict(QUICK)
        asked += 1
    assert told
    assert asked > 10


def test_a_loop_with_nothing_in_it_cannot_be_stopped_and_is_refused() -> None:
    with pytest.raises(DataError, match="a loop with nothing in it"):
        ServedModel(endless_artifact(is_empty=True))


def test_more_rows_have_more_time(monkeypatch: pytest.MonkeyPatch) -> None:
    model = ServedModel(artifact(1))
    given: list[float] = []
    answer: Any = model._answer
    asked = answer._overtime
    monkeypatch.setattr(answer, "_overtime", Spy(asked, given))
    model.predict(np.zeros((20_000, 2)))
    model.limit(1.0)
    model.predict(np.zeros((1, 2)))
    assert given == pytest.approx([LIMIT_S + 16_383 * 0.002, LIMIT_S + 3_615 * 0.002, 1.0])


class Spy:
    def __init__(self, of: Overtime, given: list[float]) -> None:
        self._of, self._given, self.options = of, given, of.options

    def __call__(self, seconds: float) -> Overtime:
        self._given.append(seconds)
        return self._of(seconds)


def test_time_is_counted_by_looks_not_by_a_clock() -> None:
    """A process that was stopped for an hour between two looks is held against no run."""
    watched = Overtime(FakeRuntime)
    with watched(5.0):
        for _ in range(50):
            watched.look()
        assert not watched.options.terminate
    for _ in range(1000):
        watched.look()  # between two runs nothing is counted
    stopped = watched.options
    with pytest.raises(TookTooLong), watched(3 * LOOK_S):
        [watched.look() for _ in range(10)]
    assert stopped.terminate
    assert watched.options is not stopped
    assert not watched.options.terminate


def test_the_thread_ends_with_the_last_session() -> None:
    watch = overtime._Watch()
    one = Overtime(FakeRuntime)
    watch.add(one)
    thread = watch._thread
    assert thread is not None
    del one
    gc.collect()
    thread.join(5.0)
    assert not thread.is_alive()
    two = Overtime(FakeRuntime)
    watch.add(two)
    assert watch._thread is not None
    assert watch._thread.is_alive()


def test_it_costs_a_row_next_to_nothing() -> None:
    watched, best_s = Overtime(FakeRuntime), float("inf")
    for _ in range(20):
        began_s = time.perf_counter()
        for _ in range(500):
            with watched(5.0):
                pass
        best_s = min(best_s, (time.perf_counter() - began_s) / 500)
    assert best_s < 3e-6
