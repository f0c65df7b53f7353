"""The promotion gate: what a challenger must show before it becomes the champion."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import msgspec
import numpy as np

from quantlytic.learn.contest.contest import Compared, Contest, losses
from quantlytic.learn.contest.difference import Difference, mean_above_zero
from quantlytic.learn.models.model import UP
from quantlytic.model.errors import InputError
from quantlytic.research.honesty.overfitting import deflated_sharpe, moments

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
    """All must hold at a look: the challenger's losses are smaller on the same bars (a paired test that allows for their
    overlap), the deflated Sharpe ratio of following it after costs is high, its features have not drifted, and it answers in
    time.

    It is looked at `looks` times, with `outcomes`, 2, 4 ... times as many outcomes known. `alpha`, the probability of promoting
    one that is no better, is divided among the looks (Bonferroni): looking at every bar until luck passes by is not possible.
    A challenger whose losses are not smaller at all has no further look.
    `max_drift`: of the population stability index. `max_latency_ms`: of the 99th percentile. `cost_bps`: of what is traded.
    """

    outcomes: int = 200
    looks: int = 4
    alpha: float = 0.05
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

    def is_due(self, contest: Contest, looked: int) -> bool:
        """Whether there is to be a look, after so many: once there are outcomes enough, and the drift is known."""
        return looked < self.looks and contest.outcomes >= self.outcomes << looked and not math.isnan(contest.drift)

    def judge(self, contest: Contest, looked: int, trials: int) -> Verdict:
        """The look after `looked` others. `trials`: how many settings the challenger was picked from."""
        level = self.alpha / self.looks
        test = mean_above_zero(contest.differences(), contest.horizon)
        findings = [
            _better(contest, test, level),
            _pays(contest, level, trials),
            _within("drift", "PSI", contest.drift, self.max_drift, ""),
            _within("latency", "p99", _p99_ms(contest), self.max_latency_ms, " ms"),
        ]
        failed = tuple(one.name for one in findings if not one.holds)
        final = looked + 1 >= self.looks or test.mean <= 0.0
        how = "promoted" if not failed else f"not promoted ({', '.join(failed)})"
        text = "; ".join(one.text for one in findings)
        return Verdict(not failed, final, f"{how} on {contest.outcomes:,} outcomes: {text}", failed)


@dataclass(frozen=True)
class _Finding:
    name: str
    holds: bool
    text: str


def _better(contest: Contest, test: Difference, level: float) -> _Finding:
    found = contest.compared()
    what = "log loss" if contest.task == UP else "squared error"
    ours, theirs = _mean_losses(found, contest.task)
    against = "the champion's" if contest.opponent else "the base rate's"
    text = (
        f"{what} {ours:.4g} against {against} {theirs:.4g} (by luck {_percent(test.p_value)}, limit {_percent(level)})"
    )
    return _Finding("loss", test.p_value <= level and test.mean > 0, text)


def _mean_losses(found: Compared, task: str) -> tuple[float, float]:
    if not len(found.label):
        return math.nan, math.nan
    ours, theirs = (losses(one, found.label, task).mean() for one in (found.challenger, found.champion))
    return float(ours), float(theirs)


def _pays(contest: Contest, level: float, trials: int) -> _Finding:
    of = moments(contest.book.returns())
    if of is None:
        return _Finding("return", False, "it never acts")
    probability = deflated_sharpe(of, trials, 1.0 / (of.periods - 1))  # trials without skill scatter by chance alone
    text = f"deflated Sharpe {probability:.4f} after costs and {trials:,} trials (needs {1 - level:.4f})"
    return _Finding("return", probability >= 1.0 - level, text)


def _within(name: str, label: str, value: float, limit: float, unit: str) -> _Finding:
    if math.isnan(value):
        return _Finding(name, False, f"{label} not known (limit {limit:g}{unit})")
    return _Finding(name, value <= limit, f"{label} {value:.3g}{unit} (limit {limit:g}{unit})")


def _p99_ms(contest: Contest) -> float:
    return float(np.quantile(contest.latencies_ns, 0.99)) / 1e6 if contest.latencies_ns else math.nan


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
