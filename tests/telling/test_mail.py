"""A mail is well formed, the same each time, and nothing that anybody writes can become more than text in it."""

from __future__ import annotations

import email
import email.policy
import sys
from email.message import EmailMessage

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.telling.letters import SIGNAL, of_each_kind
from tests.telling.paperday import run_of

from quantlytic.model.errors import InputError
from quantlytic.telling.letter import Letter, one_line, pack, unpack
from quantlytic.telling.mail import Envelope, bytes_of, check_address, mail_of
from quantlytic.telling.words import check_letter, signal_letter

ENVELOPE = Envelope(
    "Quantlytic <q@example.com>", "ann@example.com", "ab" * 32, 1, "https://a.example.com/unsubscribe?token=x_y-z",
    "https://a.example.com/mine?token=x",
)  # fmt: skip
HEADERS = {
    "subject", "from", "to", "date", "message-id", "auto-submitted", "x-auto-response-suppress", "importance",
    "list-unsubscribe", "list-unsubscribe-post", "mime-version", "content-type", "x-quantlytic-attempt",
}  # fmt: skip


def parsed(letter: Letter, envelope: Envelope = ENVELOPE) -> EmailMessage:
    return email.message_from_bytes(bytes_of(mail_of(letter, envelope)), policy=email.policy.default)


@pytest.mark.parametrize("name", list(of_each_kind()))
def test_a_mail_of_each_kind(name: str) -> None:
    letter = of_each_kind()[name]
    mail = parsed(letter)
    assert mail["Subject"] == letter.subject
    assert mail["Message-ID"] == f"<{'ab' * 32}@quantlytic>"
    assert mail["List-Unsubscribe"] == "<https://a.example.com/unsubscribe?token=x_y-z>"
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Date"].datetime.timestamp() == letter.event_time // 10**9
    text, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert text is not None
    assert html is not None
    for line in letter.lines:
        assert line in text.get_content().replace("\r\n", "\n")
    assert "https://a.example.com/unsubscribe?token=x_y-z" in text.get_content()
    pictures = [part for part in mail.walk() if part.get_content_type() == "image/png"]
    assert len(pictures) == (letter.chart is not None)
    for picture in pictures:
        assert picture.get_content().startswith(b"\x89PNG")
        assert f"cid:{picture['Content-ID'].strip('<>')}" in html.get_content()
        assert picture["Content-Disposition"].startswith("inline")
    assert ("cid:" in html.get_content()) == bool(pictures)
    assert mail["Importance"] == ("high" if letter.is_urgent else None)
    raw = bytes_of(mail_of(letter, ENVELOPE))
    assert b"\n" not in raw.replace(b"\r\n", b"")
    assert max(map(len, raw.split(b"\r\n"))) <= 998


def test_the_same_letter_is_the_same_bytes_and_survives_the_store() -> None:
    for letter in of_each_kind().values():
        again = unpack(pack(letter))
        assert pack(again) == pack(letter)
        assert bytes_of(mail_of(again, ENVELOPE)) == bytes_of(mail_of(letter, ENVELOPE))


def test_an_attempt_that_may_be_a_repeat_says_so_and_keeps_its_id() -> None:
    first, second = (
        parsed(check_letter(0), msgspec_replace(ENVELOPE, attempt=attempt)) for attempt in (1, 2)
    )  # fmt: skip
    assert first["X-Quantlytic-Attempt"] is None
    assert second["X-Quantlytic-Attempt"] == "2"
    assert first["Message-ID"] == second["Message-ID"]


def msgspec_replace(envelope: Envelope, **changes: object) -> Envelope:
    import dataclasses

    return dataclasses.replace(envelope, **changes)  # type: ignore[arg-type]


def test_without_matplotlib_there_is_no_picture_and_no_word_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from quantlytic.telling import chart

    chart._drawn.cache_clear()
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    mail = parsed(of_each_kind()["signal"])
    assert all(part.get_content_maintype() in ("text", "multipart") for part in mail.walk())
    html = mail.get_body(("html",))
    assert html is not None
    assert "<img" not in html.get_content()
    chart._drawn.cache_clear()


def test_no_unsubscribe_for_an_operator() -> None:
    mail = parsed(check_letter(0), Envelope("q@localhost", "you@localhost", "x1"))
    assert mail["List-Unsubscribe"] is None
    body = mail.get_body(("plain",))
    assert body is not None
    assert "Stop these mails" not in body.get_content()


