"""How an account is traded: what is waited for, what is too old, what is done about strangers."""

from __future__ import annotations

import math

import msgspec

from quantlytic.model.errors import InputError
from quantlytic.model.time import NS_PER_S

FOREIGN = ("ignore", "adopt", "halt")


class LiveRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """In seconds.

    foreign              orders, trades and positions made by hand or by other programs: "ignore" (told once, left alone), "adopt"
                         (positions and trades enter the first run that trades the instrument; orders are left alone), "halt".
    halts_on_balance     a balance that no trade explains stops trading; otherwise it is told, and taken over.
    keep                 by asset, what belongs to none of the runs: together they hold at most what the account has above it.
                         The kill switch leaves as much, and what it has sold is so known to be the runs'.
    spot                 a run sells only what it holds, and buys only with its own cash.
    max_decision_age_s   an order whose decision is older is refused, never sent late.
    max_data_age_s       no order is sent while the newest price of its instrument is older; it waits.
    answer_wait_s        so long a run's next bar waits for the answers to its orders.
    sweep_every_s        between two reconciliations.
    retry_s              until an unanswered question is asked again; doubled each time, up to 5 s.
    """

    foreign: str = "ignore"
    halts_on_balance: bool = False
    keep: dict[str, float] = {}
    spot: bool = True
    max_decision_age_s: float = 60.0
    max_data_age_s: float = 30.0
    answer_wait_s: float = 10.0
    sweep_every_s: float = 60.0
    retry_s: float = 0.25

    def __post_init__(self) -> None:
        if self.foreign not in FOREIGN:
            raise InputError(f"foreign={self.foreign!r}: write one of {', '.join(FOREIGN)}")
        for name in ("max_decision_age_s", "max_data_age_s", "answer_wait_s", "sweep_every_s", "retry_s"):
            if not 0 < getattr(self, name) < 1e9:
                raise InputError(f"{name}={getattr(self, name)!r}: write a number of seconds above 0")
        for asset, amount in self.keep.items():
            if not 0 <= amount < math.inf:
                raise InputError(f"keep {asset}={amount!r}: write how much of it is to be left alone, from 0 up")

    def ns(self, name: str) -> int:
        """One of the times in nanoseconds."""
        return int(getattr(self, name) * NS_PER_S)


class Retry:
    """When what failed may be tried again: doubling pauses, by name. Forgotten with the process: the first try is at once."""

    LONGEST = 5 * NS_PER_S

    def __init__(self, first_ns: int) -> None:
        self._first_ns = first_ns
        self._tries: dict[str, tuple[int, int]] = {}

    def is_due(self, name: str, now_ns: int) -> bool:
        return now_ns >= self._tries.get(name, (0, 0))[1]

    def failed(self, name: str, now_ns: int) -> None:
        count = self._tries.get(name, (0, 0))[0]
        self._tries[name] = count + 1, now_ns + min(self._first_ns << min(count, 30), self.LONGEST)

    def done(self, name: str) -> None:
        self._tries.pop(name, None)

    def count(self, name: str) -> int:
        """Failures in a row."""
        return self._tries.get(name, (0, 0))[0]
