"""What the control store holds, as plain records."""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

import msgspec

from quantlytic.model.run import Run


class RunRecord(Run, frozen=True, kw_only=True, omit_defaults=False):
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


EVERY = "*"
"""In a subscription's list: all of them."""
RECOMMENDED = "recommended"
"""In a subscription's strategies: whichever is recommended for the instrument."""
KINDS = ("signal", "look-ahead", "fill", "risk", "data", "digest")
"""What one can be told about."""
HELD = "held back"
"""So the last error of a message begins that waits because of the hour's limit."""


class Subscriber(msgspec.Struct, frozen=True):
    """Somebody who asked to be told. `status`: "pending" (the link in the first mail was not followed yet), "confirmed",
    "unsubscribed" or "suppressed" (its mail server refuses the address for good). Times in ns UTC; `confirmed_ns` 0: never.

    Nothing but what cannot wait is sent in the quiet time, minutes of the day in `time_zone`, from `quiet_start_min` until
    before `quiet_end_min`, which may lie on the next day; equal: there is none.
    """

    subscriber_id: str
    email: str
    status: str
    time_zone: str
    quiet_start_min: int
    quiet_end_min: int
    created_ns: int
    confirmed_ns: int


class Subscription(msgspec.Struct, frozen=True):
    """What a subscriber chose. Each list may hold `EVERY`; strategies may hold `RECOMMENDED`. `kinds`: of `KINDS`.

    `near_bps`: look-ahead is told when the price is within so many basis points of what would set it off.
    """

    subscriber_id: str
    instruments: tuple[str, ...]
    strategies: tuple[str, ...]
    kinds: tuple[str, ...]
    near_bps: float

    def wants(self, kind: str, instrument: str = "", strategy: str = "", *, is_recommended: bool = False) -> bool:
        """Whether it covers that kind, instrument and strategy; one that is "" is covered by any list."""
        return (
            _covers(self.kinds, kind)
            and _covers(self.instruments, instrument)
            and (_covers(self.strategies, strategy) or (is_recommended and RECOMMENDED in self.strategies))
        )


def _covers(chosen: tuple[str, ...], one: str) -> bool:
    return not one or EVERY in chosen or one in chosen


class Addressee(NamedTuple):
    """A subscriber and what he chose."""

    subscriber: Subscriber
    subscription: Subscription


class SignUp(msgspec.Struct, frozen=True):
    """What a stranger asked for: `kind` "subscribe" (`asked`: his choices as JSON) or "mine" (a link to his choices)."""

    number: int
    kind: str
    email: str
    asked: str
    time_ns: int


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """Something to be told to one recipient by one channel, and how far that is.

    `message_id` is `message_id_of(cause, recipient, kind)`: the same cause is never told twice. `recipient` is a subscriber_id,
    or the name of an operator's channel; `channel` is "mail", "apprise", "webhook" ... `payload` is for who composes it: for
    the kinds "confirm" and "mine" JSON of `LinkNotice`. `state`: "queued", "sending", "sent", "failed" or "dropped".
    `sent_ns`: when it was sent, failed or was dropped; 0 before.
    """

    message_id: str
    recipient: str
    channel: str
    kind: str
    cause: str
    subject: str
    payload: bytes
    created_ns: int
    not_before_ns: int = 0
    state: str = "queued"
    attempts: int = 0
    last_error: str = ""
    sent_ns: int = 0


def message_id_of(cause: str, recipient: str, kind: str) -> str:
    """SHA-256 in hexadecimal over the three, each with its length before it."""
    parts = (part.encode(errors="surrogatepass") for part in (cause, recipient, kind))
    return hashlib.sha256(b"".join(b"%d:%s" % (len(part), part) for part in parts)).hexdigest()


class LinkNotice(msgspec.Struct, frozen=True):
    """A link to be mailed, good until `expires_ns`: to confirm a subscription ("confirm"), or to see and change it ("mine").
    `notes`: what is to be known of the choices."""

    url: str
    expires_ns: int
    notes: tuple[str, ...] = ()


class WantedInstrument(msgspec.Struct, frozen=True):
    """An instrument that somebody asked for and that was not tracked. `done_ns` 0: still to do; `error`: why it cannot be."""

    instrument: str
    asked_ns: int
    done_ns: int = 0
    error: str = ""


class TaskRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A task of the daily run on one day ("2026-11-20"), and how far it is: `state` "running", "done" or "failed".

    `attempts` counts its beginnings; a task that was killed is "running" for ever, and begun again by the next run.
    `summary` is what it did; `error` one line. Times in ns UTC; `ended_ns` 0: not yet.
    """

    day: str
    task: str
    state: str = "running"
    attempts: int = 1
    begun_ns: int = 0
    ended_ns: int = 0
    summary: dict[str, Any] = msgspec.field(default_factory=dict)
    error: str = ""


class DigestSignal(msgspec.Struct, frozen=True):
    """A strategy's wish on the day: `side` 1 buys, -1 sells."""

    instrument: str
    strategy: str
    side: int
    price: float


class DigestQuote(msgspec.Struct, frozen=True):
    """An instrument's day: close, change against the close before (a share; None: unknown), averages by days (None: too few)."""

    instrument: str
    close: float
    change: float | None
    averages: dict[str, float | None]


class DigestAdvice(msgspec.Struct, frozen=True):
    """The recommended strategy ("": none) and why; `is_new`: it was found out on this day."""

    instrument: str
    strategy: str
    sentence: str
    is_new: bool


class DigestNotice(msgspec.Struct, frozen=True, kw_only=True):
    """The payload of a message of the kind "digest", for one subscriber: a day as far as it is his. `trouble` are sentences about
    his instruments' data: what was missing, repaired or doubted."""

    day: str
    quotes: tuple[DigestQuote, ...] = ()
    signals: tuple[DigestSignal, ...] = ()
    advice: tuple[DigestAdvice, ...] = ()
    trouble: tuple[str, ...] = ()
