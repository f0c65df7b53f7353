"""Settings: `quantlytic.toml` in the working folder, then the environment (`QUANTLYTIC_...`, `__` between levels)."""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, FiniteFloat, SecretStr, StrictBool, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from quantlytic.app.dailysettings import DailySection
from quantlytic.app.forecastsettings import ForecastSettings
from quantlytic.app.section import Duration, Section
from quantlytic.app.settingerrors import mistakes
from quantlytic.model.errors import InputError
from quantlytic.model.time import duration_ns


class VenueSettings(Section):
    """Where the market data comes from, and where orders go. `box` is the exchange in a box, started by `up` itself."""

    name: str = "box"
    symbols: list[str] = ["BTCUSDT", "ETHUSDT"]
    environment: str = ""
    rest_url: str = ""
    stream_url: str = ""
    trading_url: str = ""
    data_url: str = ""
    crypto_stream_url: str = ""
    stock_feed: Literal["iex", "sip"] = "iex"
    fractional: bool = False
    kinds: list[Literal["trades", "quotes", "bars"]] = ["trades", "quotes"]
    news: bool = False
    news_categories: list[str] = []
    ccxt_exchange: str = ""
    box_port: int = Field(default=8788, ge=1, le=65535)
    box_seed: int = 7


class AccountSettings(Section):
    """The account that live orders go to. `confirm`, its name, starts live trading with nobody at the keyboard.

    `rules`, `limits` and `deadman` are those of docs/live.md and docs/risk.md. `keep` is what a flattening leaves alone, by
    asset. `watchdog_cancels`: an executor that falls silent has its orders cancelled at the venue as well.
    """

    name: str = "main"
    confirm: str = ""
    rules: dict[str, Any] = {}
    limits: dict[str, Any] = {}
    deadman: dict[str, Any] = {}
    watchdog_cancels: bool = False
    keep: dict[str, Annotated[FiniteFloat, Field(ge=0)]] = {}


class StrategySettings(Section):
    """Which strategy runs, on what bars. Parameters that are not given are the strategy's; the default one is a quick demo.
    `forecasts`: the line of `[[forecasts]]` whose models it hears; "" for none."""

    name: str = "sma-cross"
    params: dict[str, StrictBool | FiniteFloat] = {}
    bar: Duration = "1s"
    cash: FiniteFloat = Field(default=100_000.0, gt=0)
    fee_bps: FiniteFloat = Field(default=10.0, ge=0, le=1000)
    forecasts: str = ""

    @model_validator(mode="after")
    def _demo_is_quick(self) -> StrategySettings:
        if not self.model_fields_set & {"name", "params"}:
            self.params = {"fast": 4, "slow": 12, "weight": 0.45}
        return self


class LookaheadSettings(Section):
    """What strategies will do is said before they do it: so many bars ahead, looked at this often while a bar forms."""

    enabled: bool = True
    horizons: int = Field(default=1, ge=1, le=20)
    check_every: Duration = "250ms"


class AlertsSettings(Section):
    """The alert service: where people sign up. `allow`: addresses, "*@example.com", or "anyone"; more by `quantlytic alerts`."""

    host: str = "127.0.0.1"
    port: int = Field(default=8789, ge=0, le=65535)
    base_url: str = ""
    allow: list[str] = []
    allowed_hosts: list[str] = []
    trusted_proxies: list[str] = []


class LogSettings(Section):
    """`sqlite` (embedded) or `kafka`. Durability "process" survives kill -9; "power" also a power cut, by fsync."""

    kind: Literal["sqlite", "kafka"] = "sqlite"
    durability: Literal["process", "power"] = "process"
    kafka_servers: str = "127.0.0.1:9092"
    retain: Duration = "6h"


class WebSettings(Section):
    host: str = "127.0.0.1"
    port: int = Field(default=8787, ge=0, le=65535)
    token: SecretStr | None = None


class MonitorSettings(Section):
    """Where `/health` and `/metrics` of a process are; none while `port` is unset (0: any free port)."""

    host: str = "127.0.0.1"
    port: int | None = Field(default=None, ge=0, le=65535)


class ChannelSettings(Section):
    """An operator's channel: an Apprise address (Slack, Telegram, Discord ...), a webhook, or one more mail `address`."""

    kind: Literal["apprise", "webhook", "mail"] = "apprise"
    url: SecretStr | None = None
    address: str = ""
    kinds: list[Literal["*", "signal", "look-ahead", "fill", "risk", "data", "digest"]] = ["*"]
    near_bps: FiniteFloat = Field(default=25.0, ge=0)


