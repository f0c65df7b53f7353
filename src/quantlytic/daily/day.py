"""A day of the daily run: what its tasks work on, and with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import msgspec

from quantlytic.daily.calendar import label_ns
from quantlytic.daily.settings import DailySettings
from quantlytic.daily.staging import Staging
from quantlytic.model.errors import StoreError
from quantlytic.store.control.control import Control
from quantlytic.store.lake import Lake
from quantlytic.telling.delivery import Operator
from quantlytic.venues.daily import DailySource

Progress = Callable[[str, int, int], None]
"""Called with (what is being done, done, of)."""


class Work(msgspec.Struct, frozen=True):
    """One instrument's part of the day. `since`: the date from which rows are fetched; `is_new`: the lake has none of it yet;
    `is_due`: its exchange had a session on the day. `is_wanted`: a subscriber asked for it."""

    instrument: str
    calendar: str
    since: date
    is_new: bool
    is_due: bool
    is_wanted: bool


@dataclass(frozen=True)
class Day:
    """`source_of` gives the source of an instrument; it raises InputError where there is none. `now_ns` is the clock.
    `operators` are told besides the subscribers. `round`: how often the day is run, on purpose, from the beginning."""

    date: date
    home: Path
    control: Control
    lake: Lake
    settings: DailySettings
    source_of: Callable[[str], DailySource]
    now_ns: Callable[[], int]
    progress: Progress
    operators: tuple[Operator, ...] = ()
    round: int = 1

    @property
    def name(self) -> str:
        """ISO 8601."""
        return self.date.isoformat()

    @property
    def source(self) -> str:
        """What this round's rows in the lake are known by."""
        return f"daily.{self.name}" if self.round == 1 else f"daily.{self.name}.{self.round}"

    @property
    def staging(self) -> Staging:
        return Staging(self.home, self.date)

    @property
    def label(self) -> int:
        """When its bars open, ns UTC."""
        return label_ns(self.date)

    @property
    def works(self) -> list[Work]:
        """What `plan` found, by instrument."""
        found: list[Work] | None = self.staging.get("plan", list[Work])
        if found is None:
            raise StoreError(
                f"{self.staging.folder} is gone: begin the day again with quantlytic daily --again --date {self.name}"
            )
        return found


Summary = dict[str, Any]
"""What a task did, ready for JSON: figures by name, and `trouble`, sentences."""
