"""What people may do here, whichever way they come: sign up, confirm, look, change, stop, test."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping, Sequence

from quantlytic.model.errors import InputError
from quantlytic.store.control.address import clean_address
from quantlytic.store.control.control import Control
from quantlytic.store.control.links import Links, Opened
from quantlytic.store.control.records import Addressee, Message, Subscriber, message_id_of
from quantlytic.web.alerts.choices import Choices, Offer
from quantlytic.web.alerts.limits import TokenBuckets

_GONE = "This subscription is gone: sign up once more."
_ENDED = "This link was used, and the subscription has been ended since: sign up once more."


class TooOften(InputError):
    """Asked for again too soon; `wait_s`: after how many seconds it will be granted."""

    def __init__(self, message: str, wait_s: float) -> None:
        super().__init__(message)
        self.wait_s = wait_s


class Desk:
    """Reads the links that people bring and does what those are for. Refusals are InputErrors of one sentence.

    What anybody can ask for without a link (`sign_up`, `ask_for_link`) only enters the wish, with the same work for every
    address: the clerk looks at it later, so that neither the answer nor its time tells who is known here.
    """

    def __init__(
        self,
        control: Control,
        links: Links,
        offer: Offer,
        *,
        channels: Mapping[str, str],
        wake: Callable[[], None],
        wake_clerk: Callable[[], None],
        on_new_instrument: Callable[[str], None],
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._control, self._links, self._offer, self._channels = control, links, offer, dict(channels)
        self._wake, self._wake_clerk, self._on_new_instrument, self._now_ns = (
            wake,
            wake_clerk,
            on_new_instrument,
            now_ns,
        )
        self._tests = TokenBuckets(3, 1200.0)

    # ---- without a link

    def sign_up(self, email: str, choices: Choices) -> None:
        address, settled = clean_address(email), self._offer.settle(choices)
        self._control.sign_ups.add("subscribe", address, settled.model_dump_json(), self._now_ns())
        self._wake_clerk()

    def ask_for_link(self, email: str) -> None:
        self._control.sign_ups.add("mine", clean_address(email), "", self._now_ns())
        self._wake_clerk()

    # ---- with one

    def see_pending(self, token: str) -> Addressee:
        """What the link of the first mail would confirm. Changes nothing: mail scanners follow links."""
        return self._confirmable(self._open(token, "confirm"))

    def confirm(self, token: str) -> Addressee:
        """Confirm; again is harmless."""
        before = self._confirmable(self._open(token, "confirm"))
        confirmed = self._control.subscribers.confirm(before.subscriber.subscriber_id, self._now_ns())
        if confirmed is None:
            raise InputError(_ENDED)
        self._want_new(before.subscription.instruments)
        return Addressee(confirmed, before.subscription)

    def see_unsubscribe(self, token: str) -> None:
        """Whether the link is good. Changes nothing."""
        self._open(token, "unsubscribe")

    def unsubscribe(self, token: str) -> None:
        """Stop. Again is harmless, also for who has been forgotten."""
        self._control.subscribers.unsubscribe(self._open(token, "unsubscribe").subscriber_id)

    def mine(self, token: str) -> Addressee:
        """Who the link belongs to, and what he chose."""
        return self._addressee(self._open(token, "mine").subscriber_id)

    def change(self, token: str, choices: Choices) -> Addressee:
        """Other choices from now on."""
        who = self._active(token)
        settled = self._offer.settle(choices)
        self._control.subscribers.update(who.subscriber_id, **settled.quiet)
        self._control.subscribers.put_subscription(settled.subscription(who.subscriber_id))
        self._want_new(settled.instruments)
        return self._addressee(who.subscriber_id)

    def leave(self, token: str) -> None:
        """Stop, by the link to one's choices."""
        self._control.subscribers.unsubscribe(self.mine(token).subscriber.subscriber_id)

    def test_mine(self, token: str) -> None:
        """Queue a test message to oneself."""
        self._test(self._active(token).subscriber_id, "mail")

    def history_of_mine(self, token: str, limit: int) -> list[Message]:
        """What was sent to oneself, newest first."""
        return self._control.messages.history(self.mine(token).subscriber.subscriber_id, limit)

    # ---- for operators

    def operator_of(self, secret: str) -> str | None:
        """The name of the operator's token; None for nobody's."""
        return self._control.tokens.name_of(secret)

    def test(self, recipient: str) -> None:
        """Queue a test message to a subscriber (by address or id) or to a channel (by name)."""
        if recipient in self._channels:
            self._test(recipient, self._channels[recipient])
            return
        found = self._find(recipient)
        if found is None or found.status != "confirmed":
            raise InputError("there is no confirmed subscriber and no channel of that name")
        self._test(found.subscriber_id, "mail")

    def history(self, recipient: str | None, limit: int) -> list[Message]:
        """What was sent to a subscriber (by address or id), a channel (by name) or all, newest first."""
        found = None if recipient is None else self._find(recipient)
        return self._control.messages.history(found.subscriber_id if found else recipient, limit)

    def troubles(self, instruments: Sequence[str]) -> list[str]:
        """Of those instruments that are not tracked: what is the matter with each, in a sentence."""
        asked = {one.instrument: one for one in self._control.wanted.list(is_done=None)}
        new = [asked[name] for name in self._offer.new_instruments(instruments) if name in asked]
        waiting = "its history is being fetched; alerts begin when it is there"
        return [f"{one.instrument}: {one.error or waiting}" for one in new]

    # ---- details

    def _open(self, token: str, purpose: str) -> Opened:
        return self._links.open(token, purpose, self._now_ns())

    def _addressee(self, subscriber_id: str) -> Addressee:
        who = self._control.subscribers.get(subscriber_id)
        what = self._control.subscribers.subscription_of(subscriber_id)
        if who is None or what is None:
            raise InputError(_GONE)
        return Addressee(who, what)

    def _confirmable(self, opened: Opened) -> Addressee:
        found = self._addressee(opened.subscriber_id)
        is_older = opened.issued_ns + 1_000_000_000 <= found.subscriber.created_ns  # of an earlier subscription
        if found.subscriber.status not in ("pending", "confirmed") or is_older:
            raise InputError(_ENDED)
        return found

    def _active(self, token: str) -> Subscriber:
        who = self.mine(token).subscriber
        if who.status != "confirmed":
            raise InputError(_ENDED)
        return who

    def _find(self, recipient: str) -> Subscriber | None:
        if not recipient.isprintable():
            raise InputError("that is no recipient's name")
        if "@" in recipient:
            return self._control.subscribers.by_email(clean_address(recipient))
        return self._control.subscribers.get(recipient)

    def _want_new(self, instruments: Sequence[str]) -> None:
        for name in self._offer.new_instruments(instruments):
            if self._control.wanted.add(name, self._now_ns()):
                self._on_new_instrument(name)

    def _test(self, recipient: str, channel: str) -> None:
        wait_s = self._tests.take(recipient)
        if wait_s:
            raise TooOften("enough test messages for now: try again later", wait_s)
        cause = f"test {secrets.token_hex(8)}"
        now_ns = self._now_ns()
        message = Message(
            message_id=message_id_of(cause, recipient, "test"), recipient=recipient, channel=channel, kind="test",
            cause=cause, subject="Test message", payload=b"", created_ns=now_ns, not_before_ns=now_ns,
        )  # fmt: skip
        self._control.messages.put([message])
        self._wake()
