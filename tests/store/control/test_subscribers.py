"""Subscribers: who is told about what, and that nobody is told any more once he has said so."""

from __future__ import annotations

import threading

import msgspec
import pytest

from quantlytic.store.control.control import Control
from quantlytic.store.control.records import Message, Subscriber, Subscription, message_id_of

QUIET = {"time_zone": "Europe/Berlin", "quiet_start_min": 1320, "quiet_end_min": 420}


def chosen(**changes: object) -> Subscription:
    return msgspec.structs.replace(Subscription("", ("*",), ("*",), ("signal",), 50.0), **changes)


def confirmed(control: Control, email: str, now_ns: int = 5, **changes: object) -> Subscriber:
    who = control.subscribers.add(email, now_ns, chosen=chosen(**changes), **QUIET)
    found = control.subscribers.confirm(who.subscriber_id, now_ns + 1)
    assert found is not None
    return found


def a_message(recipient: str, cause: str = "c") -> Message:
    return Message(
        message_id=message_id_of(cause, recipient, "signal"), recipient=recipient, channel="mail", kind="signal",
        cause=cause, subject="Buy", payload=b"\x00\xff", created_ns=7,
    )  # fmt: skip


def test_comes_back_as_entered(control: Control) -> None:
    wanted = chosen(instruments=("binance:BTCUSDT", "yahoo:^GSPC"), strategies=("recommended",), near_bps=0.1 + 0.2)
    who = control.subscribers.add("ann@example.com", 2**62, chosen=wanted, **QUIET)
    assert who == Subscriber(who.subscriber_id, "ann@example.com", "pending", **QUIET, created_ns=2**62, confirmed_ns=0)
    assert len(who.subscriber_id) == 32
    assert control.subscribers.get(who.subscriber_id) == control.subscribers.by_email("ann@example.com") == who
    kept = control.subscribers.subscription_of(who.subscriber_id)
    assert kept == msgspec.structs.replace(wanted, subscriber_id=who.subscriber_id)
    assert control.subscribers.get("f" * 32) is None
    assert control.subscribers.by_email("bob@example.com") is None
    assert control.subscribers.subscription_of("f" * 32) is None


def test_confirming_twice_is_harmless(control: Control) -> None:
    who = confirmed(control, "ann@example.com")
    assert (who.status, who.confirmed_ns) == ("confirmed", 6)
    assert control.subscribers.confirm(who.subscriber_id, 99) == who
    assert control.subscribers.confirm("f" * 32, 99) is None


def test_who_is_subscribed_is_not_changed_by_another_sign_up(control: Control) -> None:
    who = confirmed(control, "ann@example.com", kinds=("risk",))
    again = control.subscribers.add(
        "ann@example.com", 50, time_zone="UTC", quiet_start_min=0, quiet_end_min=0, chosen=chosen(kinds=("fill",))
    )
    assert again == who
    kept = control.subscribers.subscription_of(who.subscriber_id)
    assert kept is not None
    assert kept.kinds == ("risk",)


def test_who_is_pending_or_unsubscribed_can_sign_up_anew(control: Control) -> None:
    first = control.subscribers.add("ann@example.com", 5, chosen=chosen(), **QUIET)
    second = control.subscribers.add(
        "ann@example.com", 50, chosen=chosen(kinds=("fill",)), **QUIET | {"time_zone": "UTC"}
    )
    assert second == msgspec.structs.replace(first, time_zone="UTC")  # created then: links that were mailed stay good
    assert control.subscribers.unsubscribe(first.subscriber_id)
    assert control.subscribers.confirm(first.subscriber_id, 60) is None
    third = control.subscribers.add("ann@example.com", 70, **QUIET)
    assert (third.subscriber_id, third.status, third.created_ns) == (first.subscriber_id, "pending", 70)
    assert control.subscribers.suppress(first.subscriber_id)
    assert control.subscribers.add("ann@example.com", 80, **QUIET).status == "suppressed"


@pytest.mark.parametrize("how", ["unsubscribe", "suppress"])
def test_who_leaves_gets_nothing_more(control: Control, how: str) -> None:
    ann, bob = confirmed(control, "ann@example.com"), confirmed(control, "bob@example.com")
    control.messages.put([a_message(one.subscriber_id, cause) for one in (ann, bob) for cause in "xy"])
    assert getattr(control.subscribers, how)(ann.subscriber_id)
    assert getattr(control.subscribers, how)(ann.subscriber_id)
    assert not getattr(control.subscribers, how)("f" * 32)
    assert {one.recipient for one in control.messages.due(99, 9)} == {bob.subscriber_id}
    assert [one.state for one in control.messages.history(ann.subscriber_id, 9)] == ["dropped", "dropped"]
    assert [one.subscriber for one in control.subscribers.for_event("signal")] == [bob]


