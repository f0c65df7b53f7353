"""What the control store holds, as plain records."""

from __future__ import annotations

from typing import Any

import msgspec

from quantlytic.model.run import Run


class RunRecord(Run, frozen=True, kw_only=True):
    """A run and what became of it. `start_ns`, `end_ns`: first and last time of its data; None while unknown.

    `status`: "running", "finished" or "failed"; `digest`: SHA-256 over fills and equity; `summary`: its result.
    """

    start_ns: int | None = None
    end_ns: int | None = None
    status: str = "running"
    digest: str = ""
    summary: dict[str, Any] = msgspec.field(default_factory=dict)


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """One back-test that somebody looked at. The more of them, the less the best one means: so each is counted.

    `data` names what it ran on (the data's hash): trials on the same data count together. So do trials on the same
    instruments whose ranges, `start_ns` to `end_ns`, overlap: a range cut a little shorter is no fresh data; and those on data
    with the same rows under another name, which share a line of their `sketch`. `kind` says who made it: "backtest", "sweep",
    "walkforward" (a cell of a fold), "walkforward-whole", "tuning". `code` is a hash of the strategy's source, "" where unknown.
    `sharpe` is annualised, however short the run was.
    """

    strategy: str
    params: dict[str, float]
    data: str
    time_ns: int
    run_id: str = ""
    bars: int = 0
    sharpe: float | None = None
    kind: str = "backtest"
    instruments: tuple[str, ...] = ()
    start_ns: int | None = None
    end_ns: int | None = None
    code: str = ""
    sketch: tuple[str, ...] = ()

    @property
    def tried(self) -> tuple[object, ...]:
        """What was tried: equal for the same rule with the same parameters, whatever it was called and on what it ran. A
        walk-forward as a whole is known by its run."""
        rule = (self.code or self.strategy, tuple(sorted(self.params.items())))
        return (*rule, self.run_id) if self.kind == "walkforward-whole" else rule
