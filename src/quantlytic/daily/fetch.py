"""Asking sources for history, one instrument at a time, with patience."""

from __future__ import annotations

import time
from collections.abc import Sequence

from quantlytic.daily.day import Day, Summary, Work
from quantlytic.model.errors import DataError, InputError, VenueError
from quantlytic.venues.answers import Throttled

_TRIES = 3
_PAUSE_S = 1.0  # doubled each time
_MOST_FAILED = 0.5  # share of instruments: more, and it is the source that is down, not they


def fetch(day: Day, works: Sequence[Work]) -> Summary:
    """Stage each instrument's rows; those staged already are not asked for again.

    An instrument that the source does not know, or fails to give, is left out of the day and told of. Raises DataError where
    the source knows none of the operator's own, and VenueError where
    more than half fail, or the source asks for patience: the task is to be tried again later, and goes on where it was. Only
    the operator's own instruments count there: what a subscriber asks for must not hold up the day of all others.
    """
    rows, refused, failed = 0, dict[str, str](), dict[str, str]()
    own = _own(day)
    for done, work in enumerate(works):
        day.progress(work.instrument, done, len(works))
        try:
            rows += _stage(day, work)
        except Throttled as error:  # to go on asking would make it worse
            if work.instrument not in own:
                failed[work.instrument] = str(error)
                continue
            raise VenueError(
                f"{error}; {done} of {len(works)} instruments are there, the next attempt goes on"
            ) from None
        except (InputError, DataError) as error:
            refused[work.instrument] = str(error)
        except VenueError as error:
            failed[work.instrument] = str(error)
    asked = [work.instrument for work in works if work.instrument in own]
    down = [name for name in asked if name in failed]
    if len(down) > _MOST_FAILED * len(asked):
        first = f"the first, {down[0]}: {failed[down[0]]}"
        raise VenueError(f"{len(down)} of {len(asked)} instruments could not be fetched; {first}")
    if own <= refused.keys():
        first = next(iter(refused))
        raise DataError(
            f"none of the {len(own)} instruments of the settings can be had; the first, {first}: {refused[first]}"
        )
    for work in works:
        if work.is_wanted and work.instrument in refused:
            day.control.wanted.done(work.instrument, day.now_ns(), refused[work.instrument])
    day.progress("", len(works), len(works))
    trouble = [f"{name}: {reason}" for name, reason in (refused | failed).items()]
    return {
        "instruments": len(works) - len(trouble),
        "rows": rows,
        "refused": len(refused),
        "failed": len(failed),
        "trouble": trouble,
    }


def _own(day: Day) -> set[str]:
    """The instruments of the settings; where there are none, those that are tracked already; else all."""
    works = day.works
    tracked = {work.instrument for work in works if not work.is_wanted}
    return set(day.settings.instruments) or tracked or {work.instrument for work in works}


def _stage(day: Day, work: Work) -> int:
    staged = day.staging.history(work.instrument)
    if staged is not None:
        return len(staged.rows)
    source = day.source_of(work.instrument)
    for attempt in range(_TRIES):
        try:
            history = source.history(work.instrument, work.since, day.date)
            break
        except Throttled:
            raise
        except VenueError:
            if attempt == _TRIES - 1:
                raise
            time.sleep(_PAUSE_S * 2**attempt)
    if not len(history.rows):
        asked = f"{source.name}: no rows from {work.since} to {day.name}"
        raise InputError(asked) if work.is_new else VenueError(asked)
    day.staging.put_history(history)
    return len(history.rows)
