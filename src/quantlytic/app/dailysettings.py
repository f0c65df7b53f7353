"""The settings of the daily run, as a section of `quantlytic.toml`."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, field_validator

from quantlytic.daily.settings import CALENDARS, DailySettings
from quantlytic.model.time import duration_ns


class DailySection(BaseModel):
    """`[daily]`: see `DailySettings`. `source` is "auto", "yahoo", "venue" or "files:DIR"; the scheduler runs a day `delay` after
    the last close of the day."""

    model_config = ConfigDict(extra="forbid")

    instruments: list[str] = []
    source: str = "auto"
    delay: str = "30m"
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

    @field_validator("delay")
    @classmethod
    def _delay_is_duration(cls, value: str) -> str:
        duration_ns(value)
        return value

    def plain(self, **others: Any) -> DailySettings:
        """As the daily run takes them; `others` take the place of settings."""
        given: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in self.model_dump(exclude={"source", "delay"}).items()
        }
        return DailySettings(**given | others)
