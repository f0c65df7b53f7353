"""Real or luck, in plain words.

A result is "likely real" only when the evidence left after the search is worth 95 %: on instruments without any pattern
at most one run in twenty may be called so, however many were tried. The rule, in order:

1. `loses`: the run lost money, or earned nothing on average.
2. `unproven`: fewer than 30 periods, fewer than 5 round trips, or it never traded.
3. `unproven`, too, unless it is luck: more than a tenth of the value traded is in fills larger than their bar's volume,
   where volumes are known. Nobody could have traded that.
4. `likely real`: deflated Sharpe ratio >= 0.95, of the returns and (where a buy-and-hold is known) of what is left of them
   without the market's share (beta times its return): a rising market lifts every long-only rule. With a table of all the
   search's returns, Hansen's SPA p-value must also be <= 0.05, and the best of one half must not lose in the other.
5. `likely luck`: deflated Sharpe ratio below 0.5. Else `unproven`.

The deflated Sharpe ratio takes its number of trials and the variance of their Sharpe ratios from the trial ledger or the
table. The variance counts up to what luck alone explains (1 / periods, without skill): trials that differ by more differ
in costs or merit, and a rule that does well is not punished for what else was tried.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from quantlytic.research import text
from quantlytic.research.figures.metrics import Figures
from quantlytic.research.figures.participation import participation
from quantlytic.research.honesty.overfitting import (
    backtest_overfitting,
    deflated_sharpe,
    effective_trials,
    expected_maximum,
    matrix,
    minimum_track_record,
    moments,
    probabilistic_sharpe,
    sharpes,
)
from quantlytic.research.honesty.sampling import period_returns, periods_per_year, sample_points
from quantlytic.research.honesty.tried import Tried

if TYPE_CHECKING:
    from pathlib import Path

    from quantlytic.engine.data.bars import Bars
    from quantlytic.research.runs.outcome import Outcome as Result

Values = NDArray[np.float64]

LIKELY_REAL, UNPROVEN, LIKELY_LUCK, LOSES = "likely real", "unproven", "likely luck", "loses"
CONFIDENCE = 0.95
_FEWEST_PERIODS = 30
_FEWEST_TRIPS = 5
_MOST_BEYOND = 0.1  # of the value traded, in fills larger than their bar's volume


@dataclass(frozen=True)
class Verdict:
    """`label`: "likely real", "unproven", "likely luck" or "loses"; `sentence`: with the reason, in plain words.

    `figures`, None where unknown: trials, effective_trials, psr, dsr, dsr_alpha, beta, expected_max_sharpe (annualised),
    min_track_record_years, years, periods, round_trips, spa_p, pbo, oos_loss, and those of `participation`.
    """

    label: str
    sentence: str
    figures: dict[str, float | int | None] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {"label": self.label, "sentence": self.sentence, "figures": dict(self.figures)}


def verdict_of(result: Result, home: Path | None = None) -> Verdict:
    """The verdict on a run, with every trial counted that the ledger in the data folder `home` has on data like its own."""
    from quantlytic.research.honesty.trials import trials_on

    return verdict(result, trials=None if home is None else trials_on(home, result.bars, result.data_hash))


def verdict(
    result: Result, *, trials: Tried | int | None = None, returns_matrix: Values | None = None, seed: int = 0
) -> Verdict:
    """The verdict on a run that was picked from `trials` (itself included; one when not given).

    `returns_matrix`: f8[periods, cells], the returns of every cell of the sweep it is the best of, over the same time.
    `seed` is the bootstrap's.
    """
    array = result.bars.array
    ends, returns = period_returns(array["close_time"], result.equity, result.cash)
    return judge(
        returns,
        per_year=periods_per_year(ends),
        hold=hold_returns(result.bars)[: len(returns)],
        trials=trials,
        returns_matrix=returns_matrix,
        round_trips=len(result.round_trips),
        sizes=participation(result.bars, result.fills),
        seed=seed,
    )


def hold_returns(bars: Bars) -> Values:
    """What holding all the instruments in equal parts returned, period by period (`sample_points`)."""
    array = bars.array
    at = sample_points(array["close_time"])
    growth = np.zeros(len(at))
    for index in range(len(bars.instruments)):
        rows = np.flatnonzero(array["instrument"] == index)
        if len(rows):
            last = np.searchsorted(rows, at, "right") - 1
            prices = array["close"][rows[np.maximum(last, 0)]]
            growth += np.where(last < 0, 1.0, prices / array["open"][rows[0]])
        else:
            growth += 1.0
    value = np.concatenate(([1.0], growth / max(len(bars.instruments), 1)))
    found: Values = value[1:] / value[:-1] - 1.0
    return found


def judge(
    returns: Values,
    *,
    per_year: float,
    hold: Values | None = None,
    trials: Tried | int | None = None,
    returns_matrix: Values | None = None,
    round_trips: int | None = None,
    sizes: Figures | None = None,
    seed: int = 0,
    noun: str = "trial",
) -> Verdict:
    """The verdict on returns per period, `per_year` of them a year; `hold`: the market's, of the same periods;
    `sizes`: of its fills (`participation`); `noun`: what the trials are called."""
    tried = trials if isinstance(trials, Tried) else Tried(max(int(trials or 1), 1))
    figures: dict[str, float | int | None] = {
        "trials": tried.count, "periods": len(returns), "round_trips": round_trips,
        "years": len(returns) / per_year if per_year else None,
        **(sizes or {}),
    }  # fmt: skip
    growth = float(np.prod(1.0 + returns)) - 1.0 if len(returns) else 0.0
    of = moments(returns)
    if of is None:
        return Verdict(
            UNPROVEN, "unproven: it never traded" if not np.any(returns) else "unproven: too short to say", figures
        )
    searched = _search(tried, returns_matrix, len(returns), per_year, seed, figures)
    figures["psr"] = probabilistic_sharpe(of)
    figures["dsr"] = deflated = deflated_sharpe(of, *searched)
    figures["expected_max_sharpe"] = expected_maximum(*searched) * math.sqrt(per_year)
    longest = minimum_track_record(of, expected_maximum(*searched))
    figures["min_track_record_years"] = longest / per_year if math.isfinite(longest) and per_year else None
    alpha = deflated
    if hold is not None and (without := _without_market(returns, hold)) is not None:
        figures["beta"], rest = without
        left = moments(rest)
        alpha = figures["dsr_alpha"] = deflated_sharpe(left, *searched) if left is not None else 0.0
    if growth <= 0.0 or of.sharpe <= 0.0:
        return Verdict(LOSES, f"loses: {growth:+.1%} after costs over {_years(figures)}".replace("-", "−"), figures)
    label, why = _weigh(figures, of.periods, deflated, alpha, noun)
    return Verdict(label, f"{label}: {why}", figures)


def _weigh(
    figures: dict[str, float | int | None], periods: int, deflated: float, alpha: float, noun: str
) -> tuple[str, str]:
    """The label of a run that made money, and why."""
    trips, evidence = figures["round_trips"], _evidence(figures, deflated, noun)
    if deflated >= 0.5 and (beyond := _untradable(figures)):
        return UNPROVEN, beyond
    if trips is not None and trips < _FEWEST_TRIPS:
        return UNPROVEN, f"{trips:,} round trip{'s are' if trips != 1 else ' is'} too few to say"
    if periods < _FEWEST_PERIODS:
        return UNPROVEN, f"{periods} periods are too few to say"
    if deflated < 0.5:
        return LIKELY_LUCK, evidence
    doubt = _doubt(figures, deflated, alpha)
    return (UNPROVEN, evidence + doubt) if doubt else (LIKELY_REAL, evidence)


def _search(
    tried: Tried, table: Values | None, periods: int, per_year: float, seed: int, figures: dict[str, float | int | None]
) -> tuple[float, float]:
    """(number of trials, variance of their Sharpe ratios per period) to deflate by; notes what a table tells."""
    luck = 1.0 / max(periods - 1, 1)
    count, variance = float(tried.count), luck
    if tried.sharpe_variance is not None and per_year and tried.count > 1:
        variance = min(tried.sharpe_variance / per_year, luck)
    if table is None or table.ndim != 2 or table.shape[1] < 2:
        return count, variance
    from quantlytic.research.honesty.realitycheck import superior_predictive_ability

    table = matrix(table)
    figures["trials"] = max(tried.count, table.shape[1])
    figures["effective_trials"] = effective_trials(table)
    figures["spa_p"] = superior_predictive_ability(table, seed=seed).p_value
    blocks = min(16, len(table) // 8 * 2)
    if blocks >= 2:
        overfitting = backtest_overfitting(table, blocks)
        figures["pbo"], figures["oos_loss"] = overfitting.probability, overfitting.loss
    if tried.count > table.shape[1]:  # more was tried than the table shows
        return count, variance
    # Sharpe ratios of other periods over the same time: their variance goes with the number of periods
    spread = float(sharpes(table).var(ddof=1)) * len(table) / max(periods, 1)
    return float(table.shape[1]), min(spread, luck)


def _without_market(returns: Values, hold: Values) -> tuple[float, Values] | None:
    """(beta, returns less beta times the market's); None when the market did not move."""
    if len(hold) != len(returns) or not np.isfinite(hold).all():
        return None
    spread = hold - hold.mean()
    moved = float(spread @ spread)
    if moved <= 0.0:
        return None
    beta = float(spread @ returns) / moved
    return beta, returns - beta * hold


def _doubt(figures: dict[str, float | int | None], deflated: float, alpha: float) -> str:
    """What keeps a result from being called real; "" for nothing."""
    spa, loss = figures.get("spa_p"), figures.get("oos_loss")
    if deflated < CONFIDENCE:
        return f" ({CONFIDENCE:g} would be evidence)"
    if alpha < CONFIDENCE:
        return f", but most of it is the market's: {alpha:.2f} without it (beta {figures['beta']:.2f})"
    if spa is not None and spa > 1.0 - CONFIDENCE:
        return f", but the search as a whole proves nothing (SPA p {spa:.2f})"
    if loss is not None and loss > 0.5:
        return f", but the best of one half lost in the other {loss:.0%} of the time"
    return ""


def _untradable(figures: dict[str, float | int | None]) -> str:
    """Why nobody could have traded it; "" where one could, or volumes are unknown."""
    beyond, median = figures.get("beyond_volume"), figures.get("participation_median")
    if beyond is None or median is None or beyond <= _MOST_BEYOND:
        return ""
    if median > 1.0:
        return f"fills are {text.multiple(median)} their bars' volume: nobody could have traded this"
    return f"{beyond:.0%} of the value is in fills larger than their bar's volume: nobody could have traded this"


def _evidence(figures: dict[str, float | int | None], deflated: float, noun: str) -> str:
    count = figures["trials"] or 1
    if count == 1:
        return f"1 {noun} on record, probabilistic Sharpe {deflated:.2f}"
    return f"{count:,} {noun}s, deflated Sharpe {deflated:.2f}"


def _years(figures: dict[str, float | int | None]) -> str:
    years = figures["years"]
    return f"{years:.1f} years" if years is not None and years >= 1 else f"{figures['periods']:,} periods"
