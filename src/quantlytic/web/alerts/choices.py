"""What a subscriber can choose: read from JSON or from a form, checked, and turned into what the control store keeps."""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Sequence
from functools import cache
from typing import Annotated, Literal, TypedDict

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from quantlytic.model.errors import InputError
from quantlytic.store.control.port import Wanted
from quantlytic.store.control.records import EVERY, RECOMMENDED, Addressee, Subscription

KIND_TEXTS = {
    "signal": ("Signals", "a strategy says buy or sell"),
    "look-ahead": ("Look-ahead", "a strategy is about to act: at which price, and by when"),
    "fill": ("Fills", "an order was filled"),
    "risk": ("Risk", "a limit was hit, or trading was stopped; these come at any hour"),
    "data": ("Data trouble", "a feed is late, or has holes"),
    "digest": ("Daily digest", "once a day, in a few lines"),
}
WAITS_FOR_ADVICE = (
    "You chose the recommended strategy: its signals come as soon as the daily run has found one for your instrument that is "
    "better than luck, and it runs here. Until then there are none to send, which may be for long; the daily digest says "
    "what was found. To hear of a strategy at once, choose it by name."
)
"""What somebody has to know who chose nothing but the recommended strategy: silence is no fault."""
MAX_CHOSEN = 50
MAX_NEW_INSTRUMENTS = 10
MAX_WAITING_INSTRUMENTS = 200
_INSTRUMENT = re.compile(r"[a-z][a-z0-9_]{1,30}:[A-Za-z0-9^][A-Za-z0-9^./:=_-]{0,49}")
_TIME = r"^(?:[01][0-9]|2[0-3]):[0-5][0-9]$"

EXAMPLE: dict[str, JsonValue] = {
    "instruments": ["binance:BTCUSDT"],
    "strategies": ["recommended"],
    "kinds": ["signal", "digest"],
    "near_bps": 50,
    "time_zone": "Europe/Berlin",
    "quiet_start": "22:00",
    "quiet_end": "07:00",
}
Kind = Literal["*", "signal", "look-ahead", "fill", "risk", "data", "digest"]
Name = Annotated[str, Field(min_length=1, max_length=100)]


class Quiet(TypedDict):
    """Quiet hours as the control store has them."""

    time_zone: str
    quiet_start_min: int
    quiet_end_min: int


