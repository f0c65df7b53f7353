"""The courier: one channel's messages, from the queue into the world, each once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec

from quantlytic.model.delivery import Delivery
from quantlytic.model.errors import InputError, StoreError
from quantlytic.model.time import NS_PER_S
from quantlytic.store.control.control import Control
from quantlytic.store.control.links import Links
from quantlytic.store.control.records import HELD, DigestNotice, LinkNotice, Message, Subscriber, message_id_of
from quantlytic.store.log.port import Log
from quantlytic.telling.channels import Channel, DeliveryFailed
from quantlytic.telling.digest import digest_letter
from quantlytic.telling.letter import Letter, pack, unpack
from quantlytic.telling.mail import Envelope
from quantlytic.telling.manners import (
    FLOODS,
    HOUR_NS,
    LONGEST_PAUSE_NS,
    LONGEST_RETRY_NS,
    limited_with,
    quiet_until_ns,
    retry_ns,
)
from quantlytic.telling.words import check_letter, held_letter, link_letter

GIVE_UP_NS = 72 * HOUR_NS
"""What could not be handed over for so long is not tried any more."""
HANDED_OVER = "handed over, and not on the tape yet"
"""The last error of a message that is not to be sent again."""
BATCH = 20
LINK_KINDS = ("confirm", "mine")
_STUCK_EVERY_NS = NS_PER_S


@dataclass(frozen=True)
class Operator:
    """A recipient from the settings: told of these kinds without asking. `address`: for mail channels. `kinds` may hold "*"."""

    name: str
    channel: str
    address: str = ""
    kinds: tuple[str, ...] = ("*",)
    near_bps: float = 25.0

    def wants(self, kind: str) -> bool:
        return "*" in self.kinds or kind in self.kinds


class Bell:
    """Tells couriers in the same process that there is something to carry; those in others look by themselves."""

    def __init__(self) -> None:
        self._listeners: list[threading.Event] = []

    def listen(self) -> threading.Event:
        """An event that is set at each ring; whoever waits clears it."""
        self._listeners.append(threading.Event())
        return self._listeners[-1]

    def ring(self) -> None:
        for listener in self._listeners:
            listener.set()


class _Last(msgspec.Struct, array_like=True):
    """The newest delivery on the tape: what is there need not be sent again."""

    message_id: str
    status: str
    detail: str
    time_ns: int


_LAST = msgspec.msgpack.Decoder(_Last)
_DIGEST = msgspec.json.Decoder(DigestNotice)
_LINK = msgspec.json.Decoder(LinkNotice)


class Courier:
    """Delivers the messages of one channel, oldest first, and puts a `Delivery` on the tape for each that has ended.

    The order of things is what makes it once. Claimed in the control store just before the channel's last step; handed over;
    then the `Delivery` on the tape, which counts; then marked as sent. A courier that finds its newest `Delivery` not marked
    marks it. One that finds a claim without a `Delivery`, which has expired, cannot know, and sends it again under the same id,
    with the number of the attempt in it. A second courier of the same name fences the first.

    What waits does so by itself: a message that is refused for a while is tried after 1, 2, 4 ... s, up to two hours; a server
    that cannot be reached pauses the channel for 1 to 60 s. Kinds that are not urgent wait for the end of a subscriber's quiet
    hours, all but halts and releases for the hour's limit of `per_hour` to a recipient, operators included: one limit for
    signals, look-ahead and fills, another for news of trouble, which goes first. That it is reached is told once an hour.
    """

    def __init__(
        self, log: Log, control: Control, queue: str, channel: Channel, *, sender: str,
        operators: Mapping[str, Operator] | None = None, links: Links | None = None, per_hour: int = 60,
        bell: Bell | None = None, longest_retry_ns: int = LONGEST_RETRY_NS, longest_pause_ns: int = LONGEST_PAUSE_NS,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:  # fmt: skip
        """`queue`: the messages' channel that it works off ("mail"); `channel`: by which way. `links` signs the links with which
        a subscriber stops the mails."""
        self.name = f"courier.{queue}"
        self.last_failure = ""
        self.repeats = 0
        """Messages sent again of which nobody knows whether they had arrived."""
        self._control, self._queue, self._channel, self._sender = control, queue, channel, sender
        self._operators, self._links, self._per_hour, self._clock_ns = dict(operators or {}), links, per_hour, clock_ns
        self._bell = (bell or Bell()).listen()
        self._longest_ns = longest_retry_ns, longest_pause_ns
        self._failures: dict[str, int] = {}
        self._over: dict[str, tuple[int, tuple[str, ...]]] = {}  # recipient -> until when what of these kinds waits
        self._pauses, self._paused_until_ns, self._stuck_due_ns = 0, 0, 0
        self._writer = log.writer(self.name)
        self._take_over()

    # ---- the service

    def pump(self) -> int:
        """Deliver what is due, at most a batch of it; returns how many messages have ended."""
        now_ns = self._clock_ns()
        if now_ns < self._paused_until_ns:
            return 0
        ended = 0
        for message in self._due(now_ns):
            ended += self._carry(message)
            if self._clock_ns() < self._paused_until_ns:
                break
        self._tell_over()
        return ended

    def wait(self, timeout_s: float) -> None:
        self._bell.wait(timeout_s)
        self._bell.clear()

    def close(self) -> None:
        self._channel.close()
        self._writer.close()

    # ---- one message

    def _due(self, now_ns: int) -> list[Message]:
        messages = self._control.messages
        found: list[Message] = []
        if now_ns >= self._stuck_due_ns:
            self._stuck_due_ns = now_ns + _STUCK_EVERY_NS
            found = [one for one in messages.stuck(now_ns) if one.channel == self._queue]
            self.repeats += len(found)
        return found + messages.due(now_ns, BATCH, self._queue, last=FLOODS)

    def _carry(self, message: Message) -> bool:
        """True when the message has ended: it was sent, or never will be."""
        now_ns, messages = self._clock_ns(), self._control.messages
        try:
            letter = letter_of(message)
            subscriber, envelope = self._envelope(message, letter)
        except (StoreError, InputError) as error:
            return self._end(message, None, message.recipient, "failed", str(error))
        if message.last_error == HANDED_OVER:
            return self._end(message, letter, envelope.recipient if envelope else message.recipient, "sent", "")
        if envelope is None:
            return messages.dropped(message.message_id, now_ns, "the recipient is no longer told")
        if letter.expires_ns and now_ns >= letter.expires_ns:
            return messages.dropped(message.message_id, now_ns, "too late: it was of no use any more")
        hold = self._hold(message, letter, subscriber, now_ns)
        if hold is not None:
            messages.retry(message.message_id, *hold)
            return False
        return self._hand_over(message, letter, envelope)

    def _hand_over(self, message: Message, letter: Letter, envelope: Envelope) -> bool:
        def claim() -> bool:
            return self._control.messages.sending(message.message_id, self._clock_ns())

        try:
            if not self._channel.deliver(letter, envelope, claim):
                return False
        except DeliveryFailed as failure:
            return self._failed(message, letter, envelope, failure)
        except InputError as error:
            return self._end(message, letter, envelope.recipient, "failed", str(error))
        except StoreError:
            raise
        except Exception as error:  # one message that nobody foresaw must not end the telling of all others
            return self._failed(message, letter, envelope, DeliveryFailed(f"{type(error).__name__}: {error}"[:200]))
        self._pauses, self.last_failure = 0, ""
        return self._end(message, letter, envelope.recipient, "sent", "")

    def _envelope(self, message: Message, letter: Letter) -> tuple[Subscriber | None, Envelope | None]:
        """To whom; None for somebody who is not to be told any more."""
        attempt = message.attempts + 1
        operator = self._operators.get(message.recipient)
        if operator is not None:
            address = operator.address or operator.name
            return None, Envelope(self._sender, address, message.message_id, attempt)
        subscriber = self._control.subscribers.get(message.recipient)
        told = ("pending", "confirmed") if letter.kind == "confirm" else ("confirmed",)
        if subscriber is None or (subscriber.status not in told):
            return subscriber, None
        stop = change = ""
        if self._links is not None and letter.kind not in LINK_KINDS:
            stop = self._links.url("unsubscribe", subscriber.subscriber_id, message.created_ns)
            change = self._links.url("mine", subscriber.subscriber_id, message.created_ns)
        return subscriber, Envelope(self._sender, subscriber.email, message.message_id, attempt, stop, change)

    def _hold(
        self, message: Message, letter: Letter, subscriber: Subscriber | None, now_ns: int
    ) -> tuple[int, str] | None:
        """(when to try it again, why); None for now."""
        if letter.is_unlimited or letter.kind in (*LINK_KINDS, "test"):
            return None
        if subscriber is not None and not letter.is_urgent:
            quiet_ns = quiet_until_ns(subscriber, now_ns)
            if quiet_ns is not None:
                return quiet_ns, "quiet hours"
        kinds = limited_with(letter.kind)
        if not kinds:
            return None
        times = self._control.messages.sent_since(message.recipient, now_ns - HOUR_NS, self._per_hour, kinds)
        if len(times) < self._per_hour:
            return None
        until_ns = times[-1] + HOUR_NS + 1
        self._over[message.recipient] = until_ns, kinds
        return until_ns, f"{HELD}: more than {self._per_hour} within the hour"

    def _tell_over(self) -> None:
        """Once an hour: that the limit is reached, and how many wait."""
        now_ns, messages = self._clock_ns(), self._control.messages
        for recipient, (until_ns, kinds) in self._over.items():
            if messages.sent_since(recipient, now_ns - HOUR_NS, 1, ("held",)):
                continue
            letter = held_letter(messages.held().get(recipient, 0), self._per_hour, kinds, until_ns, now_ns)
            cause = f"{self.name}/{now_ns // HOUR_NS}"
            told = Message(
                message_id=message_id_of(cause, recipient, letter.kind), recipient=recipient, channel=self._queue,
                kind=letter.kind, cause=cause, subject=letter.subject, payload=pack(letter), created_ns=now_ns,
            )  # fmt: skip
            messages.put([told])
        self._over.clear()

    def _failed(self, message: Message, letter: Letter, envelope: Envelope, failure: DeliveryFailed) -> bool:
        now_ns, reason = self._clock_ns(), str(failure)
        self.last_failure = reason
        if failure.permanent:
            self._control.subscribers.suppress(message.recipient)
            return self._end(message, letter, envelope.recipient, "failed", reason)
        if now_ns - message.created_ns > GIVE_UP_NS:
            return self._end(message, letter, envelope.recipient, "failed", f"given up: {reason}")
        self.repeats += failure.may_have_arrived
        failures = self._failures[message.message_id] = self._failures.get(message.message_id, 0) + 1
        pause_ns = retry_ns(failures, self._longest_ns[0])
        if failure.is_channels:  # it is not the message's fault: it stays the first in line
            self._pauses += 1
            pause_ns = retry_ns(self._pauses, self._longest_ns[1])
            self._paused_until_ns = now_ns + pause_ns
        said = f"{reason}; it may have arrived" if failure.may_have_arrived else reason
        self._control.messages.retry(message.message_id, now_ns + pause_ns, said)
        return False

    def _end(self, message: Message, letter: Letter | None, recipient: str, status: str, detail: str) -> bool:
        """On the tape first: what is there is never sent again, whatever becomes of the rest."""
        now_ns = self._clock_ns()
        last = _Last(message.message_id, status, detail, now_ns)
        delivery = Delivery(
            letter.run if letter else "", message.message_id, self._channel.name, recipient,
            letter.event_time if letter else message.created_ns, message.subject, status, detail,
        )  # fmt: skip
        try:
            self._writer.commit({"deliveries": [delivery]}, snapshot=msgspec.msgpack.encode(last))
        except StoreError:  # fenced, or a full disk: whoever goes on has only to put it on the tape
            if status == "sent":
                self._control.messages.retry(message.message_id, now_ns, HANDED_OVER)
            raise
        self._mark(last)
        self._failures.pop(message.message_id, None)
        return True

    def _take_over(self) -> None:
        """The courier before this one may have died between the tape and the control store."""
        if self._writer.snapshot is not None:
            self._mark(_LAST.decode(self._writer.snapshot))

    def _mark(self, last: _Last) -> None:
        messages = self._control.messages
        if last.status == "sent":
            messages.sent(last.message_id, last.time_ns)
        else:
            messages.failed(last.message_id, last.time_ns, last.detail)


def letter_of(message: Message) -> Letter:
    """What a message says. Raises StoreError when it cannot be read."""
    if message.kind == "test":
        return check_letter(message.created_ns)
    try:
        if message.kind == "digest":
            return digest_letter(_DIGEST.decode(message.payload))
        if message.kind in LINK_KINDS:
            notice = _LINK.decode(message.payload)
            return link_letter(message.kind, notice.url, notice.expires_ns, message.created_ns, notice.notes)
    except msgspec.DecodeError as error:
        raise StoreError(f"a message's content cannot be read: {error}") from None
    return unpack(message.payload)
