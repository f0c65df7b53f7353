"""The promotion gate: what a challenger must show before it becomes the champion."""

from __future__ import annotations

import math
from typing import NamedTuple

import msgspec

from quantlytic.learn.contest.budget import share
from quantlytic.learn.contest.contest import Contest
from quantlytic.learn.contest.finding import findings
from quantlytic.model.errors import InputError

LONGEST = 20_000
"""Outcomes, after which a contest begins anew: what is older says little of today."""


class Verdict(NamedTuple):
    """`reason`: in words with figures, what was found. `final`: there is no further look. `failed`: the names of the conditions
    that do not hold."""

    promoted: bool
    final: bool
    reason: str
    failed: tuple[str, ...]


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """All must hold at a look: its forecasts vary; its losses are smaller, on the same bars, than the champion's and than the
    base rate's (a paired test that allows for their overlap), and than those of any constant; following it pays after costs
    (deflated Sharpe ratio), and more than holding; its features have not drifted, and it answers in time.

    It is looked at `looks` times, with `outcomes`, 2, 4 ... times as many outcomes known. `alpha`, the probability that of all
    challengers of a line in a year one is promoted that is no better, is shared among them (`budget.share`, with
    `challengers_a_year`), and each one's part among its looks, in proportion to their outcomes (Bonferroni): neither looking
    nor training until luck passes by is possible. A challenger whose losses are not smaller at all has no further look.
    `max_drift`: of the population stability index. `max_latency_ms`: of the 99th percentile. `cost_bps`: of what is traded.
    """

    outcomes: int = 200
    looks: int = 4
    alpha: float = 0.05
    challengers_a_year: int = 365
    max_drift: float = 0.25
    max_latency_ms: float = 20.0
    cost_bps: float = 10.0

    def check(self) -> None:
        """InputError for numbers that cannot be."""
        if self.outcomes < 20 or not 1 <= self.looks <= 10:
            raise InputError("the promotion gate needs 20 outcomes or more, and 1 to 10 looks")
        if self.outcomes << (self.looks - 1) > LONGEST:
            raise InputError(
                f"the promotion gate: its last look would be at {self.outcomes << (self.looks - 1):,} outcomes; at most "
                f"{LONGEST:,}: take fewer looks, or fewer outcomes"
            )
        if not (0.0 < self.alpha < 0.5 and self.max_drift > 0 and self.max_latency_ms > 0 and self.cost_bps >= 0):
            raise InputError(
                "the promotion gate: alpha is between 0 and 0.5, max_drift and max_latency_ms are above 0, cost_bps is 0 or more"
            )
        if self.challengers_a_year < 1:
            raise InputError("the promotion gate: challengers_a_year is 1 or more")

    def is_due(self, contest: Contest, looked: int) -> bool:
        """Whether there is to be a look, after so many: once there are outcomes enough, and the drift is known."""
        return looked < self.looks and contest.outcomes >= self.outcomes << looked and not math.isnan(contest.drift)

    def judge(self, contest: Contest, looked: int, trials: int, place: int = 0) -> Verdict:
        """The look after `looked` others. `trials`: how many settings the challenger was picked from. `place`: which of its
        line's challengers of the year it is, from 1 on; 0 for one that has all of alpha."""
        alpha = self.alpha * (share(place, self.challengers_a_year) if place else 1.0)
        level = alpha * (1 << looked) / ((1 << self.looks) - 1)
        found = findings(contest, level, trials, self.max_drift, self.max_latency_ms)
        failed = tuple(one.name for one in found if not one.holds)
        final = looked + 1 >= self.looks or any(one.hopeless for one in found)
        how = "promoted" if not failed else f"not promoted ({', '.join(failed)})"
        which = f", as no. {place:,} of its year" if place else ""
        text = "; ".join(one.text for one in found)
        return Verdict(not failed, final, f"{how} on {contest.outcomes:,} outcomes{which}: {text}", failed)
