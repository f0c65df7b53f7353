"""Which events are worth telling, and about what."""

from __future__ import annotations

from typing import NamedTuple

from quantlytic.model.breach import RiskBreach
from quantlytic.model.discrepancy import Discrepancy
from quantlytic.model.event import Event
from quantlytic.model.fill import Fill
from quantlytic.model.forecast import ModelChange
from quantlytic.model.halt import Halt
from quantlytic.model.intent import Intent
from quantlytic.model.ledger import LedgerEntry, LedgerKind
from quantlytic.model.run import Run
from quantlytic.model.signal import Signal
from quantlytic.model.strategychange import StrategyChange
from quantlytic.model.time import NS_PER_S
from quantlytic.telling.changes import change_cause

TROUBLE = frozenset({LedgerKind.GAP, LedgerKind.RECONNECT, LedgerKind.CROSSED, LedgerKind.INVALID})
HOUR_NS = 3_600 * NS_PER_S


class Occasion(NamedTuple):
    """Something to tell. `cause` names it for ever: what has the same cause is told once. `instrument` "": of none, or all.
    `stream`: where it was read."""

    kind: str
    cause: str
    event_time: int
    instrument: str
    event: Event
    stream: str = ""


def occasion_of(event: Event, run: Run | None = None, stream: str = "") -> Occasion | None:  # noqa: PLR0911 - one a kind of event
    """What there is to tell about an event of `run`, in `stream`; None for nothing.

    Trouble with data is told once an hour for each kind, stream and instrument: the first time says it all, and a thousand
    mails would hide it. So is an intent, which comes again with each bar while the price is near. (Signals and refusals that
    go on are folded by `wishes`.) In alert mode nothing is traded: the fills that the strategy is shown are told to nobody.
    """
    if isinstance(event, Signal):
        return Occasion("signal", f"{event.run}/signal/{event.signal_id}", event.event_time, event.instrument, event)
    if isinstance(event, Fill):
        if run is not None and run.mode == "alert":
            return None
        return Occasion("fill", f"{event.run}/fill/{event.fill_id}", event.event_time, event.instrument, event)
    if isinstance(event, Intent):
        if event.is_withdrawn:
            return None
        stretch = event.until // max(HOUR_NS, event.bar_size_ns)
        cause = f"{event.run}/intent/{event.instrument}/{event.action}/{event.side.name}/{stretch}"
        return Occasion("look-ahead", cause, event.event_time, event.instrument, event)
    if isinstance(event, RiskBreach):
        cause = (
            f"{event.account}/breach/{event.limit}/{event.instrument}/{event.run}/{event.order_id}/{event.event_time}"
        )
        return Occasion("risk", cause, event.event_time, event.instrument, event)
    if isinstance(event, Halt):
        cause = f"{event.account}/halt/{event.event_time}/{event.cause}/{event.is_halted}"
        return Occasion("risk", cause, event.event_time, "", event)
    if isinstance(event, Discrepancy):
        cause = f"{event.account}/discrepancy/{event.event_time}/{event.what}/{event.name}"
        return Occasion("risk", cause, event.event_time, "", event)
    if isinstance(event, LedgerEntry) and event.kind in TROUBLE:
        hour = event.event_time // HOUR_NS
        cause = f"{event.instrument}/{event.stream}/{event.kind.name}/{hour}"
        return Occasion("data", cause, event.event_time, event.instrument, event)
    if isinstance(event, ModelChange | StrategyChange) and (cause := change_cause(event, stream)):
        return Occasion("data", cause, event.event_time, "", event, stream)
    return None
