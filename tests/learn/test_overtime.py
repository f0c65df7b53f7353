"""A model that never answers is stopped; others hear nothing of it."""

from __future__ import annotations

import gc
import threading
import time
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from tests.learn.servable import artifact, endless_artifact

from quantlytic.learn.registry import overtime
from quantlytic.learn.registry.overtime import LOOK_S, Overtime, TookTooLong
from quantlytic.learn.registry.runtime import LIMIT_S, ServedModel, load
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


@pytest.mark.parametrize("operator", ["Loop", "Scan"])
@pytest.mark.parametrize("left_over", ["Identity", "Constant", None])
@pytest.mark.parametrize("is_in_function", [False, True])
def test_nor_one_whose_operators_have_no_effect(operator: str, left_over: str | None, is_in_function: bool) -> None:
    """The runtime leaves them out."""
    with pytest.raises(DataError, match="a loop with nothing in it"):
        load(going_round(operator, left_over, is_in_function), "model.onnx", 2)


def test_a_loop_that_does_something_is_run() -> None:
    answer = load(going_round("Scan", "Neg", True), "model.onnx", 2)
    assert answer(np.array([[1.0, 2.0], [3.0, 4.0]], np.float32)).tolist() == [-3.0, -7.0]


def going_round(operator: str, inside: str | None, is_in_function: bool) -> bytes:
    """A file with a loop; of what is in it only "Neg" is used."""
    like = helper.make_tensor_value_info
    of_row = [like("row", TensorProto.FLOAT, [2])]
    flags = [like("turn", TensorProto.INT64, []), like("go_on", TensorProto.BOOL, [])]
    steps = {
        None: [],
        "Neg": [helper.make_node("Neg", ["row"], ["less"])],
        "Identity": [helper.make_node("Identity", ["row"], ["unused"])],
        "Constant": [helper.make_node("Constant", [], ["unused"], value_int=1)],
    }[inside]
    made = [like("less", TensorProto.FLOAT, [2])] if inside == "Neg" else of_row
    if operator == "Scan":
        body = helper.make_graph(steps, "turns", of_row, made)
        loop = helper.make_node("Scan", ["rows"], ["round"], body=body, num_scan_inputs=1)
    else:
        body = helper.make_graph(steps, "turns", [*flags, *of_row], [flags[1], *made])
        loop = helper.make_node("Loop", ["often", "", "rows"], ["round"], body=body)
    nodes, functions = [loop], []
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    constants = [numpy_helper.from_array(np.array(value), name) for name, value in (("often", 3), ("last", [1]))]
    if is_in_function:
        given = [one for one in loop.input if one]
        functions = [helper.make_function("own", "Inner", given, ["round"], [loop], opsets[:1])]
        nodes = [helper.make_node("Inner", given, ["round"], domain="own")]
    nodes.append(helper.make_node("ReduceSum", ["round", "last"], ["value"], keepdims=0))
    rows, value = like("rows", TensorProto.FLOAT, ["n", 2]), like("value", TensorProto.FLOAT, ["n"])
    graph = helper.make_graph(nodes, "model", [rows], [value], constants)
    model = helper.make_model(graph, functions=functions, opset_imports=opsets, ir_version=9)
    return bytes(model.SerializeToString())


def test_a_child_forked_while_its_parent_was_asked_and_watched_may_ask() -> None:
    watched = Overtime(FakeRuntime)
    watched(5.0).__enter__()
    for _ in range(200):
        watched.look()
    watched._lock.acquire()
    watched.after_fork()
    with watched(5.0):
        watched.look()
        assert not watched.options.terminate


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
