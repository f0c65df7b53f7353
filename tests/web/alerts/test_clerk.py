"""The clerk: who gets which mail, who gets none, and that a crash changes neither."""

from __future__ import annotations

import time

import pytest
from tests.web.alerts.conftest import SECRET, Service, token_of

from quantlytic.model.errors import InputError, StoreError
from quantlytic.store.control.address import ALLOW
from quantlytic.store.control.links import LIFETIME_S
from quantlytic.store.control.records import Message
from quantlytic.web.alerts.choices import Choices
from quantlytic.web.alerts.clerk import FORGET_AFTER_NS, Clerk


def ask(service: Service, email: str = "ann@example.com", kind: str = "subscribe", **choices: object) -> list[Message]:
    asked = Choices.model_validate(choices).model_dump_json() if kind == "subscribe" else ""
    service.control.sign_ups.add(kind, email, asked, time.time_ns())
    return service.work()


def test_a_stranger_gets_a_link_to_confirm(service: Service) -> None:
    [message] = ask(service, kinds=["fill"], quiet_start="22:00")
    who = service.control.subscribers.by_email("ann@example.com")
    assert who is not None
    assert (who.status, who.quiet_start_min) == ("pending", 1320)
    assert (message.kind, message.channel, message.recipient, message.state) == (
        "confirm",
        "mail",
        who.subscriber_id,
        "queued",
    )
    opened = service.links.open(token_of(message), "confirm", time.time_ns())
    assert opened.subscriber_id == who.subscriber_id
    assert service.woken == 1
    assert service.control.sign_ups.waiting(9) == []
    assert service.control.subscribers.for_event("fill") == []  # not before it is confirmed


def test_who_is_subscribed_gets_his_link_and_keeps_his_choices(service: Service) -> None:
    who = service.subscribe(kinds=["risk"])
    [message] = ask(service, kinds=["fill"])
    assert message.kind == "mine"
    assert service.links.open(token_of(message), "mine", time.time_ns()).subscriber_id == who.subscriber_id
    kept = service.control.subscribers.subscription_of(who.subscriber_id)
    assert kept is not None
    assert kept.kinds == ("risk",)
    assert [one.kind for one in ask(service, kind="mine")] == ["mine"]


def test_strangers_ask_in_vain_for_links(service: Service) -> None:
    assert ask(service, kind="mine") == []
    ask(service)
    assert ask(service, kind="mine") == []  # pending
    assert service.status("bob@example.com") == "unknown"


def test_who_is_suppressed_gets_nothing(service: Service) -> None:
    who = service.subscribe()
    service.control.subscribers.suppress(who.subscriber_id)
    assert ask(service) == []
    assert ask(service, kind="mine") == []
    assert service.status() == "suppressed"


def test_who_left_may_come_back(service: Service) -> None:
    who = service.subscribe()
    service.control.subscribers.unsubscribe(who.subscriber_id)
    assert ask(service, kind="mine") == []
    assert [one.kind for one in ask(service)] == ["confirm"]


def test_only_whom_the_rules_allow(service: Service) -> None:
    service.clerk = Clerk(service.control, service.links, ["*@Corp.example"], lambda: None)
    assert ask(service, "ann@example.com") == []
    assert service.status() == "unknown"
    assert len(ask(service, "bob@corp.example")) == 1
    service.control.preferences.put(ALLOW, ["ann@example.com"])
    assert len(ask(service, "ann@example.com")) == 1
    service.clerk = Clerk(service.control, service.links, [], lambda: None)
    assert ask(service, "eve@corp.example") == []
    with pytest.raises(InputError, match="is no rule of who may sign up"):
        Clerk(service.control, service.links, ["corp.example"], lambda: None)


def test_an_address_is_not_flooded(service: Service) -> None:
    assert [len(ask(service)) for _ in range(6)] == [1, 1, 1, 0, 0, 0]
    assert len(ask(service, "bob@example.com")) == 1
    who = service.subscribe("eve@example.com")
    assert [len(ask(service, "eve@example.com", "mine")) for _ in range(4)] == [1, 1, 0, 0]
    assert who.status == "confirmed"


