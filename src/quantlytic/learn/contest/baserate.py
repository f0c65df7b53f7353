"""What one would forecast who knows nothing but how it has come out so far: the least that a model must beat."""

from __future__ import annotations

from quantlytic.learn.models.model import UP

_WORTH = 10  # so many outcomes that do not overlap weigh as much as what was expected before them


class BaseRate:
    """The mean label so far, at each moment of the outcomes known by then and of no later one: how often it went up, or the mean
    return.

    It begins with "I do not know" (0.5, or a return of 0), which weighs as much as ten outcomes that do not overlap; an
    instrument begins with the mean over all instruments, which weighs as much. `horizon`: bars that a label looks ahead.
    """

    def __init__(self, task: str, horizon: int) -> None:
        self._start, self._weight = (0.5 if task == UP else 0.0), _WORTH * horizon
        self._sums: dict[str, tuple[float, int]] = {}
        self._sum, self._count = 0.0, 0

    def update(self, instrument: str, label: float) -> None:
        """An outcome has become known."""
        total, count = self._sums.get(instrument, (0.0, 0))
        self._sums[instrument] = total + label, count + 1
        self._sum, self._count = self._sum + label, self._count + 1

    def forecast(self, instrument: str) -> float:
        """What to expect of this instrument now."""
        total, count = self._sums.get(instrument, (0.0, 0))
        overall = (self._sum + self._weight * self._start) / (self._count + self._weight)
        return (total + self._weight * overall) / (count + self._weight)
