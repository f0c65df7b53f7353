"""The courier: what is due goes out once; what cannot go out waits as long as it should, and holds up nobody else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from tests.telling.letters import DIGEST, T0, of_each_kind
from tests.telling.paperday import events

from quantlytic.model.delivery import Delivery
from quantlytic.model.errors import Fenced
from quantlytic.store.control import open_control
from quantlytic.store.control.control import Control
from quantlytic.store.control.links import Links
from quantlytic.store.control.records import LinkNotice, Message, Subscriber, message_id_of
from quantlytic.store.log import open_log
from quantlytic.store.log.port import Log
from quantlytic.telling.channels import Claim, DeliveryFailed
from quantlytic.telling.delivery import Bell, Courier, Operator
from quantlytic.telling.letter import Letter, pack
from quantlytic.telling.mail import Envelope

S = 1_000_000_000
HOUR = 3_600 * S
BOSS = Operator("boss", "mail", "boss@localhost")
LINKS = Links(b"s" * 32, "https://alerts.example.com")


class Fake:
    """A channel that fails as told, before or after the claim."""

    name = "fake"

    def __init__(self) -> None:
        self.failures: list[DeliveryFailed | str] = []
        self.taken: list[tuple[str, Envelope]] = []
        self.is_closed = False

    def deliver(self, letter: Letter, envelope: Envelope, claim: Claim) -> bool:
        failure = self.failures.pop(0) if self.failures else None
        if isinstance(failure, DeliveryFailed) and not failure.may_have_arrived:
            raise failure
        if not claim():
            return False
        if failure == "die":
            raise KeyboardInterrupt
        self.taken.append((letter.subject, envelope))
        if failure is not None:
            assert isinstance(failure, DeliveryFailed)
            raise failure
        return True

    def close(self) -> None:
        self.is_closed = True


class Post:
    """A courier with all around it, and a clock that is turned by hand."""

    def __init__(self, folder: Path) -> None:
        self.log: Log = open_log("sqlite", folder=folder / "log")
        self.control: Control = open_control(folder)
        self.now_ns, self.channel, self.bell = T0, Fake(), Bell()
        self.courier = self.new_courier()
        self._count = 0

    def new_courier(self) -> Courier:
        return Courier(
            self.log, self.control, "mail", self.channel, sender="q@localhost", operators={"boss": BOSS}, links=LINKS,
            per_hour=5, bell=self.bell, clock_ns=lambda: self.now_ns,
        )  # fmt: skip

    def subscriber(self, zone: str = "UTC", start: int = 0, end: int = 0, email: str = "ann@example.com") -> Subscriber:
        made = self.control.subscribers.add(email, T0, time_zone=zone, quiet_start_min=start, quiet_end_min=end)
        found = self.control.subscribers.confirm(made.subscriber_id, T0)
        assert found is not None
        return found

    def queue(self, kind: str = "signal", recipient: str = "boss", **changes: object) -> str:
        self._count += 1
        letter = msgspec.structs.replace(of_each_kind()[kind], **changes)
        cause = f"cause {self._count}"
        message_id = message_id_of(cause, recipient, letter.kind)
        self.control.messages.put([
            Message(
                message_id=message_id, recipient=recipient, channel="mail", kind=letter.kind, cause=cause,
                subject=letter.subject, payload=pack(letter), created_ns=self.now_ns,
            )
        ])  # fmt: skip
        return message_id

    def state(self, message_id: str) -> Message:
        return next(one for one in self.control.messages.history(None, 1000) if one.message_id == message_id)

    def deliveries(self) -> list[Delivery]:
        return events(self.log, "deliveries", Delivery)


@pytest.fixture
def post(tmp_path: Path) -> Iterator[Post]:
    made = Post(tmp_path)
    yield made
    made.control.close()
    made.log.close()


def test_each_message_once_oldest_first_and_on_the_tape(post: Post) -> None:
    ids = [post.queue() for _ in range(3)]
    assert post.courier.pump() == 3
    assert post.courier.pump() == 0
    assert [envelope.message_id for _, envelope in post.channel.taken] == ids
    assert [(one.message_id, one.status, one.channel, one.recipient) for one in post.deliveries()] == [
        (message_id, "sent", "fake", "boss@localhost") for message_id in ids
    ]
    assert post.deliveries()[0].run == "paper-1"
    assert [post.state(one).state for one in ids] == ["sent"] * 3


def test_a_subscriber_gets_links_to_stop_and_change(post: Post) -> None:
    ann = post.subscriber()
    post.queue(recipient=ann.subscriber_id)
    post.courier.pump()
    ((_, envelope),) = post.channel.taken
    assert envelope.recipient == "ann@example.com"
    token = envelope.unsubscribe_url.partition("token=")[2]
    assert LINKS.open(token, "unsubscribe", T0).subscriber_id == ann.subscriber_id
    assert "/mine?token=" in envelope.preferences_url


def test_what_fails_is_tried_again_after_pauses_that_double(post: Post) -> None:
    message_id = post.queue()
    post.channel.failures = [DeliveryFailed("greylisted")] * 3
    for pause in (1, 2, 4):
        assert post.courier.pump() == 0
        post.now_ns += pause * S - 1
        assert post.courier.pump() == 0
        assert post.state(message_id).last_error == "greylisted"
        post.now_ns += 1
    assert post.courier.pump() == 1
    assert [envelope.attempt for _, envelope in post.channel.taken] == [1], "nothing had been claimed before"


def test_a_channel_that_is_down_pauses_as_a_whole(post: Post) -> None:
    ids = [post.queue() for _ in range(3)]
    pauses = [1, 2, 4, 8, 16, 32, 60, 60]
    post.channel.failures = [DeliveryFailed("nobody there", is_channels=True) for _ in pauses]
    for count, pause in enumerate(pauses, 1):
        assert post.courier.pump() == 0
        assert len(post.channel.failures) == len(pauses) - count, "one question a pause, whatever waits"
        post.now_ns += pause * S - 1
        assert post.courier.pump() == 0
        post.now_ns += 1
    post.courier.pump()
    post.now_ns += 60 * S
    post.courier.pump()
    assert sorted(envelope.message_id for _, envelope in post.channel.taken) == sorted(ids)
    assert len(post.deliveries()) == 3


def test_an_hour_of_500_loses_nothing_and_asks_seldom(post: Post) -> None:
    message_id, asked = post.queue(), 0
    while post.now_ns < T0 + HOUR:
        post.channel.failures = [DeliveryFailed("the webhook says 500")]
        post.courier.pump()
        asked += not post.channel.failures
        post.now_ns = post.state(message_id).not_before_ns
    assert 8 < asked < 16
    post.channel.failures = []
    assert post.courier.pump() == 1
    assert post.state(message_id).state == "sent"


def test_what_is_refused_for_good_has_failed_and_the_address_is_not_used_again(post: Post) -> None:
    ann = post.subscriber()
    first, second = post.queue(recipient=ann.subscriber_id), post.queue(recipient=ann.subscriber_id)
    post.channel.failures = [DeliveryFailed("no such user (550)", permanent=True)]
    post.courier.pump()
    assert [(one.message_id, one.status, one.detail) for one in post.deliveries()] == [
        (first, "failed", "no such user (550)")
    ]
    assert post.state(second).state == "dropped"
    found = post.control.subscribers.get(ann.subscriber_id)
    assert found is not None
    assert found.status == "suppressed"


def test_after_three_days_it_is_given_up(post: Post) -> None:
    message_id = post.queue()
    post.now_ns += 73 * HOUR
    post.channel.failures = [DeliveryFailed("mailbox full")]
    assert post.courier.pump() == 1
    assert post.state(message_id).last_error == "given up: mailbox full"
    assert post.deliveries()[0].status == "failed"


def test_an_answer_that_never_came_is_a_repeat_that_says_so(post: Post) -> None:
    message_id = post.queue()
    post.channel.failures = [DeliveryFailed("took too long", may_have_arrived=True)]
    assert post.courier.pump() == 0
    assert post.state(message_id).last_error == "took too long; it may have arrived"
    assert post.courier.repeats == 1
    post.now_ns += S
    assert post.courier.pump() == 1
    assert [(one.message_id, one.attempt) for _, one in post.channel.taken] == [(message_id, 1), (message_id, 2)]
    assert len(post.deliveries()) == 1


def test_dead_between_claim_and_answer_waits_for_the_lease_and_goes_again(post: Post) -> None:
    message_id = post.queue()
    post.channel.failures = ["die"]
    with pytest.raises(KeyboardInterrupt):
        post.courier.pump()
    again = post.new_courier()
    assert again.pump() == 0, "another may be at it just now"
    assert post.state(message_id).state == "sending"
    post.now_ns += 121 * S
    assert again.pump() == 1
    assert again.repeats == 1
    assert [(one.message_id, one.attempt) for _, one in post.channel.taken] == [(message_id, 2)]


def test_dead_between_the_tape_and_the_store_is_not_sent_again(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    message_id = post.queue()

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(post.control.messages, "sent", die)
    with pytest.raises(KeyboardInterrupt):
        post.courier.pump()
    monkeypatch.undo()
    assert post.state(message_id).state == "sending"
    again = post.new_courier()
    assert post.state(message_id).state == "sent"
    post.now_ns += 3 * HOUR
    assert again.pump() == 0
    assert len(post.channel.taken) == len(post.deliveries()) == 1


def test_a_second_courier_fences_the_first(post: Post) -> None:
    message_id = post.queue()
    second = post.new_courier()
    with pytest.raises(Fenced):
        post.courier.pump()
    assert len(post.channel.taken) == 1
    assert not post.deliveries()
    assert second.pump() == 1, "it went out, and only the tape did not know"
    assert len(post.channel.taken) == len(post.deliveries()) == 1
    assert post.state(message_id).state == "sent"


def test_quiet_hours_hold_all_but_what_is_urgent(post: Post) -> None:
    """T0 is 2026-09-21 14:13:20 UTC: 16:13 in Berlin."""
    ann = post.subscriber("Europe/Berlin", 16 * 60, 8 * 60)
    held, urgent = post.queue(recipient=ann.subscriber_id), post.queue("halt", ann.subscriber_id)
    tried = post.queue("test", ann.subscriber_id)
    assert post.courier.pump() == 2
    assert {one.message_id for _, one in post.channel.taken} == {urgent, tried}
    assert post.state(held).last_error == "quiet hours"
    assert post.state(held).attempts == 0
    post.now_ns += 15 * HOUR
    assert post.courier.pump() == 0
    post.now_ns += HOUR
    assert post.courier.pump() == 1


def test_the_hours_limit_spares_halts_and_other_people(post: Post) -> None:
    ann, bob = post.subscriber(), post.subscriber(email="bob@example.com")
    for _ in range(8):
        post.queue(recipient=ann.subscriber_id)
    post.queue(recipient=bob.subscriber_id)
    post.queue("risk", ann.subscriber_id)
    post.queue("halt", ann.subscriber_id)
    assert post.courier.pump() == 8
    taken = [envelope.recipient for _, envelope in post.channel.taken]
    assert (taken.count("ann@example.com"), taken.count("bob@example.com")) == (7, 1)
    assert [subject.partition(" ")[0] for subject, _ in post.channel.taken[:2]] == ["REFUSED", "HALTED:"]
    post.now_ns += HOUR + S
    assert post.courier.pump() == 4


def test_the_hours_limit_holds_for_the_operator_too(post: Post) -> None:
    ids = [post.queue() for _ in range(8)]
    post.queue("halt")
    assert post.courier.pump() == 6
    assert post.channel.taken[0][0].startswith("HALTED")
    assert post.state(ids[-1]).last_error == "held back: more than 5 within the hour"
    assert post.control.messages.held() == {"boss": 3}
    post.now_ns += HOUR + S
    assert post.courier.pump() == 4, "none is lost"
    assert not post.control.messages.held()


def test_what_is_wrong_does_not_wait_behind_a_flood_of_signals(post: Post) -> None:
    for _ in range(300):
        post.queue()
    first = [post.queue("data"), post.queue("discrepancy")]
    assert post.courier.pump() == 7, "two of trouble, five signals"
    assert {post.state(one).state for one in first} == {"sent"}
    assert [one.startswith("BUY") for one, _ in post.channel.taken] == [False] * 2 + [True] * 5
    more = [post.queue("data") for _ in range(5)]
    post.courier.pump()
    assert [post.state(one).state for one in more] == ["sent"] * 3 + ["queued"] * 2, "its own limit is the same"


def test_that_the_limit_is_reached_is_told_once_an_hour(post: Post) -> None:
    for _ in range(12):
        post.queue()
    for _ in range(4):
        post.courier.pump()
        post.now_ns += S
    told = [one for one, _ in post.channel.taken if one.startswith("HELD BACK")]
    assert len(told) == 1
    assert told[0].startswith("HELD BACK: 7 messages until 2026-"), told
    assert len(post.channel.taken) == 6
    post.now_ns += HOUR
    for _ in range(4):
        post.courier.pump()
    told = [one for one, _ in post.channel.taken if one.startswith("HELD BACK")]
    assert [one.partition(" until")[0] for one in told] == ["HELD BACK: 7 messages", "HELD BACK: 2 messages"]
    post.now_ns += HOUR + S
    post.courier.pump()
    assert not post.control.messages.held()


def test_look_ahead_that_is_over_is_not_sent(post: Post) -> None:
    message_id = post.queue("look-ahead")
    post.now_ns += 2 * HOUR
    post.courier.pump()
    assert post.state(message_id).state == "dropped"
    assert not post.channel.taken
    assert not post.deliveries()


def test_who_has_unsubscribed_is_told_nothing_more(post: Post) -> None:
    ann = post.subscriber()
    message_id = post.queue(recipient=ann.subscriber_id)
    post.control.subscribers.unsubscribe(ann.subscriber_id)
    late = post.queue(recipient=ann.subscriber_id)
    post.courier.pump()
    assert {post.state(message_id).state, post.state(late).state} == {"dropped"}
    assert not post.channel.taken


def test_links_to_confirm_reach_who_is_pending(post: Post) -> None:
    pending = post.control.subscribers.add(
        "new@example.com", T0, time_zone="UTC", quiet_start_min=0, quiet_end_min=1439
    )
    notice = LinkNotice("https://alerts.example.com/confirm?token=x", T0 + HOUR)
    for kind in ("confirm", "mine"):
        post.control.messages.put([
            Message(
                message_id=kind, recipient=pending.subscriber_id, channel="mail", kind=kind, cause=kind, subject="s",
                payload=msgspec.json.encode(notice), created_ns=T0,
            )
        ])  # fmt: skip
    post.courier.pump()
    ((subject, envelope),) = post.channel.taken
    assert subject == "Please confirm your alerts"
    assert not envelope.unsubscribe_url
    assert post.state("mine").state == "dropped"


def test_a_digest_is_composed_from_what_the_daily_run_left(post: Post) -> None:
    ann = post.subscriber()
    for kind, payload in (("digest", msgspec.json.encode(DIGEST)), ("test", b"")):
        message = Message(
            message_id=kind, recipient=ann.subscriber_id, channel="mail", kind=kind, cause=kind, subject="s", payload=payload,
            created_ns=T0,
        )  # fmt: skip
        post.control.messages.put([message])
    assert post.courier.pump() == 2
    assert [subject for subject, _ in post.channel.taken] == [
        "2026-11-20: 2 signals on 3 instruments", "Test of your alerts",
    ]  # fmt: skip


@pytest.mark.parametrize("payload", [b"", b"rubbish", b"x\x9cnonsense"])
def test_what_cannot_be_read_fails_in_one_line_and_the_next_goes_out(post: Post, payload: bytes) -> None:
    broken = Message(
        message_id="b" * 64, recipient="boss", channel="mail", kind="signal", cause="c", subject="s", payload=payload,
        created_ns=T0,
    )  # fmt: skip
    post.control.messages.put([broken])
    good = post.queue()
    assert post.courier.pump() == 2
    assert "cannot be read" in post.state("b" * 64).last_error
    assert post.state(good).state == "sent"


def test_what_nobody_foresaw_is_tried_again_and_stops_nobody(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = post.queue(), post.queue()
    deliver, broken = post.channel.deliver, [True]

    def fail_once(letter: Letter, envelope: Envelope, claim: Claim) -> bool:
        if broken.pop() if broken else False:
            raise ZeroDivisionError("in some library")
        return deliver(letter, envelope, claim)

    monkeypatch.setattr(post.channel, "deliver", fail_once)
    assert post.courier.pump() == 1
    assert post.state(first).last_error == "ZeroDivisionError: in some library"
    post.now_ns += S
    assert post.courier.pump() == 1
    assert [envelope.message_id for _, envelope in post.channel.taken] == [second, first]


def test_the_bell_wakes_the_courier(post: Post) -> None:
    post.bell.ring()
    post.courier.wait(30.0)
    assert post.now_ns == T0


def test_it_closes_its_channel(post: Post) -> None:
    post.courier.close()
    assert post.channel.is_closed
