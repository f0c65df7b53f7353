"""Messages: each cause is told once, whoever puts it how often, and each has one sender at a time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantlytic.store.control import open_control
from quantlytic.store.control.control import Control
from quantlytic.store.control.messages import LEASE_NS
from quantlytic.store.control.records import Message, message_id_of


def a_message(cause: str, recipient: str = "ann", **changes: object) -> Message:
    message = Message(
        message_id=message_id_of(cause, recipient, "signal"), recipient=recipient, channel="mail", kind="signal",
        cause=cause, subject="Buy", payload=b"\x00\xff", created_ns=2**62,
    )  # fmt: skip
    return msgspec.structs.replace(message, **changes)


@given(st.lists(st.tuples(st.text(), st.text(), st.text()), unique=True, max_size=20))
def test_different_causes_have_different_ids(parts: list[tuple[str, str, str]]) -> None:
    assert len({message_id_of(*each) for each in parts}) == len(parts)
    assert all(len(message_id_of(*each)) == 64 for each in parts)


def test_where_one_part_ends_matters() -> None:
    assert message_id_of("a", "bc", "d") != message_id_of("ab", "c", "d") != message_id_of("a", "b", "cd")


def test_comes_back_as_put(control: Control) -> None:
    message = a_message("one", attempts=3, last_error="x", not_before_ns=2**62)
    assert control.messages.put([message]) == 1
    assert control.messages.due(2**62, 9) == [message]
    assert control.messages.due(2**62 - 1, 9) == []


def test_put_again_is_nothing_new(control: Control) -> None:
    assert control.messages.put([a_message("a"), a_message("b"), a_message("a")]) == 2
    assert control.messages.put([a_message("b", subject="Other"), a_message("c")]) == 1
    assert [one.cause for one in control.messages.due(1, 9)] == ["a", "b", "c"]
    assert control.messages.due(1, 9)[1].subject == "Buy"
    assert control.messages.put([]) == 0
    assert control.messages.put([a_message(str(n)) for n in range(1200)]) == 1200
    assert control.messages.put([a_message(str(n)) for n in range(1300)]) == 100


def test_positions_move_with_the_messages_or_not_at_all(control: Control) -> None:
    assert control.messages.positions("fanout") == {}
    control.messages.put([a_message("a")], "fanout", {"decisions.r": 5, "executions.r": 7})
    control.messages.put([], "fanout", {"decisions.r": 2**62})
    control.messages.put([], "other", {"decisions.r": 1})
    assert control.messages.positions("fanout") == {"decisions.r": 2**62, "executions.r": 7}
    broken = a_message("b", payload=None)
    with pytest.raises(Exception, match="control store"):
        control.messages.put([a_message("c"), broken], "fanout", {"executions.r": 99})
    assert control.messages.positions("fanout")["executions.r"] == 7
    assert [one.cause for one in control.messages.due(1, 9)] == ["a"]


def test_due_by_channel_and_time_oldest_first(control: Control) -> None:
    control.messages.put([a_message("late", not_before_ns=50), a_message("a"), a_message("hook", channel="webhook")])
    assert [one.cause for one in control.messages.due(49, 9)] == ["a", "hook"]
    assert [one.cause for one in control.messages.due(50, 9)] == ["late", "a", "hook"]
    assert [one.cause for one in control.messages.due(50, 9, "mail")] == ["late", "a"]
    assert [one.cause for one in control.messages.due(50, 1)] == ["late"]


def test_the_life_of_a_message(control: Control) -> None:
    message = a_message("a")
    control.messages.put([message])
    assert control.messages.sending(message.message_id, 10)
    assert not control.messages.sending(message.message_id, 11)
    assert control.messages.due(99, 9) == []
    control.messages.retry(message.message_id, 500, "451 later")
    [waiting] = control.messages.history("ann", 9)
    assert (waiting.state, waiting.attempts, waiting.not_before_ns, waiting.last_error) == (
        "queued",
        1,
        500,
        "451 later",
    )
    assert control.messages.sending(message.message_id, 500)
    assert control.messages.sent(message.message_id, 510)
    assert not control.messages.sent(message.message_id, 511)
    assert not control.messages.failed(message.message_id, 511, "no")
    assert not control.messages.dropped(message.message_id, 511, "no")
    control.messages.retry(message.message_id, 0, "no")
    assert not control.messages.sending(message.message_id, 10**18)
    [sent] = control.messages.history("ann", 9)
    assert (sent.state, sent.attempts, sent.sent_ns, sent.last_error) == ("sent", 2, 510, "")


@pytest.mark.parametrize(("end", "state"), [("failed", "failed"), ("dropped", "dropped")])
def test_other_ends(control: Control, end: str, state: str) -> None:
    message = a_message("a")
    control.messages.put([message])
    assert getattr(control.messages, end)(message.message_id, 9, "because")
    assert not getattr(control.messages, end)(message.message_id, 10, "again")
    [found] = control.messages.history(None, 9)
    assert (found.state, found.sent_ns, found.last_error) == (state, 9, "because")
    assert control.messages.put([message]) == 0
    assert not control.messages.sending("unknown", 1)


def test_a_claim_expires(control: Control) -> None:
    message = a_message("a")
    control.messages.put([message])
    control.messages.sending(message.message_id, 1000)
    assert [one.cause for one in control.messages.stuck()] == ["a"]
    assert control.messages.stuck(1000 + LEASE_NS - 1) == []
    assert not control.messages.sending(message.message_id, 1000 + LEASE_NS - 1)
    assert [one.cause for one in control.messages.stuck(1000 + LEASE_NS)] == ["a"]
    assert control.messages.sending(message.message_id, 1000 + LEASE_NS)
    assert control.messages.stuck()[0].attempts == 2


def test_texts_may_hold_anything(control: Control) -> None:
    odd = "a\x00b\ud800\u2028\r\n"
    message = a_message(odd, subject=odd)
    control.messages.put([message])
    control.messages.retry(message.message_id, 1, odd)
    [found] = control.messages.history(None, 9)
    assert found.cause == found.subject == found.last_error == "a\ufffdb?\u2028\r\n"
    assert control.messages.put([message]) == 0
    assert control.messages.failed(message.message_id, 2, odd)


def test_history_and_counts(control: Control) -> None:
    for number, recipient in enumerate(("ann", "bob", "ann", "ann")):
        control.messages.put([a_message(str(number), recipient)])
        if number != 2:
            control.messages.sent(message_id_of(str(number), recipient, "signal"), 100 + number)
    assert [one.cause for one in control.messages.history(None, 3)] == ["3", "2", "1"]
    assert [one.cause for one in control.messages.history("ann", 9)] == ["3", "2", "0"]
    assert [len(control.messages.sent_since("ann", since, 9)) for since in (0, 100, 101, 104)] == [2, 2, 1, 0]
    assert control.messages.sent_since("eve", 0, 9) == []


def test_old_payloads_can_be_forgotten(control: Control) -> None:
    control.messages.put([a_message(name, created_ns=1) for name in "abc"])
    control.messages.sent(message_id_of("a", "ann", "signal"), 100)
    control.messages.sent(message_id_of("b", "ann", "signal"), 200)
    assert control.messages.trim(150) == 1
    assert control.messages.trim(150) == 0
    assert {one.cause: one.payload for one in control.messages.history(None, 9)} == {
        "a": b"", "b": b"\x00\xff", "c": b"\x00\xff",
    }  # fmt: skip
    assert control.messages.put([a_message("a")]) == 0  # and it is still not told twice


def test_many_senders_claim_each_message_once(target: Path | str) -> None:
    with open_control(target) as control:
        control.messages.put([a_message(str(number)) for number in range(60)])
    claimed: list[str] = []

    def send() -> None:
        with open_control(target) as mine:
            while due := mine.messages.due(1, 5):
                claimed.extend(one.message_id for one in due if mine.messages.sending(one.message_id, 1))

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(claimed) == 60
    assert set(Counter(claimed).values()) == {1}


_CHILD = """
import sys
from pathlib import Path
from quantlytic.store.control import open_control
from quantlytic.store.control.records import Message, message_id_of
target = sys.argv[1] if "://" in sys.argv[1] else Path(sys.argv[1])
with open_control(target) as control:
    position = control.messages.positions("fanout").get("s", 0)
    print("up", flush=True)
    while position < 4000:
        batch = range(position, position + 7)
        made = [Message(message_id=message_id_of(str(n), "ann", "signal"), recipient="ann", channel="mail", kind="signal",
                        cause=str(n), subject="", payload=b"", created_ns=n) for n in batch]
        control.messages.put(made, "fanout", {"s": batch.stop})
        position = batch.stop
"""


def test_kills_lose_no_message_and_repeat_none(target: Path | str) -> None:
    for number in range(4):
        child = subprocess.Popen([sys.executable, "-c", _CHILD, str(target)], stdout=subprocess.PIPE)
        assert child.stdout is not None
        assert child.stdout.readline() == b"up\n"
        time.sleep(0.02 * (number + 1))
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        child.stdout.close()
    with open_control(target) as control:
        position = control.messages.positions("fanout")["s"]
        causes = [int(one.cause) for one in control.messages.history(None, 10_000)]
    assert position > 0
    assert sorted(causes) == list(range(position))
