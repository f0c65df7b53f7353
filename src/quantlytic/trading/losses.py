"""What an account has lost today, and since it was worth most."""

from __future__ import annotations

import math
from datetime import datetime

import msgspec

from quantlytic.model.time import NS_PER_S
from quantlytic.trading.limits import Limits, zone_of


class LossState(msgspec.Struct, array_like=True):
    """`equities`: the runs' last worth. `day_start`: the account's worth when the day (`day`, counted from year 1) began."""

    equities: dict[str, float] = {}
    day: int = 0
    day_start: float = 0.0
    peak: float = 0.0


class Loss(msgspec.Struct, frozen=True):
    """A loss limit that is passed: its name, what it allows, what was lost, and the line that says so."""

    limit: str
    allowed: float
    lost: float
    text: str


class LossMeter:
    """The account is worth the sum of its runs. A run that appears brings its worth along: that is no profit."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._zone = zone_of(limits.day_zone)
        self.state = LossState()
        self.passed: Loss | None = None
        """The first loss limit that is passed now."""

    def worth(self, run: str, equity: float, event_time: int) -> Loss | None:
        """Take a run's worth at a time (ns UTC) in; the limit that is passed, if one is."""
        state = self.state
        if not math.isfinite(equity):
            self.passed = Loss("equity", 0.0, equity, f"no worth that can be known: run {run} says {equity}")
            return self.passed
        day = datetime.fromtimestamp(event_time // NS_PER_S, self._zone).toordinal()
        if day > state.day:
            state.day, state.day_start = day, self.total
        if run not in state.equities:
            state.day_start += equity
            state.peak += equity
        state.equities[run] = float(equity)
        state.peak = max(state.peak, self.total)
        return self._look()

    @property
    def total(self) -> float:
        """The account's worth as last heard."""
        return math.fsum(self.state.equities.values())

    def restore(self, state: LossState) -> None:
        """Go on from a saved state."""
        self.state = state
        self._look()

    def _look(self) -> Loss | None:
        self.passed = self._first_passed()
        return self.passed

    def _first_passed(self) -> Loss | None:
        limits, state = self._limits, self.state
        if not state.equities:
            return None
        total = self.total
        lost = state.day_start - total
        if limits.max_daily_loss is not None and lost > limits.max_daily_loss:
            text = f"lost {lost:,.2f} today ({state.day_start:,.2f} to {total:,.2f}); {limits.max_daily_loss:,.2f} is allowed"
            return Loss("max_daily_loss", limits.max_daily_loss, lost, text)
        for name, start, words in (
            ("max_daily_loss_share", state.day_start, "today"),
            ("max_drawdown_share", state.peak, "from the highest worth"),
        ):
            allowed: float | None = getattr(limits, name)
            share = (start - total) / start if start > 0 else 0.0 if total >= start else math.inf
            if allowed is not None and share > allowed:
                text = f"lost {share:.2%} {words} ({start:,.2f} to {total:,.2f}); {allowed:.2%} is allowed"
                return Loss(name, allowed, share, text)
        return None

    def forgive(self) -> None:
        """A person has looked and lets it go on: losses count from the present worth."""
        self.state.day_start = self.state.peak = self.total
        self._look()