class NotifySettings(Section):
    """With no `smtp_host`, mails go into the outbox folder. Secrets come from the environment. `recipient` and the webhook are
    told of `kinds`; each gets at most `per_hour` signals, look-aheads and fills, and as many letters of other kinds; halts and
    what ends a model or a strategy do not count. What is older than `stale` is not told. A wish that goes on, and is refused, is
    told once and again after `remind`."""

    recipient: str = "you@localhost"
    sender: str = "quantlytic@localhost"
    smtp_host: str = ""
    smtp_port: int = 587
    smtp_user: str = ""
    smtp_password: SecretStr | None = None
    smtp_starttls: bool = True
    webhook_url: SecretStr | None = None
    kinds: list[Literal["*", "signal", "look-ahead", "fill", "risk", "data", "digest"]] = ["*"]
    per_hour: int = Field(default=60, ge=1)
    stale: Duration = "1d"
    remind: Duration = "1d"
    channels: dict[str, ChannelSettings] = {}


class Settings(BaseSettings):
    """All settings, checked at start. `home` is the folder that holds everything recorded."""

    model_config = SettingsConfigDict(
        env_prefix="QUANTLYTIC_", env_nested_delimiter="__", toml_file="quantlytic.toml", extra="forbid"
    )

    home: Path = Path("quantlytic-data")
    run_for: FiniteFloat | None = Field(default=None, gt=0)
    venue: VenueSettings = VenueSettings()
    mode: Literal["alert", "paper", "live"] = "paper"
    warmup: Literal["lake", "none"] = "lake"
    strategy: StrategySettings = StrategySettings()
    strategies: list[StrategySettings] = []
    forecasts: list[ForecastSettings] = []
    account: AccountSettings = AccountSettings()
    lookahead: LookaheadSettings = LookaheadSettings()
    alerts: AlertsSettings = AlertsSettings()
    daily: DailySection = DailySection()
    log: LogSettings = LogSettings()
    web: WebSettings = WebSettings()
    monitor: MonitorSettings = MonitorSettings()
    notify: NotifySettings = NotifySettings()

    @property
    def running(self) -> list[StrategySettings]:
        """The strategies that run: those of the list, or the single one."""
        return self.strategies or [self.strategy]

    @property
    def bar_sizes(self) -> list[str]:
        """Of the bars that are made: for strategies and for forecasts."""
        return list(dict.fromkeys([*(one.bar for one in self.running), *(one.bar for one in self.forecasts)]))

    @model_validator(mode="after")
    def _one_way_to_name_strategies(self) -> Settings:
        if self.strategies and "strategy" in self.model_fields_set:
            raise ValueError("`strategy` is one and `strategies` are several: give either")
        return self

    @model_validator(mode="after")
    def _lines_are_there(self) -> Settings:
        lines = {one.line: one for one in self.forecasts}
        if len(lines) < len(self.forecasts):
            raise ValueError("two entries of `forecasts` have the same line")
        for whole in self.forecasts:
            for member in whole.members:
                if (
                    member not in lines
                    or lines[member].members
                    or duration_ns(lines[member].bar) != duration_ns(whole.bar)
                ):
                    raise ValueError(
                        f"{whole.line} has the member {member!r}, which is no line of models on {whole.bar} bars"
                    )
        for one in self.running:
            if not one.forecasts:
                continue
            if (line := lines.get(one.forecasts)) is None:
                known = ", ".join(lines) or "none"
                raise ValueError(
                    f"{one.name} wants the forecasts of {one.forecasts!r}; lines in [[forecasts]]: {known}"
                )
            if duration_ns(line.bar) != duration_ns(one.bar):
                raise ValueError(f"{one.name} is on bars of {one.bar}, its forecasts {one.forecasts!r} on {line.bar}")
        return self

    @field_validator("home", mode="before")
    @classmethod
    def _home_is_named(cls, value: Any) -> Any:
        if isinstance(value, str) and not value.strip():
            raise ValueError("it is empty: name a folder")
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


_NOT_SETTINGS = ("QUANTLYTIC_CACHE", "QUANTLYTIC_BOX_KEY", "QUANTLYTIC_BOX_SECRET")  # read where they are used


def load_settings(**overrides: Any) -> Settings:
    """Read and check the settings. Raises InputError: a line a mistake, naming the setting, what is wrong, and where it is."""
    _refuse_unknown_variables()
    try:
        return Settings(**overrides)
    except ValidationError as error:
        raise InputError(mistakes(error, Settings, overrides)) from None
    except SettingsError as error:
        raise InputError(
            f"a QUANTLYTIC_ variable cannot be read: {error}; lists and tables are JSON, such as "
            """QUANTLYTIC_VENUE__SYMBOLS='["BTCUSDT"]'"""
        ) from None
    except (ValueError, OSError) as error:
        raise InputError(f"quantlytic.toml or a QUANTLYTIC_ variable cannot be read: {error}") from None
    except RecursionError:
        raise InputError("quantlytic.toml cannot be read: it is nested too deeply") from None


def _refuse_unknown_variables() -> None:
    """A misspelt variable must not be silently ignored."""
    known = ["QUANTLYTIC_" + name.upper() for name in Settings.model_fields]
    for variable in os.environ:
        first = variable.partition("__")[0]
        if variable.startswith("QUANTLYTIC_") and first not in known and variable not in _NOT_SETTINGS:
            close = difflib.get_close_matches(first, known, 1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
            raise InputError(f"the environment has {variable}, which is no setting: {hint}")
