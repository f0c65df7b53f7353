"""Equities: raw bars of one company over its tickers, its corporate actions, and the adjusted view of them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from quantlytic.engine.data.adjust import adjust
from quantlytic.engine.data.bars import Bars
from quantlytic.engine.data.tape import Tape, Ticks
from quantlytic.model.action import ACTION, ActionKind
from quantlytic.model.bar import blank_bars
from quantlytic.model.errors import DataError
from quantlytic.model.instrument import Instrument
from quantlytic.model.time import NS_PER_S, duration_ns
from quantlytic.store.equities.factorfile import FactorEvent, read_factors
from quantlytic.store.equities.leanbars import ZONE, read_ticker
from quantlytic.store.equities.mapfile import Company, find_company

_OPEN_NS, _CLOSE_NS = 34_200 * NS_PER_S, 57_600 * NS_PER_S  # 9:30 and 16:00, by New York's clocks
_SAME_PRICE = 0.01  # a factor file's reference price and the raw close it speaks of agree within this share


@dataclass(frozen=True)
class Equity:
    """One company. `bars` are raw: what was traded, and what a backtest trades. `actions` (dtype ACTION) are its splits,
    dividends and delisting, for the tape. `adjusted` is for charts and indicators over long spans: nobody could trade there.

    `notes` says in plain words what was left out or is missing.
    """

    company: Company
    bars: Bars
    actions: NDArray[Any]
    notes: tuple[str, ...] = ()

    @cached_property
    def adjusted(self) -> Bars:
        """Adjusted for splits and dividends; the last bar is as traded."""
        return Bars(adjust(self.bars.array, self.actions), self.bars.instruments, f"{self.bars.label}, adjusted")

    @cached_property
    def split_adjusted(self) -> Bars:
        """Adjusted for splits alone, as price charts are."""
        rows = adjust(self.bars.array, self.actions, dividends=False)
        return Bars(rows, self.bars.instruments, f"{self.bars.label}, split-adjusted")

    def tape(self, calendar: str | None = None) -> Tape:
        """Raw bars and actions as one stream; with a `calendar` (such as "XNYS") also the opens and closes of its sessions,
        by which DAY orders end and orders at the open and the close are filled."""
        return _tape(self.bars, self.actions, calendar)


@dataclass(frozen=True)
class Equities:
    """Several companies as one stream: what a portfolio backtest takes. Fields and `tape` as those of `Equity`."""

    bars: Bars
    actions: NDArray[Any]
    notes: tuple[str, ...] = ()

    def tape(self, calendar: str | None = None) -> Tape:
        return _tape(self.bars, self.actions, calendar)


def load_equity(path: str | os.PathLike[str], ticker: str, size: str = "1d", *, calendar: str | None = None) -> Equity:
    """A US company's raw bars and corporate actions from a folder in LEAN's formats.

    `ticker` names the company: its map file's name (`AAPL`; `AAA.1` for an earlier company called AAA), or any ticker that
    one company alone ever had (`GOOCV` is GOOG). Bars are taken from each ticker while the company had it, and from no other
    day: other companies' rows under the same ticker are left out. The instrument is `usa:NAME`, in USD.

    A daily bar opens at 9:30 and closes at 16:00 New York time, on the early closes of `calendar` (such as "XNYS", by
    exchange_calendars) where one is named. An action takes effect at 0:00 New York time of its ex-date: the date of the first
    bar after the factor file's row. A delisting takes effect on the day after the last one of trading, at the last price.

    Raises InputError for a ticker that is no company's or several companies', DataError for damaged files or no bars.
    """
    folder, size_ns = Path(path), duration_ns(size)
    company = find_company(folder, ticker)
    frame, notes = _own_bars(folder, company, size)
    if frame.height == 0:
        raise DataError(f"{folder} has no bars of {company.name}: {'; '.join(notes)}")
    if size == "1d":
        frame = _in_session(frame, calendar)
    else:
        frame = frame.with_columns(close_time=pl.col("ts") + size_ns)
    array = blank_bars(frame.height)
    array["open_time"] = frame["ts"].to_numpy()
    for name in ("close_time", "open", "high", "low", "close", "volume"):
        array[name] = frame[name].to_numpy()
    instrument = Instrument(f"usa:{company.name}", company.name, "USD")
    bars = Bars(array, (instrument,), f"{company.name} {size}")
    bars.check()
    actions, doubts = _actions(folder, company, frame)
    return Equity(company, bars, actions, (*notes, *doubts))


def load_equities(
    path: str | os.PathLike[str], tickers: Sequence[str], size: str = "1d", *, calendar: str | None = None
) -> Equities:
    """Several companies of `load_equity` as one stream of bars and one of actions, by time; instruments in the given order."""
    parts = [load_equity(path, ticker, size, calendar=calendar) for ticker in tickers]
    bars = Bars.merge([part.bars for part in parts])
    actions = np.concatenate([part.actions for part in parts]) if parts else np.zeros(0, ACTION)
    actions["instrument"] = np.repeat(np.arange(len(parts)), [len(part.actions) for part in parts])
    order = np.argsort(actions["event_time"], kind="stable")
    notes = tuple(f"{part.company.name}: {note}" for part in parts for note in part.notes)
    return Equities(bars, actions[order], notes)


def _tape(bars: Bars, actions: NDArray[Any], calendar: str | None) -> Tape:
    given = [Ticks(actions, bars.instruments, "corporate actions")]
    if calendar is not None and len(bars):
        from quantlytic.research.data.calendars import session_actions, sessions  # imports pandas

        first, last = (
            str(day) for day in bars.array["open_time"][[0, -1]].astype("datetime64[ns]").astype("datetime64[D]")
        )
        known = session_actions(sessions(calendar, first, last), len(bars.instruments))
        given.append(Ticks(known, bars.instruments, f"sessions of {calendar}"))
    return Tape(bars=bars, actions=given)


def _own_bars(folder: Path, company: Company, size: str) -> tuple[pl.DataFrame, list[str]]:
    """The rows of each ticker while the company had it, and what is missing or left out."""
    tickers = list(dict.fromkeys(listing.ticker for listing in company.listings))
    rows = {ticker: read_ticker(folder, ticker, size) for ticker in tickers}
    others = {ticker: frame.height for ticker, frame in rows.items()}
    pieces, notes = [], []
    for listing in company.listings:
        between = pl.col("date").is_between(pl.lit(listing.first.item()), pl.lit(listing.last.item()))
        own = rows[listing.ticker].filter(between)
        others[listing.ticker] -= own.height
        if own.height == 0:
            notes.append(f"no bars of {listing.ticker}, its ticker from {listing.first} to {listing.last}")
        pieces.append(own)
    for ticker, count in others.items():
        if count:
            notes.append(f"{count:,} bars of {ticker} left out: they are of days when it was another company's ticker")
    return pl.concat(pieces), notes


def _in_session(frame: pl.DataFrame, calendar: str | None) -> pl.DataFrame:
    """Daily rows with the times at which their session opened and closed."""
    dates = frame["date"].to_numpy()
    frame = frame.with_columns(ts=_clock_times(dates, _OPEN_NS), close_time=_clock_times(dates, _CLOSE_NS))
    if calendar is None:
        return frame
    from quantlytic.research.data.calendars import sessions

    known = sessions(calendar, str(frame["date"][0]), str(frame["date"][-1]))
    times = pl.DataFrame({"date": known.dates, "opens": known.open_times, "closes": known.close_times})
    joined = frame.join(times.with_columns(pl.col("date").cast(pl.Date)), on="date", how="left", maintain_order="left")
    closed = joined.filter(pl.col("opens").is_null())
    if closed.height:
        raise DataError(
            f"there is a bar of {closed['date'][0]}, when {calendar} was closed (and {closed.height - 1} more)"
        )
    return joined.with_columns(ts="opens", close_time="closes").drop("opens", "closes")


def _actions(folder: Path, company: Company, frame: pl.DataFrame) -> tuple[NDArray[Any], list[str]]:
    """The company's actions within its bars, and what is doubtful about them."""
    factors = read_factors(folder, company.name)
    dates = frame["date"].to_numpy().astype("datetime64[D]")
    days, last = np.unique(dates[::-1], return_index=True)  # the last bar of each day
    closes = frame["close"].to_numpy()[len(dates) - 1 - last]
    rows: list[tuple[np.datetime64, ActionKind, float]] = []
    doubts = [] if factors else [f"no factor file of {company.name}: splits and dividends are not known"]
    for event in factors.events() if factors else []:
        after = int(np.searchsorted(days, event.last_date, "right"))
        if not 0 < after < len(days):
            continue
        known = float(closes[after - 1]) if days[after - 1] == event.last_date else None
        price, doubt = _reference(event, known)
        doubts += doubt
        if event.dividend_share:
            rows.append((days[after], ActionKind.DIVIDEND, event.dividend_share * price))
        if event.split != 1.0:
            rows.append((days[after], ActionKind.SPLIT, event.split))
    if company.delisted is not None:
        rows.append((company.delisted + np.timedelta64(1, "D"), ActionKind.DELISTING, np.nan))
    actions = np.zeros(len(rows), ACTION)
    actions["event_time"] = _clock_times(np.array([row[0] for row in rows], "datetime64[D]"), 0)
    actions["kind"] = [row[1] for row in rows]
    actions["value"] = [row[2] for row in rows]
    return actions, doubts


def _reference(event: FactorEvent, close: float | None) -> tuple[float, list[str]]:
    """The price that a dividend is a share of."""
    stated = event.reference_price
    if stated <= 0:
        if close is None:
            raise DataError(
                f"the factor row of {event.last_date} has no reference price, and there is no bar of that day"
            )
        return close, []
    if event.dividend_share and close is not None and abs(close / stated - 1.0) > _SAME_PRICE:
        return stated, [f"the factor file has a close of {stated:g} on {event.last_date}, the bars have {close:g}"]
    return stated, []


def _clock_times(dates: NDArray[np.datetime64], clock_ns: int) -> NDArray[np.int64]:
    """The times, ns UTC, at which New York's clocks show this on these dates."""
    local = pl.Series(dates.astype("datetime64[ns]") + np.timedelta64(clock_ns, "ns"))
    times: NDArray[np.int64] = local.dt.replace_time_zone(ZONE).to_physical().to_numpy()
    return times
