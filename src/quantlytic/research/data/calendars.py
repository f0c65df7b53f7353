"""When an exchange is open: sessions, holidays and early closes, by exchange_calendars (`pip install -e '.[equities]'`)."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from quantlytic.engine.data.bars import Bars
from quantlytic.model.action import ACTION, ActionKind
from quantlytic.model.errors import InputError
from quantlytic.research.data.holes import HOLE, has_size
from quantlytic.store.barfile import most_frequent

_DAY_NS = 86_400_000_000_000


@dataclass(frozen=True)
class Sessions:
    """The sessions of a calendar, in order: `dates` datetime64[D] of the exchange; times int64 ns UTC.

    `break_starts` and `break_ends` hold a lunch break, both the close time where there is none. `zone` is the exchange's.
    """

    calendar: str
    zone: str
    dates: NDArray[np.datetime64]
    open_times: NDArray[np.int64]
    close_times: NDArray[np.int64]
    break_starts: NDArray[np.int64]
    break_ends: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.dates)

    def dates_of(self, times: ArrayLike) -> NDArray[np.datetime64]:
        """The exchange's dates at these times (ns UTC). A midnight of UTC is a label: the date itself."""
        ns = np.asarray(times, np.int64)
        local = pl.Series(ns).cast(pl.Datetime("ns", "UTC")).dt.convert_time_zone(self.zone).dt.date().to_numpy()
        plain = ns.astype("datetime64[ns]").astype("datetime64[D]")
        return np.where(ns % _DAY_NS == 0, plain, local.astype("datetime64[D]"))


def sessions(calendar: str, first: date | str, last: date | str) -> Sessions:
    """The sessions of an exchange (its MIC, such as XNYS, XNAS, XLON, XTKS; or 24/7) from `first` to `last`, both included.

    Raises InputError when exchange_calendars is not there, does not know the calendar, or has no sessions in that range.
    """
    try:
        import exchange_calendars
    except ImportError:
        raise InputError("calendars need exchange_calendars: pip install -e '.[equities]'") from None
    with warnings.catch_warnings():  # of what newer versions of pandas will do differently, which is not ours to mend
        warnings.simplefilter("ignore")
        try:
            found = exchange_calendars.get_calendar(calendar, start=str(first), end=str(last))
        except exchange_calendars.errors.InvalidCalendarName:
            raise InputError(f"no calendar is called {calendar!r}: name an exchange by its MIC, such as XNYS") from None
        except (ValueError, exchange_calendars.errors.CalendarError) as error:
            raise InputError(
                f"no sessions of {calendar} from {first} to {last}: {str(error).splitlines()[0]}"
            ) from None
        table = found.schedule
        closes = _ns(table["close"])
        starts, ends = (
            np.where(_missing(table[name]), closes, _ns(table[name])) for name in ("break_start", "break_end")
        )
        dates = table.index.to_numpy().astype("datetime64[D]")
        return Sessions(calendar, str(found.tz), dates, _ns(table["open"]), closes, starts, ends)


def session_actions(known: Sessions, instruments: int = 1) -> NDArray[Any]:
    """An OPEN and a CLOSE of each session for each instrument index below `instruments`, by time: rows of dtype ACTION.

    They are at the session's first and last time. On a tape actions come before bars of their time, which is as the engine
    wants it: it knows when a session has ended, and lets the bar that ends with it still belong to it.
    """
    count = len(known)
    actions = np.zeros((2 * count, instruments), ACTION)
    actions["instrument"] = np.arange(instruments)
    for first, kind, times in ((0, ActionKind.OPEN, known.open_times), (1, ActionKind.CLOSE, known.close_times)):
        actions["event_time"][first::2] = times[:, None]
        actions["kind"][first::2] = kind
    return actions.reshape(-1)


