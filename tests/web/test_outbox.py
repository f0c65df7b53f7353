from __future__ import annotations

import os
import time
from email.message import EmailMessage
from pathlib import Path

from quantlytic.web.outbox import Outbox


def write(folder: Path, name: str, subject: str) -> None:
    mail = EmailMessage()
    mail["Subject"], mail["To"], mail["Message-ID"] = subject, "you@localhost", f"<{name}@quantlytic>"
    mail["Date"] = "Sat, 21 Nov 2026 12:00:00 +0000"
    mail.set_content("Grüße, text\n")
    mail.add_alternative("<b>html</b>", subtype="html")
    (folder / f"{name}.eml").write_bytes(mail.as_bytes())
    os.utime(folder, ns=(0, (int(name) + 1) * 10**9))  # coarse clocks: the folder certainly looks changed


def test_lists_newest_first_and_looks_again_only_when_changed(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "none")
    assert not outbox.refresh()
    outbox = Outbox(tmp_path, limit=2)
    for k in range(3):
        write(tmp_path, f"{k}", f"mail {k}")
    (tmp_path / "half.part").write_text("not a mail yet")
    assert outbox.refresh()
    assert [(mail.subject, mail.message_id, mail.time_ms) for mail in outbox.mails()] == [
        ("mail 2", "2", 1795262400000.0), ("mail 1", "1", 1795262400000.0),
    ]  # fmt: skip
    assert not outbox.refresh()
    write(tmp_path, "3", "mail 3")
    assert outbox.refresh()
    assert outbox.mails()[0].subject == "mail 3"


def test_opens_a_mail_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "outbox"
    folder.mkdir()
    write(folder, "1", "hello")
    (tmp_path / "secret.eml").write_text("secret")
    outbox = Outbox(folder)
    mail = outbox.open("1.eml")
    assert mail is not None
    assert (mail.text, mail.html.strip(), mail.mail.recipient) == ("Grüße, text\n", "<b>html</b>", "you@localhost")
    for name in ("../secret.eml", "..", "", "2.eml", str(tmp_path / "secret.eml"), "1.eml/../../secret.eml"):
        assert outbox.open(name) is None


def test_the_pictures_of_a_mail_are_in_its_html(tmp_path: Path) -> None:
    mail = EmailMessage()
    mail["Subject"], mail["Message-ID"] = "chart", "<9@quantlytic>"
    mail.set_content("text")
    mail.add_alternative(
        '<img src="cid:chart.9@quantlytic"><img src="cid:none"><img src="cid:page.9@q">', subtype="html"
    )
    html = mail.get_payload(1)
    assert isinstance(html, EmailMessage)
    html.add_related(b"\x89PNG...", "image", "png", cid="<chart.9@quantlytic>")
    html.add_related(b"<script>", "text", "html", cid="<page.9@q>")
    (tmp_path / "9.eml").write_bytes(mail.as_bytes())
    opened = Outbox(tmp_path).open("9.eml")
    assert opened is not None
    assert '<img src="data:image/png;base64,iVBORy4uLg==">' in opened.html
    assert '<img src="cid:none"><img src="cid:page.9@q">' in opened.html


def test_rubbish_is_listed_as_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "x.eml").write_bytes(b"\xff\xfe\x00 no mail at all")
    outbox = Outbox(tmp_path)
    outbox.refresh()
    assert [mail.subject for mail in outbox.mails()] == ["(no subject)"]
    assert outbox.open("x.eml") is not None


def test_a_mail_written_within_the_clocks_grain_is_found(tmp_path: Path) -> None:
    outbox, now = Outbox(tmp_path), time.time_ns()
    for k in range(2):
        write(tmp_path, f"{k}", f"mail {k}")
        os.utime(tmp_path, ns=(now, now))  # a coarse file system gives both the same time
        assert outbox.refresh()
    assert len(outbox.mails()) == 2


def test_a_mail_seen_half_written_is_read_again(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    (tmp_path / "1.eml").write_bytes(b"")
    assert outbox.refresh()
    stamp = tmp_path.stat().st_mtime_ns
    (tmp_path / "1.eml").write_bytes(b"Subject: whole\nMessage-ID: <m1@quantlytic>\n\ntext\n")
    assert tmp_path.stat().st_mtime_ns == stamp  # the folder does not tell of a file that is filled
    assert outbox.refresh()
    assert [(mail.subject, mail.message_id) for mail in outbox.mails()] == [("whole", "m1")]
