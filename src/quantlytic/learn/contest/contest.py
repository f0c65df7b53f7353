"""A challenger and a champion over the same bars: what each said, and what then happened."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from quantlytic.learn.contest.baserate import BaseRate
from quantlytic.learn.contest.outcomes import Outcome
from quantlytic.learn.contest.signbook import SignBook
from quantlytic.learn.models.model import UP
from quantlytic.learn.samples.inputs import Values
from quantlytic.learn.training.scores import rank_correlation, scores_of
from quantlytic.model.forecast import Forecast

_LEAST = 1e-15


class Compared(NamedTuple):
    """Outcomes that both forecast: f8[rows] each, `times` i8[rows], `instruments` i8[rows] (which one, by a number). `base`: what
    the base rate of the outcomes known at the forecast's time said; `champion` is the same where there was none."""

    times: np.ndarray[tuple[int], np.dtype[np.int64]]
    instruments: np.ndarray[tuple[int], np.dtype[np.int64]]
    champion: Values
    base: Values
    challenger: Values
    label: Values
    result: Values


class Contest:
    """Gathers the forecasts of both (`take`) and their outcomes (`settle`). Beside them stand two that know nothing: the base
    rate of the outcomes so far, and one who holds (with meta-labels: who follows the signal each time).

    Bars on which one of the two says nothing are compared by neither. `is_meta`: forecasts judge a signal's side.
    """

    def __init__(self, task: str, horizon: int, cost_bps: float, *, is_meta: bool = False) -> None:
        self._is_meta = is_meta
        self.task, self.horizon, self.cost_bps = task, horizon, cost_bps
        self.book, self.champion_book, self.holding_book = (SignBook(horizon, cost_bps) for _ in range(3))
        self.latencies_ns: list[int] = []
        self.drift = math.nan
        self.has_champion = False
        self._base = BaseRate(task, horizon)
        self._said: dict[tuple[str, int], tuple[float, float]] = {}  # champion and base rate, until the outcome
        self._rows: list[tuple[int, str, float, float, float, float, float]] = []
        self._times: set[int] = set()

    @property
    def outcomes(self) -> int:
        """How many times (closes of bars) have an outcome; instruments of one time count as one."""
        return len(self._times)

    def take(self, champion: float | None, forecast: Forecast, side: float = 1.0) -> None:
        """What the champion said of a bar (NaN: nothing; None: there is none), and the challenger's forecast of it."""
        at, time = forecast.instrument, forecast.close_time
        compared = not (math.isnan(forecast.value) or (champion is not None and math.isnan(champion)))
        theirs = 0.0 if champion is None else self.sign(champion, side)
        holding = float(np.sign(np.nan_to_num(side))) if self._is_meta else 1.0
        signs = self.sign(forecast.value, side), theirs, holding
        for book, sign in zip((self.book, self.champion_book, self.holding_book), signs, strict=True):
            book.update(at, time, forecast.close, sign if compared else 0.0)
        if compared:
            base = self._base.forecast(at)
            self.has_champion = self.has_champion or champion is not None
            self._said[at, time] = base if champion is None else champion, base
            self.latencies_ns.append(forecast.latency_ns)
        if not math.isnan(forecast.drift):
            self.drift = forecast.drift

    def settle(self, outcome: Outcome) -> None:
        """What came of a forecast of the challenger's."""
        forecast = outcome.forecast
        said = self._said.pop((forecast.instrument, forecast.close_time), None)
        if said is not None:
            ours = forecast.value, outcome.label, outcome.result
            self._rows.append((forecast.close_time, forecast.instrument, *said, *ours))
            self._times.add(forecast.close_time)
        self._base.update(forecast.instrument, outcome.label)

    def sign(self, value: float, side: float = 1.0) -> float:
        """The side that following a forecast takes: +1 long, -1 short, 0 none. With meta-labels the signal's (`side`) where it is
        expected to pay, and none where it is not."""
        if math.isnan(value) or math.isnan(side):
            return 0.0
        edge = value - 0.5 if self.task == UP else value
        if self._is_meta:
            return float(np.sign(side)) if edge > 0.0 else 0.0
        return float(np.sign(edge))

    def compared(self) -> Compared:
        """All outcomes so far, in order of time."""
        rows = sorted(self._rows)
        numbers = np.array([row[2:] for row in rows], np.float64).reshape(-1, 5)
        names = {name: k for k, name in enumerate(sorted({row[1] for row in rows}))}
        times = np.array([row[0] for row in rows], np.int64)
        return Compared(times, np.array([names[row[1]] for row in rows], np.int64), *numbers.T)

    def scores(self, *, of_champion: bool = False) -> dict[str, float | None]:
        """The task's scores, the correlation of ranks with the return ("ic"), and the mean after-cost return of a bar in bps."""
        found = self.compared()
        said = found.champion if of_champion else found.challenger
        if not len(said):
            return {}
        scores = scores_of(said, found.label, self.task)
        with np.errstate(invalid="ignore"):
            correlation = rank_correlation(said, found.result)
        returns = (self.champion_book if of_champion else self.book).returns()
        scores["ic"] = correlation if math.isfinite(correlation) else None
        scores["return_bps"] = float(returns.mean()) * 1e4 if len(returns) else None
        return scores


def advantage(found: Compared, other: Values, task: str) -> Values:
    """The loss of `other` less the challenger's, a time each (the mean over its instruments), in order of time."""
    apart = losses(other, found.label, task) - losses(found.challenger, found.label, task)
    _, place = np.unique(found.times, return_inverse=True)
    return np.asarray(np.bincount(place, apart) / np.bincount(place), np.float64)


def losses(forecast: Values, label: Values, task: str) -> Values:
    """f8[rows]: the log loss of a probability, the squared error of a return."""
    if task != UP:
        return np.asarray((forecast - label) ** 2, np.float64)
    p = np.clip(forecast, _LEAST, 1 - _LEAST)
    return np.asarray(np.where(label > 0, -np.log(p), -np.log1p(-p)), np.float64)
