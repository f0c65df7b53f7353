"""What the gate finds at a look, one condition each, in words with figures."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from quantlytic.learn.contest.contest import Compared, Contest, advantage, losses
from quantlytic.learn.contest.difference import mean_above_zero
from quantlytic.learn.models.model import UP
from quantlytic.learn.samples.inputs import Values
from quantlytic.research.honesty.overfitting import deflated_sharpe, moments

_STANDS_STILL = 1e-3  # forecasts that spread by less than this part of what the labels do can tell nothing


class Finding(NamedTuple):
    """`name`: of the condition. `hopeless`: more outcomes will not help."""

    name: str
    holds: bool
    text: str
    hopeless: bool = False


def findings(contest: Contest, level: float, trials: int, max_drift: float, max_latency_ms: float) -> list[Finding]:
    """All of them. `level`: the probability of luck that each test may have; `trials`: settings it was picked from."""
    found = contest.compared()
    made = [_varies(found)]
    if contest.has_champion:
        made.append(_better(contest, found, level, found.champion, "loss", "the champion's"))
    made += [
        _beats_base_rate(contest, found, level),
        _pays(contest, level, trials),
        _beats_holding(contest),
        _within("drift", "PSI", contest.drift, max_drift, ""),
        _within("latency", "p99", _p99_ms(contest), max_latency_ms, " ms"),
    ]
    return [one for one in made if one.text]


def _varies(found: Compared) -> Finding:
    """Whether it says different things of different bars of the same instrument."""
    spread = max(
        (float(found.challenger[found.instruments == k].std()) for k in np.unique(found.instruments)), default=0.0
    )
    if spread > _STANDS_STILL * float(found.label.std() if len(found.label) else 0.0):
        return Finding("constant", True, "")
    said = f"{found.challenger.mean():.4g}" if len(found.challenger) else "nothing"
    return Finding("constant", False, f"it says {said} whatever happens: a constant is no forecast", hopeless=True)


def _better(contest: Contest, found: Compared, level: float, other: Values, name: str, whose: str) -> Finding:
    test = mean_above_zero(advantage(found, other, contest.task), contest.horizon)
    ours, theirs = _mean_loss(found.challenger, found, contest.task), _mean_loss(other, found, contest.task)
    what = "log loss" if contest.task == UP else "squared error"
    text = f"{what} {ours:.4g} against {whose} {theirs:.4g} (by luck {_percent(test.p_value)}, limit {_percent(level)})"
    return Finding(name, test.p_value <= level and test.mean > 0.0, text, hopeless=test.mean <= 0.0)


def _beats_base_rate(contest: Contest, found: Compared, level: float) -> Finding:
    """Better than the base rate known at the time; and than the best constant, which knows the outcomes: so no constant passes,
    however well it was chosen."""
    known = _better(contest, found, level, found.base, "base rate", "the base rate's")
    if not known.holds:
        return known
    constant = np.full(len(found.label), found.label.mean() if len(found.label) else 0.0)
    best = _better(contest, found, level, constant, "base rate", "the best constant's")
    return known if best.holds else best._replace(hopeless=False)


def _mean_loss(forecast: Values, found: Compared, task: str) -> float:
    return float(losses(forecast, found.label, task).mean()) if len(found.label) else math.nan


def _pays(contest: Contest, level: float, trials: int) -> Finding:
    of = moments(contest.book.returns())
    if of is None:
        return Finding("return", False, "it never acts")
    luck = 1.0 - deflated_sharpe(of, trials, 1.0 / (of.periods - 1))  # trials without skill scatter by chance alone
    costs = (
        f"costs of {contest.cost_bps:g} bps"
        if contest.cost_bps
        else "costs that are set to 0: what it pays is not shown,"
    )
    text = (
        f"{_bps(contest.book.returns())} a bar after {costs} and {trials:,} trials "
        f"(by luck {_percent(luck)}, limit {_percent(level)})"
    )
    return Finding("return", luck <= level, text)


def _beats_holding(contest: Contest) -> Finding:
    ours, holding = contest.book.returns(), contest.holding_book.returns()
    holds = len(ours) > 0 and float(ours.mean()) > float(holding.mean() if len(holding) else 0.0)
    return Finding("holding", holds, f"holding earned {_bps(holding)}")


def _within(name: str, label: str, value: float, limit: float, unit: str) -> Finding:
    if math.isnan(value):
        return Finding(name, False, f"{label} not known (limit {limit:g}{unit})")
    return Finding(name, value <= limit, f"{label} {value:.3g}{unit} (limit {limit:g}{unit})")


def _p99_ms(contest: Contest) -> float:
    return float(np.quantile(contest.latencies_ns, 0.99)) / 1e6 if contest.latencies_ns else math.nan


def _bps(returns: Values) -> str:
    return f"{1e4 * returns.mean():+.3g} bps" if len(returns) else "nothing"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
