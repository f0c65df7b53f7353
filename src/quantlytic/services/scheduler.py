"""The daily run at its time: when the last session of the day has closed for long enough."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import date

from quantlytic.daily.calendar import due_day
from quantlytic.daily.day import Day
from quantlytic.daily.runner import LAST, TASKS, run_day
from quantlytic.daily.tracked import tracked
from quantlytic.model.errors import QuantlyticError
from quantlytic.model.time import iso


class Scheduler:
    """Runs the latest day that is due and not done, a task at each `pump`; days that passed while nobody was there are caught up
    with by that one run, whose fetching goes back to the last bar stored. A day is due `delay_ns` after the last close of the
    tracked instruments' exchanges, by their calendars.

    `day_of` makes a `Day`, each with handles of its own; the scheduler closes its control store. A day that fails is tried again
    after 1, 2, 4 ... 60 minutes, and goes on at the task that failed. All state is in the control store and the lake: kill it
    anywhere, and the next one goes on. Two of them on one data folder take turns.
    """

    name = "scheduler"
    FIRST_RETRY_S, LAST_RETRY_S = 60.0, 3600.0

    def __init__(
        self,
        day_of: Callable[[date], Day],
        delay_ns: int,
        now_ns: Callable[[], int] = time.time_ns,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._day_of, self._delay_ns, self._now_ns, self._now_s = day_of, delay_ns, now_ns, monotonic_s
        self._probe = day_of(date(1970, 1, 1))
        self._retry_at_s, self._retry_s = 0.0, self.FIRST_RETRY_S
        self.last_failure = ""

    def pump(self) -> int:
        """Do the next task of the day that is due; 0 when there is none, or it failed."""
        if self._now_s() < self._retry_at_s:
            return 0
        try:
            day = self.due()
            if day is None:
                return 0
            self._run(day)
        except Exception as error:  # a vendor's odd answer must not end the services beside this one
            self.last_failure = str(error) if isinstance(error, QuantlyticError) else f"{type(error).__name__}: {error}"
            self._retry_at_s = self._now_s() + self._retry_s
            self._retry_s = min(2 * self._retry_s, self.LAST_RETRY_S)
            return 0
        self.last_failure, self._retry_s = "", self.FIRST_RETRY_S
        return 1

    def due(self) -> date | None:
        """The day to be run now; None for none."""
        names, now_ns = tracked(self._probe.control, self._probe.settings), self._now_ns()
        day = due_day(map(self._probe.settings.calendar_of, names), now_ns, self._delay_ns)
        # a day that has not come yet was done by a clock that was ahead: it must not hold up those until then
        done = self._probe.control.tasks.last_day(LAST, iso(now_ns)[:10])
        return None if day is None or (done is not None and day.isoformat() <= done) else day

    def _run(self, day: date) -> None:
        work = self._day_of(day)
        try:
            done = {one.task for one in work.control.tasks.list(work.name) if one.state == "done"}
            run_day(work, next(name for name in TASKS if name not in done))
        finally:
            work.control.close()

    def wait(self, timeout_s: float) -> None:
        time.sleep(min(timeout_s, 60.0))

    def close(self) -> None:
        self._probe.control.close()
