"""What happens to an instrument besides trading: corporate actions, funding, the sessions of its exchange."""

from enum import IntEnum

from quantlytic.model.event import Event, InstrumentId, dtype_of


class ActionKind(IntEnum):
    """`Action.value` is: SPLIT new units for one old; DIVIDEND cash a unit held; DELISTING the price paid (NaN: the last one);
    FUNDING the rate that a long pays on its value (negative: is paid); OPEN and CLOSE of a session: nothing (0)."""

    SPLIT = 1
    DIVIDEND = 2
    DELISTING = 3
    FUNDING = 4
    OPEN = 5
    CLOSE = 6


class Action(Event, frozen=True, tag=16):
    """Takes effect at `event_time` (ns UTC), before bars, trades and quotes of that time or later."""

    instrument: InstrumentId
    event_time: int
    kind: ActionKind
    value: float = 0.0


ACTION = dtype_of(Action)
