"""The control store's repositories, as their users see them. `Control` has one of each."""

from __future__ import annotations

import builtins
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from quantlytic.model.instrument import Instrument
from quantlytic.model.run import Run
from quantlytic.store.control.records import (
    Addressee,
    Message,
    RunRecord,
    SignUp,
    Subscriber,
    Subscription,
    TaskRecord,
    Trial,
    WantedInstrument,
)


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


class Subscribers(Protocol):
    """Who is told, and about what. Addresses are as `clean_address` gives them."""

    def add(
        self,
        email: str,
        now_ns: int,
        *,
        time_zone: str,
        quiet_start_min: int,
        quiet_end_min: int,
        chosen: Subscription | None = None,
    ) -> Subscriber:
        """Enter somebody as pending, with what he chose (its subscriber_id does not count). One that is pending gets the new
        settings, one that is unsubscribed is pending anew; one that is confirmed or suppressed stays as it is."""

    def confirm(self, subscriber_id: str, now_ns: int) -> Subscriber | None:
        """Pending becomes confirmed; confirmed stays so. None for anybody else: unknown, unsubscribed, suppressed."""

    def unsubscribe(self, subscriber_id: str) -> bool:
        """Stop at once: what was queued is dropped. Twice is as good as once; False for an unknown one."""

    def suppress(self, subscriber_id: str) -> bool:
        """As `unsubscribe`, for an address that its mail server refuses for good: it cannot sign up again."""

    def erase(self, subscriber_id: str) -> bool:
        """Forget him, what he chose, and every message to him. False for an unknown one."""

    def forget_pending(self, before_ns: int) -> int:
        """Erase those who have not confirmed, and were sent nothing at or after that time; returns how many."""

    def get(self, subscriber_id: str) -> Subscriber | None: ...
    def by_email(self, email: str) -> Subscriber | None: ...
    def list(self, status: str | None = None) -> list[Subscriber]:
        """Of that status (or any), oldest first."""

    def update(self, subscriber_id: str, *, time_zone: str, quiet_start_min: int, quiet_end_min: int) -> None: ...
    def subscription_of(self, subscriber_id: str) -> Subscription | None: ...
    def put_subscription(self, subscription: Subscription) -> None:
        """Enter what a subscriber chose, instead of what he chose before."""

    def for_event(
        self, kind: str, instrument: str = "", strategy: str = "", *, is_recommended: bool = False
    ) -> builtins.list[Addressee]:
        """The confirmed subscribers whose choices cover it (`Subscription.wants`), oldest first."""


class Messages(Protocol):
    """What is to be told, and whether it was: the queue and the history in one."""

    def put(self, messages: Sequence[Message], reader: str = "", positions: Mapping[str, int] | None = None) -> int:
        """Queue those whose id is new and move the reader's positions, in one transaction; returns how many were new."""

    def positions(self, reader: str) -> dict[str, int]:
        """Stream -> next offset to read, as last put under that name."""

    def due(self, now_ns: int, limit: int, channel: str | None = None, last: Sequence[str] = ()) -> list[Message]:
        """Queued and not to be held back any longer, oldest first; those of the kinds `last` after all others."""

    def sending(self, message_id: str, now_ns: int) -> bool:
        """Claim a queued message, or one whose claim has expired (`lease_ns`), and count the attempt. False: another has it."""

    def sent(self, message_id: str, now_ns: int) -> bool:
        """It was handed over. True when this call has ended it, False when it had ended before."""

    def retry(self, message_id: str, not_before_ns: int, error: str) -> None:
        """Queue it again, for later. One that has ended stays so."""

    def failed(self, message_id: str, now_ns: int, error: str) -> bool:
        """It is refused for good. As `sent`."""

    def dropped(self, message_id: str, now_ns: int, reason: str) -> bool:
        """It is not wanted any more. As `sent`."""

    def stuck(self, now_ns: int | None = None) -> list[Message]:
        """Claimed and not ended: after a crash nobody knows whether they were sent. With a time: whose claim has expired."""

    def history(self, recipient: str | None, limit: int) -> list[Message]:
        """Newest first, of one recipient or of all."""

    def sent_since(self, recipient: str, since_ns: int, limit: int, kinds: Sequence[str] = ()) -> list[int]:
        """When messages (of these kinds; (): of any) were sent to him at or after that time, ns UTC: the newest `limit`, newest
        first."""

    def held(self) -> dict[str, int]:
        """How many wait because of the hour's limit (their `last_error` begins with `HELD`), by recipient."""

    def trim(self, before_ns: int) -> int:
        """Forget the payload of messages that ended before that time (their history stays); returns of how many."""


class SignUps(Protocol):
    """What strangers asked for, in order, until it was worked off. To enter one takes the same time for every address."""

    def add(self, kind: str, email: str, asked: str, time_ns: int) -> None: ...
    def waiting(self, limit: int) -> list[SignUp]: ...
    def done(self, number: int) -> None: ...


class Wanted(Protocol):
    """Instruments asked for that are not tracked yet."""

    def add(self, instrument: str, now_ns: int) -> bool:
        """True when it was not there; one that could not be had is to be tried again."""

    def list(self, *, is_done: bool | None = False) -> list[WantedInstrument]:
        """Still to do (or done, or both with None), in the order they were asked for."""

    def done(self, instrument: str, now_ns: int, error: str = "") -> None:
        """It is tracked now, or cannot be, for that reason."""


class Tasks(Protocol):
    """The daily run's tasks, by day ("2026-11-20") and name."""

    def get(self, day: str, task: str) -> TaskRecord | None: ...
    def list(self, day: str) -> list[TaskRecord]:
        """Of one day, in the order in which they were begun."""

    def begin(self, day: str, task: str, now_ns: int) -> TaskRecord:
        """Enter it as running, once more if it failed or was killed. One that is done stays done, and is returned so."""

    def done(self, day: str, task: str, now_ns: int, summary: dict[str, Any]) -> None: ...
    def failed(self, day: str, task: str, now_ns: int, error: str) -> None:
        """To be begun again. One that is done stays so."""

    def forget(self, day: str) -> None:
        """As if none of the day's had ever been begun."""

    def last_day(self, task: str, until: str = "9999-12-31") -> str | None:
        """The latest day up to `until` on which it is done; None for none."""