def find_session_holes(bars: Bars, calendar: str) -> NDArray[Any]:
    """Bars missing from the exchange's sessions between an instrument's first and last bar: rows of `research.holes.HOLE`.

    Nights, weekends, holidays and lunch breaks are no holes, nor is the afternoon of an early close. Of daily bars each session
    must have one; of smaller ones each slot of the bar size that overlaps a session. (A slot in which nobody traded has no bar
    either: the two cannot be told apart.) Bars outside of sessions are not looked at, nor bars by activity.

    Raises InputError for bars larger than a day and as `sessions` does.
    """
    found = [np.zeros(0, HOLE)]
    array = bars.array
    for index, instrument in enumerate(bars.instruments):
        own = array[array["instrument"] == index]
        opens = own["open_time"]
        if len(opens) < 2 or not has_size(own):
            continue
        size = most_frequent(np.diff(opens))
        if size > _DAY_NS:
            raise InputError(f"{instrument.id}: bars of more than a day cannot be held against a calendar's sessions")
        days = opens[[0, -1]].astype("datetime64[ns]").astype("datetime64[D]")
        known = sessions(calendar, str(days[0] - 1), str(days[1] + 1))
        slots, there = _daily(known, opens) if size == _DAY_NS else _intraday(known, opens, size)
        found.append(_holes(index, slots, there))
    return np.concatenate(found)


def count_holes(bars: Bars, calendar: str) -> int:
    """How many bars `find_session_holes` misses."""
    return int(find_session_holes(bars, calendar)["missing"].sum())


def days_off(bars: Bars, calendar: str) -> NDArray[np.datetime64]:
    """The dates, sorted, on which there are bars although the exchange was closed: phantom bars, or the wrong calendar."""
    if not len(bars):
        return np.zeros(0, "datetime64[D]")
    opens = bars.array["open_time"]
    span = np.array([opens.min(), opens.max()]).astype("datetime64[ns]").astype("datetime64[D]")
    known = sessions(calendar, str(span[0] - 7), str(span[1] + 7))
    return np.setdiff1d(known.dates_of(opens), known.dates)


def _daily(known: Sessions, opens: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Where each session's bar opens or would open, from the first bar to the last, and whether it is there."""
    dates = known.dates_of(opens)
    within = (known.dates >= dates[0]) & (known.dates <= dates[-1])
    wanted = known.dates[within]
    place = np.minimum(np.searchsorted(dates, wanted), len(dates) - 1)
    there = dates[place] == wanted
    return np.where(there, opens[place], known.open_times[within]), there


def _intraday(known: Sessions, opens: NDArray[np.int64], size: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The same for the slots of a size within the sessions, aligned as the session's own bars are, else as most bars."""
    usual = most_frequent(opens % size)
    slots = []
    for start, end, rest, on in zip(
        known.open_times, known.close_times, known.break_starts, known.break_ends, strict=True
    ):
        own = opens[np.searchsorted(opens, start) : np.searchsorted(opens, end)]
        phase = most_frequent(own % size) if len(own) else usual
        first = (start - phase) // size * size + phase
        grid = np.arange(first, end, size)
        slots.append(grid[(grid + size > start) & ((grid < rest) | (grid + size > on))])
    every = np.concatenate(slots) if slots else np.zeros(0, np.int64)
    every = every[(every >= opens[0]) & (every <= opens[-1])]
    return every, np.isin(every, opens)


def _holes(index: int, slots: NDArray[np.int64], there: NDArray[np.bool_]) -> NDArray[Any]:
    """Runs of slots that are not there. The first and the last slot are."""
    gone = np.concatenate(([0], (~there).astype(np.int8), [0]))
    starts, ends = np.flatnonzero(np.diff(gone) == 1), np.flatnonzero(np.diff(gone) == -1)
    holes = np.zeros(len(starts), HOLE)
    holes["instrument"], holes["missing"] = index, ends - starts
    holes["start"] = slots[starts]
    holes["end"] = slots[np.minimum(ends, len(slots) - 1)]
    return holes


def _ns(column: Any) -> NDArray[np.int64]:
    """A pandas column of UTC times as int64 ns."""
    return np.asarray(column.dt.tz_convert(None).to_numpy().astype("datetime64[ns]").astype(np.int64))


def _missing(column: Any) -> NDArray[np.bool_]:
    return np.asarray(column.isna().to_numpy())
