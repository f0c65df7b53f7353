"""How often what was announced came true, and how long before."""

from __future__ import annotations

import math
from collections import Counter, deque

import msgspec

from quantlytic.model.event import Event
from quantlytic.model.intent import Intent, IntentOutcome

_LEADS = 10_000  # the last ones, for the median


class IntentFigures(msgspec.Struct, frozen=True):
    """`said` and judged; of those `met`, whose bar closed inside the band; of those `came_true`, which the strategy did.

    `precision`: came_true / met; `median_lead_ns` and `shortest_lead_ns` before the bar's end. NaN and 0 where there is none.
    """

    said: int
    met: int
    came_true: int
    precision: float
    median_lead_ns: int
    shortest_lead_ns: int


class IntentRecord:
    """Folds `intents.RUN` (or the lake's tables, in their order) into figures. Orders alone: those are what people act on."""

    def __init__(self) -> None:
        self._open: dict[int, Intent] = {}
        self._counts: Counter[str] = Counter()
        self._leads: deque[int] = deque(maxlen=_LEADS)

    @property
    def open(self) -> list[Intent]:
        """What is announced now, withdrawn ones left out, of any action, by id."""
        return [one for _, one in sorted(self._open.items()) if not one.is_withdrawn]

    def apply(self, event: Event) -> None:
        """Take in one event; others than intents and their outcomes are passed over."""
        if isinstance(event, Intent):
            self._open[event.intent_id] = event
        elif isinstance(event, IntentOutcome):
            self._judge(self._open.pop(event.intent_id, None), event)

    def figures(self) -> IntentFigures:
        """The record so far."""
        met, true, leads = self._counts["met"], self._counts["came_true"], sorted(self._leads)
        return IntentFigures(
            said=self._counts["said"], met=met, came_true=true, precision=true / met if met else math.nan,
            median_lead_ns=leads[len(leads) // 2] if leads else 0, shortest_lead_ns=leads[0] if leads else 0,
        )  # fmt: skip

    def _judge(self, intent: Intent | None, outcome: IntentOutcome) -> None:
        if intent is None or intent.action != "order":
            return
        self._counts["said"] += 1
        self._counts["met"] += intent.holds_at(outcome.price)
        if outcome.came_true:
            self._counts["came_true"] += 1
            self._leads.append(outcome.lead_ns)