BAD_ADDRESSES = [
    "you@localhost\r\nBcc: everyone@localhost", "you@localhost\nBcc: x@y", "you@localhost\rBcc: x@y", "you@localhost\x00",
    "you@localhost\x0bBcc: x", "you@localhost\x85Bcc: x", "you@localhost\u2028Bcc: x@y", "you@localhost\u2029Bcc: x@y",
    "a@b.c, d@e.f", "a@b.c;d@e.f", "<a@b.c>", "Ann <a@b.c>, Bob <d@e.f>", "Ann <a@b.c", "=?utf-8?q?a=40b.c=0d=0aBcc?= <a@b>",
    '"a b"@c.d', "a(b)@c.d", "a@b@c", "@b.c", "a@", "", " a@b.c", "a@b.c ", "ä@b.c", "a@bücher.de", "a" * 65 + "@b.c",
    "a@" + "b" * 300, "a@-b", "a@b.", "a\\@b.c", "group:a@b.c;", "a@[127.0.0.1]",
]  # fmt: skip


@pytest.mark.parametrize("address", BAD_ADDRESSES)
def test_an_address_is_one_address_or_refused(address: str) -> None:
    with pytest.raises(InputError, match="is no mail address") as refused:
        mail_of(check_letter(0), Envelope("q@localhost", address, "x1"))
    assert len(str(refused.value).splitlines()) == 1
    with pytest.raises(InputError, match="the sender"):
        mail_of(check_letter(0), Envelope(address, "you@localhost", "x1"))


@pytest.mark.parametrize("address", ["you@localhost", "a.b+c@example.co.uk", "o'neil_1@xn--exmple-cua.org"])
def test_addresses_that_are_good(address: str) -> None:
    assert check_address(address) == address
    assert check_address(f"Ann O'Neil <{address}>") == address


BAD_TEXTS = [
    "BUY\r\nBcc: everyone@localhost", "BUY\nBcc: x@y", "BUY\rBcc: x", "BUY\x00", "BUY\x0b\x0cBcc: x", "BUY\x85Bcc: x",
    "BUY\u2028Bcc: x@y", "BUY\u2029Bcc: x@y", "BUY\u202ecba", "BUY\u2066x", "BUY\ufeff", "BUY\u200b",
    "=?utf-8?q?BUY=0d=0aBcc:_x=40y?=", "=?utf-8?b?QlVZDQpCY2M6IHhAeQ==?=", "x" * 100_000, "é" * 3_000, "\ud800", "😀" * 400,
    "<script>alert(1)</script>", "BUY\r\n\r\n<b>body</b>", " ", "",
]  # fmt: skip


@pytest.mark.parametrize("text", BAD_TEXTS, ids=range(len(BAD_TEXTS)))
def test_a_name_from_elsewhere_stays_text(text: str) -> None:
    """As an instrument's symbol and as a strategy's name: both get into the subject."""
    run = run_of(f"/home/ann/{text}.py:Mine")
    letter = signal_letter(msgspec.structs.replace(SIGNAL, instrument=f"demo:{text}"), run, reason=text, record=(text,))
    mail = parsed(letter)
    assert set(map(str.lower, mail.keys())) <= HEADERS
    assert mail["Bcc"] is None
    assert len(mail.get_all("To", [])) == 1
    subject = str(mail["Subject"])
    assert len(subject) <= 150
    assert len(subject.splitlines()) <= 1
    assert "/home" not in subject
    html = mail.get_body(("html",))
    assert html is not None
    assert "<script" not in html.get_content()


@given(st.text(max_size=400))
def test_one_line_is_one_line(text: str) -> None:
    found = one_line(text)
    assert len(found) <= 150
    assert len(found.splitlines()) <= 1
    assert found.isprintable() or not found
    assert "=?" not in found
    mail = EmailMessage()
    mail["Subject"] = found
    assert email.message_from_bytes(mail.as_bytes(), policy=email.policy.default).keys() == ["Subject"]


@pytest.mark.parametrize(
    "url", ["https://a.b/c\r\nX: y", "javascript:alert(1)", "https://a.b/>, <https://c.d", "https://a b"]
)
def test_a_link_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(InputError, match="link"):
        mail_of(check_letter(0), msgspec_replace(ENVELOPE, unsubscribe_url=url))
