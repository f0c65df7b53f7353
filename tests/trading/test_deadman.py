"""The dead-man's switch: silence and old data halt; what is well again lets go, or waits for a person."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantlytic.model.errors import InputError
from quantlytic.model.halt import Halt
from quantlytic.trading.deadman import DeadMan, DeadManRules

S = 10**9
RULES = DeadManRules(heartbeat_s=10.0, decision_s=20.0, data_age_s=30.0, settle_s=5.0)
T0 = 1_700_000_000 * S


def watch(rules: DeadManRules = RULES) -> DeadMan:
    made = DeadMan("main", rules)
    made.data("market.box", T0, T0)
    made.beat("the executor", T0)
    return made


def halted(halt: Halt | None) -> bool | None:
    return None if halt is None else halt.is_halted


def test_a_silent_executor_halts_once_and_lets_go_after_it_has_settled() -> None:
    deadman = watch()
    assert deadman.look(T0 + 10 * S) is None
    halt = deadman.look(T0 + 11 * S)
    assert halt is not None
    assert (halt.is_halted, halt.cause) == (True, "dead-man")
    assert halt.text == "no sign of life of the executor for 11 s (10 s is allowed)"
    assert deadman.look(T0 + 12 * S) is None
    deadman.beat("the executor", T0 + 12 * S)
    assert deadman.look(T0 + 12 * S) is None
    assert deadman.look(T0 + 16 * S) is None
    released = deadman.look(T0 + 17 * S)
    assert halted(released) is False
    assert deadman.look(T0 + 18 * S) is None


def test_settling_begins_anew_with_each_relapse() -> None:
    deadman = watch()
    assert halted(deadman.look(T0 + 11 * S))
    deadman.beat("the executor", T0 + 12 * S)
    deadman.look(T0 + 13 * S)
    assert deadman.look(T0 + 23 * S) is None  # silent again
    deadman.beat("the executor", T0 + 24 * S)
    assert deadman.look(T0 + 24 * S) is None
    assert deadman.look(T0 + 28 * S) is None
    assert halted(deadman.look(T0 + 29 * S)) is False


def test_a_clean_end_is_no_alarm() -> None:
    deadman = watch()
    deadman.stopped("the executor")
    assert deadman.look(T0 + 20 * S) is None


def test_old_data_halts_by_the_venues_time_and_by_ours() -> None:
    deadman = watch(DeadManRules(heartbeat_s=None, decision_s=None, data_age_s=30.0))
    deadman.data("market.box", T0 + 20 * S, T0 + 20 * S)
    assert deadman.look(T0 + 50 * S) is None
    deadman.data("market.box", T0 + 15 * S, T0 + 49 * S)  # comes in now, and is old
    assert deadman.look(T0 + 50 * S) is None
    halt = deadman.look(T0 + 51 * S)
    assert halt is not None
    assert "newest event of market.box is 31 s old" in halt.text


def test_a_strategist_that_owes_a_decision_halts() -> None:
    deadman = watch(DeadManRules(heartbeat_s=None, decision_s=20.0, data_age_s=None))
    deadman.asked("r", 7, T0)
    deadman.asked("r", 7, T0 + 19 * S)
    assert halted(deadman.look(T0 + 21 * S))
    deadman.answered("r")
    deadman = watch(DeadManRules(heartbeat_s=None, decision_s=20.0, data_age_s=None))
    for second in range(60):  # one bar behind all the time, and never the same one
        deadman.asked("r", second, T0 + second * S)
        assert deadman.look(T0 + second * S) is None


def test_typed_release_waits_for_a_person() -> None:
    deadman = watch(DeadManRules(heartbeat_s=10.0, settle_s=1.0, release="typed"))
    assert halted(deadman.look(T0 + 11 * S))
    deadman.beat("the executor", T0 + 11 * S)
    assert deadman.look(T0 + 20 * S) is None
    assert deadman.is_halted
    deadman.released()
    assert deadman.look(T0 + 20 * S) is None
    assert halted(deadman.look(T0 + 22 * S))


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
def test_rules_that_are_none_are_refused(bad: float) -> None:
    with pytest.raises(InputError, match="data_age_s"):
        DeadManRules(data_age_s=bad)
    with pytest.raises(InputError, match="auto, typed"):
        DeadManRules(release="never")


@given(
    st.lists(
        st.tuples(st.integers(0, 40), st.sampled_from(["beat", "data", "asked", "answered", "look", "stopped"])),
        max_size=80,
    )
)
def test_it_halts_whenever_something_is_silent_and_never_without_cause(steps: list[tuple[int, str]]) -> None:
    deadman, now = watch(), T0
    beat: int | None = T0
    data, owed, bar = T0, None, 0
    for seconds, what in steps:
        now += seconds * S
        if what == "beat":
            deadman.beat("the executor", now)
            beat = now
        elif what == "data":
            deadman.data("market.box", now, now)
            data = now
        elif what == "asked":
            bar += 1
            deadman.asked("r", bar, now)
            owed = now
        elif what == "answered":
            deadman.answered("r")
            owed = None
        elif what == "stopped":
            deadman.stopped("the executor")
            beat = None
        silent = beat is not None and now - beat > 10 * S
        is_bad = silent or now - data > 30 * S or (owed is not None and now - owed > 20 * S)
        was = deadman.is_halted
        halt = deadman.look(now)
        if is_bad:
            assert deadman.is_halted
            assert was or halted(halt) is True
        else:
            assert halt is None or not halt.is_halted
        assert deadman.is_silent("the executor", now) == silent
