"""The control store's repositories, as their users see them. `Control` has one of each."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Any, Protocol

from quantlytic.model.instrument import Instrument
from quantlytic.model.run import Run
from quantlytic.store.control.records import RunRecord, Trial


class Runs(Protocol):
    """Back-tests and paper runs, oldest first."""

    def add(self, run: Run) -> RunRecord:
        """Enter a run as "running". One that is there already, with the same settings, goes on.

        Raises InputError when the id is taken by a run with other settings.
        """

    def finish(
        self,
        run_id: str,
        *,
        start_ns: int | None = None,
        end_ns: int | None = None,
        status: str = "finished",
        digest: str = "",
        summary: dict[str, Any] | None = None,
    ) -> RunRecord:
        """Enter the result. Raises InputError for an unknown id."""

    def get(self, run_id: str) -> RunRecord:
        """The run of that id; "last" is the newest. Raises InputError for an unknown one."""

    def last(self, mode: str | None = None) -> RunRecord | None:
        """The newest run, of that mode if one is given; None when there is none."""

    def list(self, mode: str | None = None) -> list[RunRecord]:
        """All runs, oldest first."""


class Trials(Protocol):
    """The trial ledger: every back-test counts."""

    def add(self, trials: Sequence[Trial]) -> None:
        """Enter trials, all of them or none."""

    def list(self, data: str | None = None) -> list[Trial]:
        """Trials on that data (or on any), oldest first."""

    def count(self, data: str) -> int:
        """How many different strategies and parameters were tried on that data."""

    def like(self, trial: Trial) -> builtins.list[Trial]:
        """All trials on the data of that one, on data that shares rows with it (`sketch`), or on any of its instruments over a
        range that overlaps; oldest first, the newest of each strategy and parameters on the same data."""


class Instruments(Protocol):
    """What can be traded, and the venues' rules for it."""

    def put(self, instruments: Sequence[Instrument]) -> None:
        """Enter or replace, by id; all of them or none."""

    def get(self, instrument_id: str) -> Instrument | None: ...
    def list(self, venue: str | None = None) -> list[Instrument]:
        """Sorted by id."""


class Tokens(Protocol):
    """Who may call the API: names and hashes, never the secret itself."""

    def add(self, name: str, secret: str) -> None:
        """Enter a token, or give an existing name a new secret."""

    def name_of(self, secret: str) -> str | None:
        """Whose secret this is; None for nobody's."""

    def list(self) -> list[str]: ...
    def remove(self, name: str) -> None: ...


class Preferences(Protocol):
    """Small settings made at run time, by name; values are JSON."""

    def get(self, name: str, default: Any = None) -> Any: ...
    def put(self, name: str, value: Any) -> None: ...
