"""Trading stopped, or let go again."""

from quantlytic.model.event import Event


class Halt(Event, frozen=True, tag=22):
    """`cause`: "kill", "dead-man", "risk" or "reconciliation"; `by`: who. `is_halted` False: a person released it by name."""

    account: str
    event_time: int
    is_halted: bool
    cause: str
    by: str
    text: str
