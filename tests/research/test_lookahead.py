"""The detector names planted leaks, bar and field, and leaves honest rules alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.engine.market import same_rows
from tests.research import leaky_rules
from tests.research.leaky_rules import BARS, HONEST, LEAKY, NEXT, make_bars

from quantlytic.engine.data.bars import Bars
from quantlytic.model.errors import InputError
from quantlytic.research.honesty.lookahead import detect_lookahead


@pytest.mark.parametrize(("rule", "field", "reach"), LEAKY, ids=[rule.__name__ for rule, *_ in LEAKY])
def test_a_planted_leak_is_named(rule: Any, field: str, reach: str) -> None:
    samples = 3 if isinstance(rule, type) or "strategy" in rule.__name__ else 16  # plain Python is slow
    leaks = {leak.field: leak for leak in detect_lookahead(rule, BARS, samples=samples, compiled=False)}
    assert set(leaks) == {field}
    leak = leaks[field]
    assert leak.time == BARS.array["close_time"][leak.bar]
    if reach == NEXT:
        assert (leak.nearest, leak.furthest) == (leak.bar + 1, leak.bar + 1)
        assert f"`{field}` of bar {leak.bar + 1} (the next one)" in leak.sentence
    else:
        assert leak.furthest > leak.bar + 20


@pytest.mark.parametrize("rule", HONEST, ids=[rule.__name__ for rule in HONEST])
def test_an_honest_rule_raises_no_alarm(rule: Any) -> None:
    assert detect_lookahead(rule, BARS, samples=3 if isinstance(rule, type) else 12, compiled=False) == []


def test_what_closes_at_one_time_is_known_at_one_time() -> None:
    assert detect_lookahead(leaky_rules.ranks_across_instruments, make_bars(80, instruments=3), samples=10) == []


def test_a_compiled_strategy() -> None:
    assert detect_lookahead(leaky_rules.Trend, BARS, samples=4) == []


def test_the_first_leaking_bar_is_found() -> None:
    def late(bars: Bars) -> Any:
        close = bars.array["close"]
        return np.where(np.arange(len(close)) >= 70, np.append(close[1:], close[-1]), close)

    (leak,) = detect_lookahead(late, BARS, samples=16)
    assert (leak.bar, leak.nearest, leak.furthest) == (70, 71, 71)


def test_several_fields_are_all_named() -> None:
    def both(bars: Bars) -> Any:
        return np.column_stack([np.roll(bars.array[name], -1) for name in ("high", "volume")])

    assert {leak.field for leak in detect_lookahead(both, BARS, samples=8)} == {"high", "volume"}


def test_what_was_swapped_is_put_back() -> None:
    before = leaky_rules.CLOSES
    detect_lookahead(leaky_rules.reads_a_global, BARS, samples=4)
    assert leaky_rules.CLOSES is before
    assert np.array_equal(before, BARS.array["close"])


def test_the_seed_decides_the_cuts() -> None:
    found = [detect_lookahead(leaky_rules.roll, BARS, samples=4, seed=5) for _ in range(2)]
    assert found[0] == found[1]


def test_chance_without_a_seed_is_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match="give its randomness a seed"):
        detect_lookahead(lambda bars: rng.random(len(bars)), BARS)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (lambda bars: np.zeros(3), "returned 3 rows for 120 bars"),
        (lambda bars: np.zeros((120, 2, 2)), "one row of numbers"),
    ],
)
def test_what_gives_no_row_a_bar_is_refused(rule: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        detect_lookahead(rule, BARS)


def test_too_few_bars() -> None:
    with pytest.raises(InputError, match="at least 20"):
        detect_lookahead(leaky_rules.roll, make_bars(10))


def test_a_rule_that_always_raises_cannot_be_checked() -> None:
    def particular(bars: Bars) -> Any:
        if not same_rows(bars.array, BARS.array):
            raise ValueError("other bars")
        return np.zeros(len(bars))

    with pytest.raises(InputError, match="cannot be checked"):
        detect_lookahead(particular, BARS, samples=3)
