"""Addresses of strangers: what is taken means one mailbox and nothing else."""

from __future__ import annotations

import email.message
import email.policy
import email.utils
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from quantlytic.model.errors import InputError
from quantlytic.store.control.address import clean_address, clean_rule, is_allowed

GOOD = {
    "ann@example.com": "ann@example.com",
    "Ann.Lee+Alerts@Example.COM": "ann.lee+alerts@example.com",
    "o'brien_99@mail.sub.example.co.uk": "o'brien_99@mail.sub.example.co.uk",
    "x@xn--exmple-cua.org": "x@xn--exmple-cua.org",
    "a" * 64 + "@example.com": "a" * 64 + "@example.com",
    "a@1.2.3.com": "a@1.2.3.com",
}
BAD = [
    "", "@", "ann", "ann@", "@example.com", "ann@localhost", "ann@example", "ann@@example.com", "ann@ex@ample.com",
    # several, named, quoted, commented
    "ann@example.com,bob@example.com", "ann@example.com;bob@example.com", "ann@example.com bob@example.com",
    "Ann <ann@example.com>", "<ann@example.com>", '"ann lee"@example.com', '"ann"@example.com', "ann(x)@example.com",
    "ann@example.com(x)", "group:ann@example.com;", "ann@example.com?subject=x", "mailto:ann@example.com",
    # line ends and their like
    "ann@example.com\r\nBcc: eve@example.com", "ann@example.com\n", "\nann@example.com", "ann\r@example.com",
    "ann@exam\nple.com", "ann@example.com\x00", "ann\x00@example.com", "ann@example.com\x0b", "ann@example.com\x0c",
    "ann@example.com\x85Bcc: eve@example.com", "ann@example.com\u2028Bcc: eve@example.com", "ann\u2029@example.com",
    "ann@example.com\t", " ann@example.com", "ann@example.com ", "ann @example.com", "\ufeffann@example.com",
    "ann%0d%0aBcc:eve@example.com", "=?utf-8?q?ann=0d=0a?=@example.com",
    # beyond ASCII
    "änn@example.com", "ann@exämple.org", "ann@еxample.com", "ann＠example.com", "ann@example。com", "ann\u200b@example.com",
    "ann@exam\u00adple.com", "\u202eann@example.com", "ann@example.com\ud800", "аnn@example.com",
    # routes, options, numbers in place of names
    "ann%example.org@example.com", "example.org!ann@example.com", "|cat@example.com", "`id`@example.com",
    "-oQ/tmp@example.com", "ann@[127.0.0.1]", "ann@127.0.0.1", "ann@[IPv6:::1]", "ann@example.123", "@a,@b:ann@example.com",
    # dots and hyphens
    ".ann@example.com", "ann.@example.com", "a..b@example.com", "ann@.example.com", "ann@example.com.", "ann@example..com",
    "ann@-example.com", "ann@example-.com", "ann@exa_mple.com",
    # too long
    "a" * 65 + "@example.com", "ann@" + "a" * 64 + ".com", "ann@" + "a." * 130 + "com", "a@" + ("b" * 60 + ".") * 5 + "com",
    "a" * 100_000,
]  # fmt: skip


ANSWERS = [  # what strangers wrote is not repeated
    "this is no e-mail address such as ann@example.com",
    "this is no e-mail address: it is longer than 254 characters",
    "this is no e-mail address: it has characters other than printable ASCII",
]


@pytest.mark.parametrize("text", GOOD)
def test_good(text: str) -> None:
    assert clean_address(text) == GOOD[text]


@pytest.mark.parametrize("text", BAD, ids=lambda text: ascii(text)[:40])
def test_bad(text: str) -> None:
    with pytest.raises(InputError) as caught:
        clean_address(text)
    assert str(caught.value) in ANSWERS


@pytest.mark.parametrize("thing", [None, 5, b"ann@example.com", ["ann@example.com"]])
def test_no_text(thing: object) -> None:
    with pytest.raises(InputError):
        clean_address(thing)  # type: ignore[arg-type]


_LIKELY = st.text(st.sampled_from("aZ9.@-_+%!|`\"'(),:;<>[]\\ \t\r\n\x00\x85\u2028äа。＠="), max_size=40)


@given(st.one_of(st.text(max_size=300), _LIKELY, st.emails()))
@example("ann@example.com\n")
def test_what_is_taken_stays_one_address_in_a_header(text: str) -> None:
    try:
        address = clean_address(text)
    except InputError:
        return
    assert address == text.lower() == clean_address(address)
    assert re.fullmatch(r"[!-~]+@[a-z0-9.-]+", address)
    message = email.message.EmailMessage(email.policy.SMTP)
    message["To"] = address
    assert [one.addr_spec for one in message["To"].addresses] == [address]
    again = email.message_from_bytes(bytes(message), policy=email.policy.SMTP)
    assert again.keys() == ["To"]
    assert email.utils.getaddresses([address]) == [("", address)]


# ---- rules


def test_rules() -> None:
    rules = [clean_rule(rule) for rule in ("Bob@Example.org", "*@Corp.example.com")]
    assert rules == ["bob@example.org", "*@corp.example.com"]
    assert is_allowed("bob@example.org", rules)
    assert is_allowed("x@corp.example.com", rules)
    for stranger in ("ann@example.org", "x@sub.corp.example.com", "x@xcorp.example.com", "x@example.com"):
        assert not is_allowed(stranger, rules)
    assert is_allowed("anybody@x.com", ["anyone"])
    assert not is_allowed("anybody@x.com", [])


@pytest.mark.parametrize(
    "rule", ["", "*", "*@", "*@com", "**@example.com", "*example.com", "Anyone", "@example.com", "*@*.com"]
)
def test_no_rules(rule: str) -> None:
    with pytest.raises(InputError, match="is no rule of who may sign up"):
        clean_rule(rule)
