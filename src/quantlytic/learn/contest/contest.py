"""A challenger and a champion over the same bars: what each said, and what then happened."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from quantlytic.learn.contest.outcomes import Outcome
from quantlytic.learn.contest.signbook import SignBook
from quantlytic.learn.models.model import UP
from quantlytic.learn.samples.inputs import Values
from quantlytic.learn.training.scores import rank_correlation, scores_of
from quantlytic.model.forecast import Forecast

_LEAST = 1e-15


class Compared(NamedTuple):
    """Outcomes that both forecast: f8[rows] each, `times` i8[rows]. A `champion` that was not there is the base rate of these
    very outcomes: the best constant in hindsight."""

    times: np.ndarray[tuple[int], np.dtype[np.int64]]
    champion: Values
    challenger: Values
    label: Values
    result: Values


class Contest:
    """Gathers the forecasts of both (`take`) and their outcomes (`settle`). `opponent` is the champion's model id, "" where the
    line has none, and the challenger is measured by the base rate.

    Bars on which one of the two says nothing are compared by neither. `is_meta`: forecasts judge a signal's side.
    """

    def __init__(self, task: str, horizon: int, opponent: str, cost_bps: float, *, is_meta: bool = False) -> None:
        self._is_meta = is_meta
        self.task, self.horizon, self.opponent = task, horizon, opponent
        self.book, self.champion_book = SignBook(horizon, cost_bps), SignBook(horizon, cost_bps)
        self.latencies_ns: list[int] = []
        self.drift = math.nan
        self._said: dict[tuple[str, int], float] = {}  # of the champion, on bars whose outcome is open
        self._rows: list[tuple[int, float, float, float, float]] = []
        self._times: set[int] = set()

    @property
    def outcomes(self) -> int:
        """How many times (closes of bars) have an outcome; instruments of one time count as one."""
        return len(self._times)

    def take(self, champion: float, forecast: Forecast, side: float = 1.0) -> None:
        """What the line's champion said of a bar (NaN: nothing), and the challenger's forecast of it."""
        at, time = forecast.instrument, forecast.close_time
        if self.opponent == "":
            champion = 0.5 if self.task == UP else 0.0
        compared = not (math.isnan(champion) or math.isnan(forecast.value))
        for book, value in ((self.book, forecast.value), (self.champion_book, champion)):
            book.update(at, time, forecast.close, self.sign(value, side) if compared else 0.0)
        if compared:
            self._said[at, time] = champion
            self.latencies_ns.append(forecast.latency_ns)
        if not math.isnan(forecast.drift):
            self.drift = forecast.drift

    def settle(self, outcome: Outcome) -> None:
        """What came of a forecast of the challenger's."""
        forecast = outcome.forecast
        champion = self._said.pop((forecast.instrument, forecast.close_time), None)
        if champion is not None:
            self._rows.append((forecast.close_time, champion, forecast.value, outcome.label, outcome.result))
            self._times.add(forecast.close_time)

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
        rows = np.array(sorted(self._rows), np.float64).reshape(-1, 5)
        label = rows[:, 3]
        champion = rows[:, 1]
        if self.opponent == "" and len(label):
            champion = np.full(len(label), label.mean())
        return Compared(rows[:, 0].astype(np.int64), champion, rows[:, 2], label, rows[:, 4])

    def differences(self) -> Values:
        """The champion's loss less the challenger's, a time each (the mean over its instruments), in order of time."""
        found = self.compared()
        apart = losses(found.champion, found.label, self.task) - losses(found.challenger, found.label, self.task)
        _, place = np.unique(found.times, return_inverse=True)
        return np.asarray(np.bincount(place, apart) / np.bincount(place), np.float64)

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


def losses(forecast: Values, label: Values, task: str) -> Values:
    """f8[rows]: the log loss of a probability, the squared error of a return."""
    if task != UP:
        return np.asarray((forecast - label) ** 2, np.float64)
    p = np.clip(forecast, _LEAST, 1 - _LEAST)
    return np.asarray(np.where(label > 0, -np.log(p), -np.log1p(-p)), np.float64)
