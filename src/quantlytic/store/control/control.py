"""The control store: its repositories over one database."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

from quantlytic.store.control.database import Database
from quantlytic.store.control.instruments import SqlInstruments
from quantlytic.store.control.messages import SqlMessages
from quantlytic.store.control.port import (
    Instruments,
    Messages,
    Preferences,
    Runs,
    SignUps,
    Subscribers,
    Tasks,
    Tokens,
    Trials,
    Wanted,
)
from quantlytic.store.control.preferences import SqlPreferences
from quantlytic.store.control.runs import SqlRuns
from quantlytic.store.control.signups import SqlSignUps
from quantlytic.store.control.subscribers import SqlSubscribers
from quantlytic.store.control.tasks import SqlTasks
from quantlytic.store.control.tokens import SqlTokens
from quantlytic.store.control.trials import SqlTrials
from quantlytic.store.control.wanted import SqlWanted


class Control:
    """A handle on the control store; open it with `open_control`. Threads and processes may share the database."""

    def __init__(self, target: Path | str) -> None:
        self._database = Database(target)
        self.runs: Runs = SqlRuns(self._database)
        self.trials: Trials = SqlTrials(self._database)
        self.instruments: Instruments = SqlInstruments(self._database)
        self.tokens: Tokens = SqlTokens(self._database)
        self.preferences: Preferences = SqlPreferences(self._database)
        self.subscribers: Subscribers = SqlSubscribers(self._database)
        self.messages: Messages = SqlMessages(self._database)
        self.sign_ups: SignUps = SqlSignUps(self._database)
        self.wanted: Wanted = SqlWanted(self._database)
        self.tasks: Tasks = SqlTasks(self._database)

    def close(self) -> None:
        self._database.close()

    def __enter__(self) -> Control:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