def test_erasing_leaves_nothing(control: Control) -> None:
    ann, bob = confirmed(control, "ann@example.com"), confirmed(control, "bob@example.com")
    control.messages.put([a_message(ann.subscriber_id), a_message(bob.subscriber_id)])
    assert control.subscribers.erase(ann.subscriber_id)
    assert not control.subscribers.erase(ann.subscriber_id)
    assert control.subscribers.by_email("ann@example.com") is None
    assert control.subscribers.subscription_of(ann.subscriber_id) is None
    assert [one.recipient for one in control.messages.history(None, 9)] == [bob.subscriber_id]


def test_who_never_confirmed_is_forgotten(control: Control) -> None:
    confirmed(control, "confirmed@example.com", 5)
    left = confirmed(control, "left@example.com", 5)
    control.subscribers.unsubscribe(left.subscriber_id)
    old, again, new = (
        control.subscribers.add(f"{name}@example.com", now_ns, chosen=chosen(), **QUIET)
        for name, now_ns in (("old", 5), ("again", 5), ("new", 90))
    )
    control.messages.put(
        [a_message(old.subscriber_id, "x"), msgspec.structs.replace(a_message(again.subscriber_id), created_ns=80)]
    )
    assert control.subscribers.forget_pending(80) == 1
    assert control.subscribers.get(old.subscriber_id) is None
    assert control.subscribers.subscription_of(old.subscriber_id) is None
    assert [one.recipient for one in control.messages.history(None, 9)] == [again.subscriber_id]
    assert len(control.subscribers.list()) == 4
    assert control.subscribers.forget_pending(91) == 2
    assert control.subscribers.get(new.subscriber_id) is None


def test_listed_oldest_first(control: Control) -> None:
    late, early = confirmed(control, "a@example.com", 90), confirmed(control, "b@example.com", 10)
    pending = control.subscribers.add("c@example.com", 50, **QUIET)
    assert control.subscribers.list() == [early, pending, late]
    assert control.subscribers.list("confirmed") == [early, late]


def test_settings_and_choices_can_be_changed(control: Control) -> None:
    who = confirmed(control, "ann@example.com")
    control.subscribers.update(who.subscriber_id, time_zone="UTC", quiet_start_min=1, quiet_end_min=2)
    other = chosen(subscriber_id=who.subscriber_id, kinds=("digest", "risk"))
    control.subscribers.put_subscription(other)
    assert control.subscribers.get(who.subscriber_id) == msgspec.structs.replace(
        who, time_zone="UTC", quiet_start_min=1, quiet_end_min=2
    )
    assert control.subscribers.subscription_of(who.subscriber_id) == other


def test_an_event_goes_to_those_who_chose_it(control: Control) -> None:
    confirmed(control, "all@x.com", 1, kinds=("*",))
    confirmed(control, "signal@x.com", 2)
    confirmed(control, "btc@x.com", 3, instruments=("binance:BTCUSDT", "binance:ETHUSDT"), kinds=("signal", "fill"))
    confirmed(control, "sma@x.com", 4, strategies=("sma-cross",), kinds=("signal",))
    confirmed(control, "best@x.com", 5, strategies=("recommended",), kinds=("signal",))
    confirmed(control, "lower@x.com", 6, instruments=("binance:btcusdt",))
    confirmed(control, "wild@x.com", 7, instruments=("binance:BTC_SDT", "binance:%"))
    control.subscribers.add("pending@x.com", 8, chosen=chosen(kinds=("*",)), **QUIET)

    def told(*event: str, **more: bool) -> list[str]:
        found = control.subscribers.for_event(*event, **more)
        assert all(one.subscription.subscriber_id == one.subscriber.subscriber_id for one in found)
        return [one.subscriber.email.partition("@")[0] for one in found]

    assert told("signal", "binance:BTCUSDT", "sma-cross") == ["all", "signal", "btc", "sma"]
    assert told("signal", "binance:BTCUSDT", "macd", is_recommended=True) == ["all", "signal", "btc", "best"]
    assert told("signal", "binance:SOLUSDT", "macd") == ["all", "signal"]
    assert told("fill", "binance:ETHUSDT", "macd") == ["all", "btc"]
    assert told("risk") == ["all"]
    assert told("signal", strategy="sma-cross") == ["all", "signal", "btc", "sma", "lower", "wild"]  # of no instrument


def test_many_subscribers_are_matched_in_milliseconds(control: Control) -> None:
    import time

    for number in range(200):
        confirmed(control, f"p{number}@example.com", number, instruments=(f"binance:C{number}",))
    began = time.perf_counter()
    for number in range(20):
        assert len(control.subscribers.for_event("signal", f"binance:C{number}", "macd")) == 1
    assert time.perf_counter() - began < 2.0  # 20 questions; measured: 10 ms in SQLite


def test_two_who_enter_the_same_address_at_once_enter_one(control: Control) -> None:
    found: list[Subscriber] = []

    def enter() -> None:
        found.extend(control.subscribers.add("ann@example.com", 5, chosen=chosen(), **QUIET) for _ in range(5))

    threads = [threading.Thread(target=enter) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 20
    assert len({one.subscriber_id for one in found}) == 1
