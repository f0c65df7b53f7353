"""What following a forecast's sign would have earned, after costs: the simplest use there is of it."""

from __future__ import annotations

from collections import deque

import numpy as np

from quantlytic.learn.samples.inputs import Values


class SignBook:
    """Each forecast holds a share 1 / `horizon` of its instrument's money for `horizon` bars, long or short as its sign says, so
    that the returns of bars do not overlap although the forecasts do (Jegadeesh and Titman, "Returns to buying winners and
    selling losers", J. of Finance 48, 1993). A change of the position costs `cost_bps` of what is traded. A bar's return is
    the mean over the instruments; leverage is at most 1.
    """

    def __init__(self, horizon: int, cost_bps: float) -> None:
        self._horizon, self._cost = horizon, cost_bps / 1e4
        self._held: dict[str, tuple[float, float, deque[float]]] = {}  # last close, position, the signs it is made of
        self._earned: dict[int, tuple[float, int]] = {}

    def update(self, instrument: str, close_time: int, close: float, sign: float) -> None:
        """A bar is over, and its forecast has this sign (0 for none)."""
        last, position, signs = self._held.get(instrument, (close, 0.0, deque(maxlen=self._horizon)))
        if instrument in self._held:
            earned = position * (close / last - 1.0)
        else:
            earned = 0.0
        signs.append(sign)
        wanted = sum(signs) / self._horizon
        earned -= self._cost * abs(wanted - position)
        total, count = self._earned.get(close_time, (0.0, 0))
        self._earned[close_time] = (total + earned, count + 1)
        self._held[instrument] = (close, wanted, signs)

    def returns(self) -> Values:
        """f8[times], in order of time."""
        return np.array([total / count for _, (total, count) in sorted(self._earned.items())], np.float64)
