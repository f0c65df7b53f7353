"""A data folder, files instead of vendors, and days to run."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from quantlytic.daily.calendar import label_ns
from quantlytic.daily.day import Day
from quantlytic.daily.runner import Outcome, run_day
from quantlytic.daily.settings import DailySettings
from quantlytic.daily.sources.files import FilesSource
from quantlytic.store.control import open_control
from quantlytic.store.control.control import Control
from quantlytic.store.control.records import Subscription
from quantlytic.store.lake import Lake

EQUITIES = (
    *("AAPL", "ABB", "AEP", "AMZN", "BA", "BAC", "BHP", "BP", "BUD", "CAT", "CELG", "CHTR", "CMCSA", "CSCO", "CVX"),
    *("DHR", "DIS", "EXC", "FB", "GE", "HD", "HON", "HSBC", "JNJ", "JPM", "LMT", "MA", "MMM", "MSFT", "PG"),
)
PAIRS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "DOGEUSDT")
CRYPTO_DAYS_BACK = 3162  # the recorded crypto years, moved to where the recorded equities are: 2026-04-29 -> 2017-09-01
LAST = datetime.date(2017, 9, 1)
NOW_NS = label_ns(LAST) + 60 * 3_600 * 10**9


def make_files(folder: Path, market_data: Path) -> Path:
    """The folder of a files source: real equities, and real crypto moved back in time."""
    (folder / "usa").mkdir(parents=True)
    (folder / "binance").mkdir()
    (folder / "usa" / "stocknet.parquet").symlink_to(market_data / "equity_daily_stocknet.parquet")
    crypto = pl.read_parquet(market_data / "binance_spot_1d_staticklines.parquet")
    moved = crypto.with_columns(ts=pl.col("ts") - pl.duration(days=CRYPTO_DAYS_BACK))
    moved.write_parquet(folder / "binance" / "spot.parquet")
    return folder


SMALL = DailySettings(
    instruments=("usa:AAPL", "usa:JPM", "binance:BTCUSDT"), history_days=250, lookback_days=90, candidates=("sma-cross",),
    folds=2, draws=2, strategies=("sma-cross", "recommended"),
)  # fmt: skip
ADVISED = replace(SMALL, history_days=600)
"""With enough bars to recommend anything."""


@dataclass
class World:
    """`home` is the data folder; each `day` has handles of its own, as another process would."""

    home: Path
    files: Path
    settings: DailySettings = SMALL
    now_ns: Callable[[], int] = lambda: NOW_NS

    def day(self, date: datetime.date = LAST, control: Control | None = None, **changes: Any) -> Day:
        source = FilesSource(self.files)
        day = Day(
            date, self.home, control or open_control(self.home), Lake(self.home / "lake"), self.settings,
            lambda _instrument: source, self.now_ns, lambda *_: None,
        )  # fmt: skip
        return replace(day, **changes)

    def run(self, date: datetime.date = LAST, only: str | None = None) -> dict[str, Outcome]:
        day = self.day(date)
        try:
            return {one.record.task: one for one in run_day(day, only)}
        finally:
            day.control.close()

    def subscribe(self, email: str, *instruments: str, kinds: tuple[str, ...] = ("digest",)) -> str:
        """Somebody who wants to be told, confirmed; his id."""
        with open_control(self.home) as control:
            one = control.subscribers.add(email, 1, time_zone="UTC", quiet_start_min=0, quiet_end_min=0)
            control.subscribers.confirm(one.subscriber_id, 2)
            control.subscribers.put_subscription(
                Subscription(one.subscriber_id, instruments or ("*",), ("*",), kinds, 10.0)
            )
        return one.subscriber_id


def tables(home: Path) -> dict[str, pl.DataFrame]:
    """All of the lake, each table in one order."""
    lake = Lake(home / "lake")
    return {name: lake.scan(name).collect().sort("source", "offset") for name in lake.tables()}


def revisions(home: Path) -> dict[str, int | None]:
    """The number of each table's last commit."""
    lake = Lake(home / "lake")
    return {name: lake.table(name).revision() for name in lake.tables()}


def assert_same_tables(one: Path, other: Path) -> None:
    """Every table of the two lakes has the same rows."""
    mine, theirs = tables(one), tables(other)
    assert set(mine) == set(theirs)
    for name, rows in mine.items():
        assert rows.equals(theirs[name]), f"table {name} differs"
