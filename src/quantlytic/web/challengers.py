"""A challenger of a line of models: how far it is, and what its last look at the gate found."""

from __future__ import annotations

import math
import re
from typing import Any

from quantlytic.model.forecast import Forecast, ModelChange
from quantlytic.model.time import NS_PER_MS

Row = dict[str, Any]
_VERDICT = re.compile(r"(?:not promoted \((?P<failed>[^)]*)\)|promoted) on (?P<outcomes>[\d,]+) outcomes\b")
_LOSSES = re.compile(
    r"(?P<measure>log loss|squared error) (?P<ours>\S+) against (?P<against>the champion|the base rate)'s (?P<theirs>\S+)"
)
_MISSING = {
    "constant": "says the same whatever happens", "base rate": "no better than the base rate",
    "return": "does not pay after costs", "holding": "pays less than holding", "drift": "its features have drifted",
    "latency": "too slow",
}  # fmt: skip
"""The gate's conditions, where they do not hold."""


class Challenger:
    """A model that forecasts beside the champion, or is about to."""

    def __init__(self, model_id: str) -> None:
        self.model_id = model_id
        self.forecasts = 0
        self.trained: ModelChange | None = None
        self.seated: ModelChange | None = None
        self.judged: ModelChange | None = None
        self._instruments: set[str] = set()

    def take(self, event: Forecast) -> None:
        """It has forecast a bar."""
        self.forecasts += 1
        self._instruments.add(event.instrument)

    def row(self, kind: str) -> Row:
        """What the page shows; `kind`: of the catalogue, "" where it is not known. `is_whole`: all its forecasts were read."""
        why = self.trained or self.seated
        return {
            "model": short(self.model_id), "kind": kind, "instruments": sorted(self._instruments),
            "forecasts": self.forecasts, "is_whole": self.seated is not None, "reason": why.reason if why else "",
            "since_ms": self.seated.event_time / NS_PER_MS if self.seated else None,
            "judged": verdict(self.judged) if self.judged else None,
        }  # fmt: skip


def told(event: ModelChange) -> Row:
    """A change as it is shown."""
    row = {"cause": event.cause, "model": short(event.new or event.old), "reason": event.reason}
    return row | {"time_ms": event.event_time / NS_PER_MS}


def verdict(event: ModelChange) -> Row:
    """A change as it is shown, and what the gate's sentence says in figures: `outcomes`, `lead` (how much smaller the
    challenger's loss was), `measure`, `against`; None, None, "", "" where it is another's sentence. `missing`: what does not
    hold yet, in few words; the whole sentence where it is another's."""
    found: Row = {"outcomes": None, "lead": None, "measure": "", "against": "", "missing": event.reason}
    if said := _VERDICT.match(event.reason):
        found["outcomes"] = int(said["outcomes"].replace(",", ""))
        if losses := _LOSSES.search(event.reason):
            found |= {"measure": losses["measure"], "against": losses["against"]}
            lead = float(losses["theirs"]) - float(losses["ours"])
            found["lead"] = float(f"{lead:.3g}") if math.isfinite(lead) else None
        words = _MISSING | {
            "loss": "its lead may be luck" if (found["lead"] or 0) > 0 else "no better than the champion"
        }
        names = (said["failed"] or "").split(", ")
        found["missing"] = ", ".join(words.get(name, name) for name in names)
    return told(event) | found


def short(model_id: str) -> str:
    """A model's id as it is told; an ensemble's has those of its members."""
    return "+".join(one[:12] for one in model_id.split("+"))
