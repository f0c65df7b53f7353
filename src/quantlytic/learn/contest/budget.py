"""How much luck a line's challengers may have in a year, all of them together."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from quantlytic.model.time import NS_PER_S


class Places(msgspec.Struct, array_like=True):
    """Which of its alias's challengers of the calendar year (UTC, by the market's time) each is that the gate looks at: `given`
    has how many by year, an alias each. One that is never looked at takes none. A year is counted for itself, so that a bar out
    of another one (the far future) neither gives back places of this year nor holds up the next."""

    given: dict[str, dict[int, int]] = {}

    def take(self, alias: str, time_ns: int) -> int:
        """The next place, from 1 on."""
        year, counts = datetime.fromtimestamp(time_ns // NS_PER_S, UTC).year, self.given.setdefault(alias, {})
        counts[year] = counts.get(year, 0) + 1
        return counts[year]


def share(place: int, a_year: int) -> float:
    """The part of a year's alpha that its challenger number `place` (from 1 on) may use.

    The parts add up to 1, whatever the number of challengers and however much they have in common (Bonferroni). Half is spent
    on the first few, who are most of those of a person that trains by hand; the other half is shared out evenly among
    `a_year`, so that the last night of a year still has a chance. Beyond `a_year` hardly anything is left.
    """
    first = 1.0 / (place * (place + 1))
    evenly = 1.0 / a_year if place <= a_year else 0.0
    return 0.5 * (first + evenly)
