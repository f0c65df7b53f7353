"""The settings of the daily run, as a section of `quantlytic.toml`."""

from __future__ import annotations

from typing import Any

from pydantic import Field, FiniteFloat

from quantlytic.app.section import Duration, Section
from quantlytic.daily.settings import CALENDARS, DailySettings


class DailySection(Section):
    """`[daily]`: see `DailySettings`. `source` is "auto", "yahoo", "venue" or "files:DIR"; the scheduler runs a day `delay` after
    the last close of the day."""

    instruments: list[str] = []
    source: str = "auto"
    delay: Duration = "30m"
    calendars: dict[str, str] = dict(CALENDARS)
    history_days: int = Field(default=3650, ge=1, le=40_000)
    lookback_days: int = Field(default=400, ge=1, le=40_000)
    strategies: list[str] = ["sma-cross", "recommended"]
    recommend_days: int = Field(default=7, ge=1)
    candidates: list[str] = []
    folds: int = Field(default=6, ge=2)
    draws: int = Field(default=16, ge=1)
    fee_bps: FiniteFloat = Field(default=10.0, ge=0, le=1000)
    cash: FiniteFloat = Field(default=1_000_000.0, gt=0)

    def plain(self, **others: Any) -> DailySettings:
        """As the daily run takes them; `others` take the place of settings."""
        given: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in self.model_dump(exclude={"source", "delay"}).items()
        }
        return DailySettings(**given | others)
