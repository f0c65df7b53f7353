"""Whatever anybody does in whatever order: alerts go to those alone who confirmed and have not ended it since."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule
from tests.web.alerts.conftest import BASE, SECRET

from quantlytic.model.errors import InputError
from quantlytic.store.control import open_control
from quantlytic.store.control.links import Links
from quantlytic.store.control.records import LinkNotice
from quantlytic.web.alerts.choices import Choices, Offer
from quantlytic.web.alerts.clerk import FORGET_AFTER_NS, Clerk
from quantlytic.web.alerts.desk import Desk
from quantlytic.web.alerts.limits import TokenBuckets

EMAILS = ("ann@example.com", "bob@example.com")
HOUR_NS = 3600 * 10**9


@cache
def _empty_store() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        open_control(Path(folder)).close()
        return (Path(folder) / "control.db").read_bytes()


class Consent(RuleBasedStateMachine):
    """The service beside the simplest idea of it: who has said yes, and which mailed links are of the present sign-up."""

    links_to_confirm = Bundle("links_to_confirm")

    @initialize()
    def begin(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        (Path(self._folder.name) / "control.db").write_bytes(_empty_store())
        self.control = open_control(Path(self._folder.name))
        self.links, self.now_ns = Links(SECRET, BASE), 1_763_754_000 * 10**9
        self.clerk = Clerk(self.control, self.links, ["anyone"], lambda: None)
        self.clerk._mails = self.clerk._all_mails = TokenBuckets(1_000_000, 1.0)
        self.desk = Desk(
            self.control, self.links, Offer((), ("macd",), self.control.wanted), channels={}, wake=lambda: None,
            wake_clerk=lambda: None, on_new_instrument=lambda _name: None, now_ns=lambda: self.now_ns,
        )  # fmt: skip
        self.agreed: dict[str, bool] = {}  # address -> whether its owner said yes
        self.asked_ns: dict[str, int] = {}  # address -> when the present sign-up began
        self.suppressed: set[str] = set()

    @rule(hours=st.integers(1, 60))
    def time_passes(self, hours: int) -> None:
        self.now_ns += hours * HOUR_NS

    @rule(target=links_to_confirm, email=st.sampled_from(EMAILS))
    def sign_up(self, email: str) -> object:
        self.now_ns += 10**9
        self.desk.sign_up(email, Choices())
        before = {one.message_id for one in self.control.messages.history(None, 10_000)}
        self.clerk.work()
        made = [one for one in self.control.messages.history(None, 10_000) if one.message_id not in before]
        if email in self.suppressed:
            assert made == []
            return multiple()
        [message] = made
        assert message.kind == ("mine" if self.agreed.get(email) else "confirm")
        if message.kind == "mine":
            return multiple()
        self.asked_ns.setdefault(email, self.now_ns)
        token = msgspec.json.decode(message.payload, type=LinkNotice).url.partition("=")[2]
        return email, token, self.now_ns

    @rule(link=links_to_confirm)
    def follow(self, link: tuple[str, str, int]) -> None:
        email, token, mailed_ns = link
        began_ns = self.asked_ns.get(email)
        is_good = began_ns is not None and mailed_ns >= began_ns and self.now_ns - mailed_ns <= 48 * HOUR_NS
        try:
            self.desk.see_pending(token)
            self.desk.confirm(token)
        except InputError:
            assert not is_good
        else:
            assert is_good
            self.agreed[email] = True

    @rule(link=consumes(links_to_confirm), cut=st.integers(0, 71))
    def forge(self, link: tuple[str, str, int], cut: int) -> None:
        token = link[1][:cut] + ("A" if link[1][cut] != "A" else "B") + link[1][cut + 1 :]
        try:
            self.desk.confirm(token)
        except InputError:
            return
        raise AssertionError("a forged link was good")

    def _end(self, email: str) -> None:
        self.agreed[email] = False
        self.asked_ns.pop(email, None)

    @rule(email=st.sampled_from(EMAILS))
    def unsubscribe(self, email: str) -> None:
        who = self.control.subscribers.by_email(email)
        if who is not None and who.status != "suppressed":
            self.desk.unsubscribe(self.links.token("unsubscribe", who.subscriber_id, self.now_ns))
            self._end(email)

    @rule(email=st.sampled_from(EMAILS))
    def refused_by_its_server(self, email: str) -> None:
        who = self.control.subscribers.by_email(email)
        if who is not None:
            self.control.subscribers.suppress(who.subscriber_id)
            self._end(email)
            self.suppressed.add(email)

    @rule(email=st.sampled_from(EMAILS))
    def erased_by_the_operator(self, email: str) -> None:
        who = self.control.subscribers.by_email(email)
        if who is not None:
            self.control.subscribers.erase(who.subscriber_id)
            self._end(email)
            self.suppressed.discard(email)

    @rule()
    def tidied(self) -> None:
        self.clerk.tidy(self.now_ns)
        for email in EMAILS:
            if (
                email in self.asked_ns
                and not self.agreed.get(email)
                and self.control.subscribers.by_email(email) is None
            ):
                assert self.now_ns - self.asked_ns[email] > FORGET_AFTER_NS
                self._end(email)

    @rule(email=st.sampled_from(EMAILS))
    def change(self, email: str) -> None:
        who = self.control.subscribers.by_email(email)
        if who is None:
            return
        try:
            self.desk.change(self.links.token("mine", who.subscriber_id, self.now_ns), Choices(kinds=["*"]))
        except InputError:
            assert not self.agreed.get(email)
        else:
            assert self.agreed.get(email)

    @invariant()
    def alerts_go_to_those_who_agreed(self) -> None:
        if hasattr(self, "agreed"):
            told = {one.subscriber.email for one in self.control.subscribers.for_event("signal")}
            assert told == {email for email, said_yes in self.agreed.items() if said_yes}

    def teardown(self) -> None:
        if hasattr(self, "control"):
            self.control.close()
            self._folder.cleanup()


Consent.TestCase.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)
TestConsent = Consent.TestCase
