"""Mailed links: good for one person, one purpose and a time; everything else is refused in a sentence."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantlytic.model.errors import InputError
from quantlytic.store.control.links import LIFETIME_S, Links, Opened

LINKS = Links(b"k" * 32, "https://alerts.example.com/")
NOW_NS = 1_763_754_000 * 10**9 + 123
ANN, BOB = "0123456789abcdef" * 2, "f" * 32
PURPOSES = sorted(LIFETIME_S)


@pytest.mark.parametrize("purpose", PURPOSES)
def test_opens_as_made(purpose: str) -> None:
    url = LINKS.url(purpose, ANN, NOW_NS)
    base, _, token = url.partition("?token=")
    assert base == f"https://alerts.example.com/{purpose}"
    assert LINKS.open(token, purpose, NOW_NS) == Opened(ANN, NOW_NS - 123)
    assert LINKS.open(token, purpose, NOW_NS + LIFETIME_S[purpose] * 10**9 - 10**9).subscriber_id == ANN


@pytest.mark.parametrize("purpose", PURPOSES)
def test_too_old(purpose: str) -> None:
    token = LINKS.token(purpose, ANN, NOW_NS)
    with pytest.raises(InputError, match="This link is too old: ask for a new one"):
        LINKS.open(token, purpose, NOW_NS + (LIFETIME_S[purpose] + 1) * 10**9)


def test_from_the_future() -> None:
    token = LINKS.token("mine", ANN, NOW_NS)
    assert LINKS.open(token, "mine", NOW_NS - 200 * 10**9)  # two machines' clocks
    with pytest.raises(InputError, match="not one of ours"):
        LINKS.open(token, "mine", NOW_NS - 400 * 10**9)


@pytest.mark.parametrize("made", PURPOSES)
@pytest.mark.parametrize("used", PURPOSES)
def test_of_another_purpose(made: str, used: str) -> None:
    token = LINKS.token(made, ANN, NOW_NS)
    if made != used:
        with pytest.raises(InputError, match="not one of ours"):
            LINKS.open(token, used, NOW_NS)


def test_of_another_secret() -> None:
    with pytest.raises(InputError, match="not one of ours"):
        LINKS.open(Links(b"j" * 32, "https://a.example").token("mine", ANN, NOW_NS), "mine", NOW_NS)


def test_every_single_changed_bit_is_seen() -> None:
    raw = base64.urlsafe_b64decode(LINKS.token("confirm", ANN, NOW_NS))
    for bit in range(len(raw) * 8):
        forged = bytearray(raw)
        forged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(InputError):
            LINKS.open(base64.urlsafe_b64encode(forged).decode(), "confirm", NOW_NS)


def test_parts_of_two_links_make_no_third() -> None:
    ann, bob = LINKS.token("mine", ANN, NOW_NS), LINKS.token("mine", BOB, NOW_NS)
    for cut in range(1, 72):
        mixed = ann[:cut] + bob[cut:]
        if mixed not in (ann, bob):
            with pytest.raises(InputError):
                LINKS.open(mixed, "mine", NOW_NS)


@given(st.one_of(st.text(max_size=100), st.from_regex(r"[A-Za-z0-9_-]{72}", fullmatch=True)))
def test_anything_else_is_refused_in_one_line(text: str) -> None:
    for purpose in PURPOSES:
        with pytest.raises(InputError) as caught:
            LINKS.open(text, purpose, NOW_NS)
        assert (
            str(caught.value)
            == "This link is not one of ours, or a part of it is missing: open it from the mail once more."
        )


@given(st.integers(0, 2**40 * 10**9 - 1), st.binary(min_size=16, max_size=16), st.sampled_from(PURPOSES))
def test_any_time_and_anybody(now_ns: int, who: bytes, purpose: str) -> None:
    token = LINKS.token(purpose, who.hex(), now_ns)
    assert LINKS.open(token, purpose, now_ns) == Opened(who.hex(), now_ns // 10**9 * 10**9)
    for changed in (token + "=", token + "A", token[:-1], " " + token, token + "\n", token.swapcase()):
        with pytest.raises(InputError):
            LINKS.open(changed, purpose, now_ns)


def test_a_weak_secret_or_a_strange_address() -> None:
    with pytest.raises(InputError, match="at least 32 random bytes"):
        Links(b"k" * 31, "https://a.example")
    for bad in (
        "", "a.example", "ftp://a.example", "https://", "https://a.example/?x=1", "https://a.example/#x", "https://[::1",
        "https://a.example:99999", "https://me:pw@a.example", "https://a.example/\r\nX: 1", "https://a exam.ple",
        "https://a.example/<x>",
    ):  # fmt: skip
        with pytest.raises(InputError, match="no address of the alert pages"):
            Links(b"k" * 32, bad)
    assert (
        Links(b"k" * 32, "http://[::1]:8788/alerts/")
        .url("mine", ANN, NOW_NS)
        .startswith("http://[::1]:8788/alerts/mine?")
    )
