"""Runs that never end: a model's file may hold a loop. Each run has its time, and is stopped from another thread after it."""

from __future__ import annotations

import os
import threading
import time
import weakref
from typing import Any

from quantlytic.model.errors import DataError

LOOK_S = 0.05
"""How often the runs at hand are looked at."""


class TookTooLong(DataError):
    """A run was stopped. Says after how long."""


class Overtime:
    """Watches the runs of one session, of which there is one at a time: `with overtime(seconds): run(..., overtime.options)`.

    Time is counted by the looks of one thread a process, begun with the first session that is watched: what a machine sleeps,
    or a process is stopped, is held against no model. The block raises TookTooLong once its run was stopped, whatever it gave.
    """

    def __init__(self, runtime: Any) -> None:
        """`runtime`: the module onnxruntime. Its runs hear of `options.terminate` between two operators."""
        self._runtime = runtime
        self._looks = self._most_looks = 0
        self.after_fork()
        _WATCH.add(self)

    def after_fork(self) -> None:
        """Nothing runs: in a child the run at hand, and the look at it, have nobody who would end them."""
        self._lock = threading.Lock()
        self._is_running = self._is_stopped = False
        self.options = self._fresh()

    def __call__(self, seconds: float) -> Overtime:
        self._most_looks = round(seconds / LOOK_S) + 1
        return self

    def __enter__(self) -> None:
        self._looks = 0
        self._is_running = True

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._is_running = False
        if self._is_stopped:
            self._is_stopped = False
            self.options = self._fresh()
            seconds = (self._most_looks - 1) * LOOK_S
            raise TookTooLong(
                f"the model did not answer within {seconds:.3g} s and was stopped: promote another one"
            ) from None

    def look(self) -> None:
        """Stop the run at hand when its time is over."""
        if self._is_running:
            with self._lock:
                self._looks += self._is_running
                if self._looks > self._most_looks and self._is_running:
                    self._is_stopped = self.options.terminate = True

    def _fresh(self) -> Any:
        options = self._runtime.RunOptions()
        options.log_severity_level = 4  # what goes wrong is raised, not printed as well
        return options


class _Watch:
    """The thread: there while there is a session to watch."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watched: weakref.WeakSet[Overtime] = weakref.WeakSet()
        self._thread: threading.Thread | None = None

    def add(self, one: Overtime) -> None:
        with self._lock:
            self._watched.add(one)
            self._start()

    def after_fork(self) -> None:
        """A child has the sessions, and not the thread."""
        self._lock, self._thread = threading.Lock(), None
        for one in (watched := list(self._watched)):
            one.after_fork()
        if watched:
            self._start()

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._look, name="models.overtime", daemon=True)
            self._thread.start()

    def _look(self) -> None:
        while True:
            time.sleep(LOOK_S)
            with self._lock:
                watched = list(self._watched)
                if not watched:
                    self._thread = None
                    return
            for one in watched:
                one.look()
            del watched, one  # else the last ones are held until the next look


_WATCH = _Watch()
os.register_at_fork(after_in_child=_WATCH.after_fork)
