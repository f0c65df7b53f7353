"""Where our books and the venue's did not agree, and what was done about it."""

from quantlytic.model.event import Event


class Discrepancy(Event, frozen=True, tag=20):
    """One difference found by a reconciliation, explained.

    `what`: "order", "fill", "balance" or "position"; `name`: the client order id, trade id, asset or instrument.
    `ours` and `venue` are the two sides in words; `explanation` says how it came, `action` what was done: "adopted",
    "ignored", "taken over", "halted".
    """

    account: str
    event_time: int
    what: str
    name: str
    ours: str
    venue: str
    explanation: str
    action: str