def test_the_world_is_not_flooded(service: Service) -> None:
    service.clerk = Clerk(service.control, service.links, ["anyone"], lambda: None, burst=5)
    for number in range(8):
        service.control.sign_ups.add("subscribe", f"a{number}@example.com", Choices().model_dump_json(), number)
    assert len(service.work()) == 5
    assert len(service.control.sign_ups.waiting(9)) == 3  # they wait


def test_who_gets_no_mail_uses_up_none(service: Service) -> None:
    service.clerk = Clerk(service.control, service.links, ["*@corp.example"], lambda: None, burst=5)
    asked = Choices().model_dump_json()
    for number in range(20):
        service.control.sign_ups.add("subscribe", f"a{number}@elsewhere.example", asked, number)
        service.control.sign_ups.add("mine", f"a{number}@corp.example", "", number)
        service.control.sign_ups.add("subscribe", "eve@corp.example", asked, number)
    service.control.sign_ups.add("subscribe", "ann@corp.example", asked, 99)
    while service.control.sign_ups.waiting(1):
        service.work()
    assert service.status("ann@corp.example") == "pending"
    assert len(service.control.messages.history(None, 99)) == 4  # three of Eve's, and Ann's


def test_who_never_confirmed_is_forgotten(service: Service) -> None:
    service.subscribe()
    ask(service, "stranger@example.com")
    assert service.clerk.tidy(time.time_ns() + FORGET_AFTER_NS - 10**9) == 0
    assert service.clerk.tidy(time.time_ns() + FORGET_AFTER_NS) == 1
    assert (service.status("stranger@example.com"), service.status()) == ("unknown", "confirmed")


@pytest.mark.parametrize("done", [0, 1, 2])
def test_what_a_crash_left_is_done_once(service: Service, done: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store fails before step `done`: entering the subscriber, queueing the mail, ticking the sign-up off."""
    steps = [
        (service.control.subscribers, "add"),
        (service.control.messages, "put"),
        (service.control.sign_ups, "done"),
    ]
    service.control.sign_ups.add("subscribe", "ann@example.com", Choices().model_dump_json(), 5)

    def fail(*_given: object, **_more: object) -> None:
        raise StoreError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(*steps[done], fail)
        with pytest.raises(StoreError):
            service.clerk.work()
    service.clerk = Clerk(service.control, service.links, ["anyone"], lambda: None)  # a new process
    service.work()
    [message] = service.control.messages.history(None, 9)
    assert message.kind == "confirm"
    assert len(service.control.subscribers.list()) == 1
    assert service.control.sign_ups.waiting(9) == []


def test_its_thread_does_what_it_is_rung_for(service: Service) -> None:
    clerk = Clerk(service.control, service.links, ["anyone"], lambda: None)
    clerk.start()
    service.control.sign_ups.add("subscribe", "ann@example.com", Choices().model_dump_json(), time.time_ns())
    clerk.ring()
    until = time.monotonic() + 10.0
    while service.status() == "unknown":
        assert time.monotonic() < until
        time.sleep(0.01)
    clerk.stop()
    clerk.stop()


def test_its_thread_outlives_a_store_that_fails(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def waiting(limit: int) -> list[object]:
        calls.append(limit)
        if len(calls) == 1:
            raise StoreError("locked")
        return []

    monkeypatch.setattr(service.control.sign_ups, "waiting", waiting)
    clerk = Clerk(service.control, service.links, [], lambda: None)
    clerk.start()
    until = time.monotonic() + 10.0
    while len(calls) < 2:
        clerk.ring()
        assert time.monotonic() < until
        time.sleep(0.01)
    clerk.stop()


def test_links_last_as_long_as_they_say(service: Service) -> None:
    import msgspec

    from quantlytic.store.control.records import LinkNotice

    [message] = ask(service)
    notice = msgspec.json.decode(message.payload, type=LinkNotice)
    assert notice.expires_ns == message.created_ns + LIFETIME_S["confirm"] * 10**9
    assert SECRET not in message.payload
    with pytest.raises(InputError, match="too old"):
        service.links.open(token_of(message), "confirm", notice.expires_ns + 10**9)
