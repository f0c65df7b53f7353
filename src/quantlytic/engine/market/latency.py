"""How long an order, an amendment or a cancellation takes to reach the venue.

It has no effect before its event time plus the lag. Inside a bar the path is unknown: an order that arrives there meets, as the
price of that moment, the straight line from open to close (the mean of a Brownian bridge), see `barmatch.py`.
Sampled lags are drawn from recorded ones by a hash of seed and order id (two rounds of Lehmer's generator): deterministic,
whatever else happens.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from quantlytic.engine.account.codes import CONSTANT, NO_LATENCY, SAMPLED
from quantlytic.model.errors import InputError

_MOST_LAGS = 65_536
_LONGEST_NS = 30 * 86_400_000_000_000


@dataclass(frozen=True)
class Latency:
    """`ns`: the constant lag. `lags_ns`: recorded lags (at most 65,536) to draw from instead, with `seed`."""

    ns: int = 0
    lags_ns: tuple[int, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        if self.lags_ns is not None:
            object.__setattr__(self, "lags_ns", tuple(int(one) for one in self.lags_ns))
        if len(self.lags_ns) > _MOST_LAGS:
            raise InputError(
                f"there are at most {_MOST_LAGS} recorded lags, not {len(self.lags_ns)}: give a sample of them"
            )
        if self.lags_ns and self.ns:
            raise InputError("a latency is constant (ns) or sampled (lags_ns), not both")
        for lag in (self.ns, *self.lags_ns):
            if isinstance(lag, bool) or not isinstance(lag, int | np.integer) or not 0 <= lag <= _LONGEST_NS:
                raise InputError(f"a lag is a whole number of nanoseconds from 0 to 30 days, not {lag!r}")
        if not 0 <= self.seed < 2**31:
            raise InputError(f"the seed of latency is from 0 to 2147483647, not {self.seed!r}")

    @property
    def kind(self) -> int:
        if self.lags_ns:
            return SAMPLED
        return CONSTANT if self.ns else NO_LATENCY

    def sentence(self) -> str:
        if self.lags_ns:
            low, high = min(self.lags_ns), max(self.lags_ns)
            return f"Latency: drawn from {len(self.lags_ns)} recorded lags, {low / 1e6:g} to {high / 1e6:g} ms."
        return f"Latency: {self.ns / 1e6:g} ms." if self.ns else "Latency: none."


def pick(seed: int, number: int, count: int) -> int:
    """A pseudo-random index below `count`, the same for the same seed and number."""
    drawn = (number * 48_271 + seed + 1) % 2_147_483_647
    drawn = drawn * 48_271 % 2_147_483_647
    drawn = drawn * 69_621 % 2_147_483_647
    return drawn % count
