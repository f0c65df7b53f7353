"""Looks at what strangers asked for, after they have had their answer."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence

import msgspec

from quantlytic.model.errors import StoreError
from quantlytic.model.time import NS_PER_S
from quantlytic.store.control.address import ALLOW, clean_rule, is_allowed
from quantlytic.store.control.control import Control
from quantlytic.store.control.links import LIFETIME_S, Links
from quantlytic.store.control.records import LinkNotice, Message, SignUp, Subscriber, message_id_of
from quantlytic.web.alerts.choices import Choices, notes_of
from quantlytic.web.alerts.limits import TokenBuckets

_SUBJECTS = {"confirm": "Confirm your alerts", "mine": "Your alerts: see and change them"}
_AT_ONCE = 50
_LOOK_EVERY_S = 5.0
_TIDY_EVERY_S = 3600.0
FORGET_AFTER_NS = 7 * 86400 * NS_PER_S
"""Who has not confirmed by then is forgotten: strangers enter addresses that are not theirs."""
_log = logging.getLogger(__name__)


class Clerk:
    """Works off the sign-ups in order, in a thread from `start` to `stop`, or step by step with `work`.

    Each is done in steps that may be repeated: after a crash it is worked off once more, and its mail has the same id.
    An address gets at most three of these mails at once, and then one every twenty minutes; all of them together get
    `burst`, and then one every five seconds: the rest wait, so that nobody can have us flood the world with mails.
    """

    def __init__(
        self, control: Control, links: Links, rules: Sequence[str], wake: Callable[[], None], burst: int = 300
    ) -> None:
        self._control, self._links, self._wake = control, links, wake
        self._rules = [clean_rule(rule) for rule in rules]
        self._mails, self._all_mails = TokenBuckets(3, 1200.0), TokenBuckets(burst, 5.0)
        self._rung, self._stopping = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    def ring(self) -> None:
        """There is something to do."""
        self._rung.set()

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="alerts-clerk", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends after what is in hand. Twice is as good as once."""
        self._stopping.set()
        self._rung.set()
        if self._thread is not None:
            self._thread.join(timeout=30)

    def work(self) -> int:
        """Work off what is waiting now, as far as mails may be sent; returns how many."""
        waiting = self._control.sign_ups.waiting(_AT_ONCE)
        for number, one in enumerate(waiting):
            known = self._control.subscribers.by_email(one.email)
            is_due = self._is_due(one, known) and self._mails.would_grant(one.email)
            if is_due and self._all_mails.take(""):  # who gets no mail uses up none of the others'
                return number
            message = self._answer_to(one, known) if is_due else None
            if message is not None and self._control.messages.put([message]):
                self._wake()
            self._control.sign_ups.done(one.number)
        return len(waiting)

    def tidy(self, now_ns: int) -> int:
        """Forget who has not confirmed in time; returns how many."""
        return self._control.subscribers.forget_pending(now_ns - FORGET_AFTER_NS)

    def _run(self) -> None:
        tidy_at_s = time.monotonic()
        while not self._stopping.is_set():
            self._rung.clear()
            try:
                if time.monotonic() >= tidy_at_s:
                    self.tidy(time.time_ns())
                    tidy_at_s = time.monotonic() + _TIDY_EVERY_S
                if self.work():
                    continue
            except StoreError as error:  # it stays in the store, and is looked at again
                _log.warning("sign-ups wait: %s", error)
            self._rung.wait(_LOOK_EVERY_S)

    def _is_due(self, one: SignUp, known: Subscriber | None) -> bool:
        """Whether a mail is the answer: to whom is subscribed always, to others if they sign up and may."""
        if known is not None and known.status in ("confirmed", "suppressed"):
            return known.status == "confirmed"
        return one.kind == "subscribe" and is_allowed(one.email, self._all_rules())

    def _answer_to(self, one: SignUp, known: Subscriber | None) -> Message:
        """The mail. Who has subscribed keeps what he chose, whatever strangers enter for him."""
        self._mails.take(one.email)
        if known is not None and known.status == "confirmed":
            return self._link("mine", known, one)
        choices = Choices.model_validate_json(one.asked)
        chosen = choices.subscription(known.subscriber_id if known else "")
        who = self._control.subscribers.add(one.email, one.time_ns, chosen=chosen, **choices.quiet)
        return self._link("confirm", who, one, notes_of(choices))

    def _link(self, kind: str, who: Subscriber, one: SignUp, notes: Sequence[str] = ()) -> Message:
        notice = LinkNotice(
            self._links.url(kind, who.subscriber_id, one.time_ns),
            one.time_ns + LIFETIME_S[kind] * NS_PER_S,
            tuple(notes),
        )
        cause = f"sign-up {one.number} {one.time_ns}"
        return Message(
            message_id=message_id_of(cause, who.subscriber_id, kind), recipient=who.subscriber_id, channel="mail",
            kind=kind, cause=cause, subject=_SUBJECTS[kind], payload=msgspec.json.encode(notice), created_ns=one.time_ns,
            not_before_ns=one.time_ns,
        )  # fmt: skip

    def _all_rules(self) -> list[str]:
        return [*self._rules, *self._control.preferences.get(ALLOW, [])]
