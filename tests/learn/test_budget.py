"""Alpha shared among a line's challengers of a year."""

from __future__ import annotations

import pytest

from quantlytic.learn.contest.budget import Places, share

DAY_NS = 86_400 * 10**9
NEW_YEAR_NS = 1_767_225_600 * 10**9  # 2026-01-01


@pytest.mark.parametrize("a_year", [1, 12, 365, 10_000])
def test_the_parts_of_a_year_never_add_up_to_more_than_all(a_year: int) -> None:
    parts = [share(place, a_year) for place in range(1, 20_000)]
    assert sum(parts) == pytest.approx(1.0, abs=1e-4)
    assert sum(parts) <= 1.0
    assert parts == sorted(parts, reverse=True)
    assert all(part > 0.5 / a_year for part in parts[:a_year])


def test_places_begin_anew_with_a_year_and_are_of_an_alias_each() -> None:
    places = Places()
    assert [places.take("a", NEW_YEAR_NS - DAY_NS) for _ in range(3)] == [1, 2, 3]
    assert places.take("b", NEW_YEAR_NS - 1) == 1
    assert places.take("a", NEW_YEAR_NS) == 1
    assert places.given == {"a": {2025: 3, 2026: 1}, "b": {2025: 1}}
    assert places.take("a", NEW_YEAR_NS - DAY_NS) == 4, "a clock that goes back gives nothing back"


def test_a_bar_a_century_ahead_gives_nothing_back_and_does_not_stick() -> None:
    places = Places()
    assert [places.take("a", NEW_YEAR_NS - DAY_NS) for _ in range(2)] == [1, 2]
    assert places.take("a", NEW_YEAR_NS + 36_525 * DAY_NS) == 1
    assert places.take("a", NEW_YEAR_NS - DAY_NS) == 3
    assert places.take("a", NEW_YEAR_NS) == 1, "the next year begins for itself"
