"""Sign-ups wait in order until they are worked off."""

from __future__ import annotations

from quantlytic.store.control.control import Control
from quantlytic.store.control.records import SignUp


def test_in_order_until_done(control: Control) -> None:
    for number, email in enumerate(("b@x.com", "a@x.com", "b@x.com")):
        control.sign_ups.add("subscribe", email, '{"ü": 1}', number)
    first, second, third = control.sign_ups.waiting(9)
    assert [one.email for one in (first, second, third)] == ["b@x.com", "a@x.com", "b@x.com"]
    assert first == SignUp(first.number, "subscribe", "b@x.com", '{"ü": 1}', 0)
    assert control.sign_ups.waiting(1) == [first]
    control.sign_ups.done(second.number)
    control.sign_ups.done(second.number)
    assert control.sign_ups.waiting(9) == [first, third]