class Choices(BaseModel):
    """What to be told about, and when not to."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": EXAMPLE})

    instruments: list[Name] = Field(
        default=[EVERY], min_length=1, max_length=MAX_CHOSEN,
        description='As `venue:SYMBOL`, such as binance:BTCUSDT; "*" for all. One that is not tracked yet will be.',
    )  # fmt: skip
    strategies: list[Name] = Field(
        default=[RECOMMENDED], min_length=1, max_length=MAX_CHOSEN,
        description='Their names; "recommended" for whichever is recommended for the instrument; "*" for all.',
    )  # fmt: skip
    kinds: list[Kind] = Field(
        default=["signal", "digest"], min_length=1, max_length=10, description='What to be told about; "*" for all.'
    )
    near_bps: float = Field(
        default=50.0, ge=0.0, le=1000.0, allow_inf_nan=False, strict=True,
        description="Look-ahead is told when the price is within so many basis points of what sets it off.",
    )  # fmt: skip
    time_zone: Name = Field(default="UTC", description="IANA name of the zone in which the quiet hours are meant.")
    quiet_start: str = Field(
        default="00:00", pattern=_TIME, description="When quiet hours begin. Equal to `quiet_end`: there are none."
    )
    quiet_end: str = Field(
        default="00:00", pattern=_TIME, description="When they end; earlier than the start: on the next day."
    )

    @property
    def quiet(self) -> Quiet:
        """What the repository of subscribers takes."""
        return Quiet(
            time_zone=self.time_zone,
            quiet_start_min=_minutes(self.quiet_start),
            quiet_end_min=_minutes(self.quiet_end),
        )

    def subscription(self, subscriber_id: str) -> Subscription:
        """What the repository keeps of the lists."""
        instruments, strategies, kinds = tuple(self.instruments), tuple(self.strategies), tuple(self.kinds)
        return Subscription(subscriber_id, instruments, strategies, kinds, self.near_bps)


def notes_of(choices: Choices) -> list[str]:
    """What is to be known of these choices, a sentence or more each."""
    waits = set(choices.strategies) == {RECOMMENDED} and {EVERY, "signal", "look-ahead", "fill"} & set(choices.kinds)
    return [WAITS_FOR_ADVICE] if waits else []


def choices_of(addressee: Addressee) -> Choices:
    """What is kept, as it was chosen."""
    who, what = addressee
    return Choices.model_construct(
        instruments=list(what.instruments), strategies=list(what.strategies), kinds=list(what.kinds),
        near_bps=what.near_bps, time_zone=who.time_zone, quiet_start=clock_text(who.quiet_start_min),
        quiet_end=clock_text(who.quiet_end_min),
    )  # fmt: skip


class Offer:
    """What there is to choose from. `instruments` and `strategies` are those that are tracked and run."""

    def __init__(self, instruments: Sequence[str], strategies: Sequence[str], wanted: Wanted) -> None:
        self._instruments, self.strategies, self._wanted = tuple(instruments), tuple(strategies), wanted

    @property
    def instruments(self) -> tuple[str, ...]:
        """Those tracked from the start, then those tracked because somebody asked for them."""
        added = (one.instrument for one in self._wanted.list(is_done=True) if not one.error)
        return tuple(dict.fromkeys((*self._instruments, *added)))

    def settle(self, choices: Choices) -> Choices:
        """The choices without repetitions. Beside `*` stay only instruments that are to be tracked yet; raises InputError for
        what cannot be chosen."""
        if choices.time_zone not in time_zones():
            raise InputError("time_zone is none that is known: write one such as Europe/Berlin, or UTC")
        unknown = [name for name in choices.strategies if name not in (EVERY, RECOMMENDED, *self.strategies)]
        if unknown:
            raise InputError(
                f"there is no strategy {unknown[0]!a}: choose of {', '.join((RECOMMENDED, *self.strategies))}"
            )
        new = self.new_instruments(choices.instruments)
        for name in new:
            if not _INSTRUMENT.fullmatch(name):
                raise InputError(
                    f"{name!a} is no instrument: write venue:SYMBOL, such as binance:BTCUSDT or yahoo:AAPL"
                )
        if len(new) > MAX_NEW_INSTRUMENTS:
            raise InputError(f"at most {MAX_NEW_INSTRUMENTS} instruments that are not tracked yet can be asked for")
        waiting = {one.instrument for one in self._wanted.list()} if new else set()
        if len(waiting.union(new)) > max(MAX_WAITING_INSTRUMENTS, len(waiting)):
            raise InputError("too many new instruments are waiting for their history: choose of those that are listed")
        instruments = [EVERY, *new] if EVERY in choices.instruments else list(dict.fromkeys(choices.instruments))
        lists = {"strategies": _each_once(choices.strategies), "kinds": _each_once(choices.kinds)}
        return choices.model_copy(update=lists | {"instruments": instruments})

    def new_instruments(self, names: Sequence[str]) -> list[str]:
        """Those that are not tracked."""
        tracked = {EVERY, *self.instruments}
        return [name for name in dict.fromkeys(names) if name not in tracked]


@cache
def time_zones() -> tuple[str, ...]:
    """The names of all time zones: UTC, then by region."""
    names = (name for name in zoneinfo.available_timezones() if name not in ("UTC", "Factory", "localtime"))
    return ("UTC", *sorted(name for name in names if not name.startswith(("posix", "right", "SystemV"))))


def clock_text(minute: int) -> str:
    """A minute of the day as "HH:MM"."""
    return f"{minute // 60:02d}:{minute % 60:02d}"


def _minutes(clock: str) -> int:
    hours, _, minutes = clock.partition(":")
    return int(hours) * 60 + int(minutes)


def _each_once(names: Sequence[str]) -> list[str]:
    return [EVERY] if EVERY in names else list(dict.fromkeys(names))
