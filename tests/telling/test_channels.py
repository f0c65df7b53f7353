"""Channels against real servers: what is sent, when the claim is made, and what each refusal means."""

from __future__ import annotations

import email
import email.policy
import http.server
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult
from tests.ports import free_port
from tests.telling.letters import of_each_kind

from quantlytic.model.errors import InputError, StoreError
from quantlytic.telling.channels import AppriseChannel, DeliveryFailed, Outbox, Smtp, Webhook
from quantlytic.telling.mail import Envelope

LETTER = of_each_kind()["signal"]
SHORT = of_each_kind()["fill"]
ENVELOPE = Envelope("q@localhost", "you@localhost", "cd" * 32)


_LOADS_APPRISE = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of modules that its plugins load


def yes() -> bool:
    return True


class Postbox:
    """Keeps what it takes, and answers as told: a word of the protocol -> an answer, each once."""

    def __init__(self) -> None:
        self.answers: dict[str, str] = {}
        self.mails: list[Any] = []
        self.raw: list[bytes] = []
        self.connections = 0

    async def handle_EHLO(
        self, server: Any, session: Any, envelope: Any, hostname: str, responses: list[str]
    ) -> list[str]:
        self.connections += 1
        session.host_name = hostname
        return responses

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        envelope.rcpt_tos.append(address)
        return self.answers.pop("RCPT", "250 OK")

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        answer = self.answers.pop("DATA", "250 OK")
        if answer == "drop":
            server.transport.abort()
        if answer.startswith("250"):
            self.raw.append(envelope.original_content)
            self.mails.append(email.message_from_bytes(envelope.content, policy=email.policy.default))
        return answer


@pytest.fixture
def postbox() -> Iterator[tuple[Postbox, int]]:
    handler = Postbox()
    controller = Controller(handler, hostname="127.0.0.1", port=free_port())
    controller.start()
    yield handler, controller.port
    controller.stop()


_open: list[Smtp] = []


def smtp(port: int, **more: Any) -> Smtp:
    _open.append(Smtp("127.0.0.1", port, starttls=False, **({"timeout_s": 2.0} | more)))
    return _open[-1]


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    while _open:
        _open.pop().close()


def test_a_mail_arrives_as_it_was_made_and_the_connection_is_kept(postbox: tuple[Postbox, int]) -> None:
    handler, port = postbox
    channel = smtp(port)
    for _ in range(3):
        assert channel.deliver(LETTER, ENVELOPE, yes)
    channel.close()
    assert handler.connections == 1
    assert [mail["Message-ID"] for mail in handler.mails] == [f"<{'cd' * 32}@quantlytic>"] * 3
    assert handler.mails[0]["Subject"] == LETTER.subject
    assert handler.raw[0] == handler.raw[1]


def test_lines_that_begin_with_a_dot_arrive(postbox: tuple[Postbox, int]) -> None:
    import msgspec

    handler, port = postbox
    letter = msgspec.structs.replace(LETTER, lines=(".", "..two", ". and more"), chart=None)
    assert smtp(port).deliver(letter, ENVELOPE, yes)
    body = handler.mails[0].get_body(("plain",)).get_content()
    assert body.splitlines()[:3] == [".", "..two", ". and more"]


def test_without_the_claim_nothing_arrives_and_the_next_mail_does(postbox: tuple[Postbox, int]) -> None:
    handler, port = postbox
    channel = smtp(port)
    seen: list[int] = []
    assert not channel.deliver(LETTER, ENVELOPE, lambda: bool(seen.append(len(handler.mails))))
    assert channel.deliver(LETTER, ENVELOPE, yes)
    assert seen == [0]
    assert len(handler.mails) == 1


@pytest.mark.parametrize(
    ("word", "answer", "permanent", "is_channels", "claims"),
    [
        ("RCPT", "550 no such user", True, False, 0),
        ("RCPT", "553 bad name", True, False, 0),
        ("RCPT", "450 greylisted", False, False, 0),
        ("RCPT", "552 mailbox full", False, False, 0),
        ("RCPT", "554 policy", False, False, 0),
        ("DATA", "451 try later", False, False, 1),
        ("DATA", "554 looks like spam", False, False, 1),
        ("DATA", "421 going down", False, True, 1),
    ],
)
def test_what_a_mail_server_says(
    postbox: tuple[Postbox, int], word: str, answer: str, permanent: bool, is_channels: bool, claims: int
) -> None:
    handler, port = postbox
    handler.answers[word] = answer
    channel, claimed = smtp(port), []
    with pytest.raises(DeliveryFailed) as failed:
        channel.deliver(LETTER, ENVELOPE, lambda: not claimed.append(1))
    assert (failed.value.permanent, failed.value.is_channels, failed.value.may_have_arrived) == (
        permanent,
        is_channels,
        False,
    )
    assert len(claimed) == claims
    assert answer[:3] in str(failed.value)
    assert answer[4:] in str(failed.value)
    assert channel.deliver(LETTER, ENVELOPE, yes), "the next one goes out"
    channel.close()


def test_dropped_after_the_dot_may_have_arrived(postbox: tuple[Postbox, int]) -> None:
    handler, port = postbox
    handler.answers["DATA"] = "drop"
    with pytest.raises(DeliveryFailed) as failed:
        smtp(port).deliver(LETTER, ENVELOPE, yes)
    assert failed.value.may_have_arrived


def test_nobody_there() -> None:
    with pytest.raises(DeliveryFailed, match=r"^127\.0\.0\.1:1: ") as failed:
        smtp(1).deliver(LETTER, ENVELOPE, yes)
    assert failed.value.is_channels
    assert not failed.value.may_have_arrived


def test_a_name_that_is_none() -> None:
    with pytest.raises(DeliveryFailed, match=r"nowhere\.invalid"):
        Smtp("nowhere.invalid", 25, timeout_s=2.0).deliver(LETTER, ENVELOPE, yes)


def test_a_server_that_offers_no_tls_gets_nothing(postbox: tuple[Postbox, int]) -> None:
    handler, port = postbox
    with pytest.raises(DeliveryFailed, match="STARTTLS"):
        Smtp("127.0.0.1", port, starttls=True, timeout_s=2.0).deliver(LETTER, ENVELOPE, yes)
    assert not handler.mails


@pytest.mark.filterwarnings("ignore:Requiring AUTH")
def test_a_wrong_password_pauses_the_channel_and_is_not_told() -> None:
    class Guarded(Controller):
        def factory(self) -> SMTP:
            refuse = lambda *_: AuthResult(success=False, handled=False)  # noqa: E731
            return SMTP(Postbox(), authenticator=refuse, auth_require_tls=False, auth_required=True)

    controller = Guarded(Postbox(), hostname="127.0.0.1", port=free_port())
    controller.start()
    try:
        with pytest.raises(DeliveryFailed, match="user name or password") as failed:
            Smtp("127.0.0.1", controller.port, "ann", "hunter2", False, timeout_s=2.0).deliver(LETTER, ENVELOPE, yes)
    finally:
        controller.stop()
    assert failed.value.is_channels
    assert "hunter2" not in str(failed.value)


@pytest.fixture
def silent() -> Iterator[Callable[[bytes, float], int]]:
    """A server that takes connections, and drips one byte of an answer each so often."""
    closing: list[socket.socket] = []
    stop = threading.Event()

    def start(drip: bytes, every_s: float) -> int:
        listener = socket.create_server(("127.0.0.1", 0))
        closing.append(listener)

        def serve() -> None:
            try:
                connection, _ = listener.accept()
                with connection:
                    while drip and not stop.wait(every_s):
                        connection.sendall(drip)
                    stop.wait(10)
            except OSError:
                pass

        threading.Thread(target=serve, daemon=True).start()
        return int(listener.getsockname()[1])

    yield start
    stop.set()
    for one in closing:
        one.close()


@pytest.mark.parametrize("drip", [b"", b"2"])
def test_a_server_that_hangs_or_drips_is_left_in_time(silent: Callable[[bytes, float], int], drip: bytes) -> None:
    began_s = time.monotonic()
    channel = smtp(silent(drip, 0.1), timeout_s=0.5, deadline_s=0.8)
    with pytest.raises(DeliveryFailed) as failed:
        channel.deliver(SHORT, ENVELOPE, yes)
    assert time.monotonic() - began_s < 2.0
    assert failed.value.is_channels


@pytest.mark.parametrize("drip", [b"", b"H"])
def test_a_hook_that_hangs_or_drips_is_left_in_time(silent: Callable[[bytes, float], int], drip: bytes) -> None:
    began_s = time.monotonic()
    channel = Webhook(f"http://127.0.0.1:{silent(drip, 0.1)}/x", timeout_s=0.5, deadline_s=0.8)
    with pytest.raises(DeliveryFailed) as failed:
        channel.deliver(SHORT, ENVELOPE, yes)
    assert time.monotonic() - began_s < 2.0
    assert failed.value.may_have_arrived


class Hooks:
    """A webhook server: requests as they came, answers as told."""

    def __init__(self) -> None:
        hooks = self
        self.requests: list[tuple[str, dict[str, str], Any]] = []
        self.answers: list[int] = []

        class Hook(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if body:
                    hooks.requests.append((self.path, dict(self.headers), json.loads(body)))
                status = hooks.answers.pop(0) if hooks.answers else 200
                self.send_response(status)
                if status in (301, 302):
                    self.send_header("Location", "/elsewhere")
                self.end_headers()
                self.wfile.write(b"<html>what is this?</html>")

            def log_message(self, *args: object) -> None: ...

        class Quiet(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: Any, client_address: Any) -> None: ...

        self.server = Quiet(("127.0.0.1", 0), Hook)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook/s3cret"


@pytest.fixture
def hooks() -> Iterator[Hooks]:
    found = Hooks()
    yield found
    found.server.shutdown()
    found.server.server_close()


def test_a_hook_gets_text_fields_and_a_key(hooks: Hooks) -> None:
    assert Webhook(hooks.url).deliver(LETTER, Envelope("q@localhost", "hook", "e1", attempt=2), yes)
    ((path, headers, body),) = hooks.requests
    assert path == "/hook/s3cret"
    assert headers["Idempotency-Key"] == "e1"
    assert headers["X-Quantlytic-Attempt"] == "2"
    assert body["text"].startswith(f"*{LETTER.subject}*\n")
    assert body["alert"]["facts"]["Price"] == "64,210.00"
    assert body["alert"]["kind"] == "signal"


def test_a_hook_that_is_not_ours_any_more_gets_no_body(hooks: Hooks) -> None:
    assert not Webhook(hooks.url).deliver(LETTER, ENVELOPE, lambda: False)
    time.sleep(0.05)
    assert not hooks.requests


@pytest.mark.parametrize(
    ("status", "permanent", "is_channels"),
    [
        (500, False, False),
        (503, False, True),
        (429, False, True),
        (404, False, False),
        (400, True, False),
        (302, False, False),
    ],
)
def test_what_a_hook_says(hooks: Hooks, status: int, permanent: bool, is_channels: bool) -> None:
    hooks.answers = [status]
    with pytest.raises(DeliveryFailed, match=f"^the webhook says {status}$") as failed:
        Webhook(hooks.url).deliver(LETTER, ENVELOPE, yes)
    assert (failed.value.permanent, failed.value.is_channels) == (permanent, is_channels)
    assert len(hooks.requests) == 1, "no redirect is followed"


def test_a_hook_that_is_not_there_is_not_told_by_its_address() -> None:
    with pytest.raises(DeliveryFailed, match="ConnectError") as failed:
        Webhook("http://127.0.0.1:1/s3cret").deliver(LETTER, ENVELOPE, yes)
    assert "s3cret" not in str(failed.value)
    assert failed.value.is_channels
    assert not failed.value.may_have_arrived


@_LOADS_APPRISE
def test_apprise_delivers_with_the_chart(hooks: Hooks) -> None:
    channel = AppriseChannel(hooks.url.replace("http://", "json://"), "ops")
    assert channel.deliver(LETTER, ENVELOPE, yes)
    ((_, _, body),) = hooks.requests
    assert body["title"] == LETTER.subject
    assert LETTER.lines[0] in body["message"]
    assert [one["mimetype"] for one in body["attachments"]] == ["image/png"]
    assert not channel.deliver(LETTER, ENVELOPE, lambda: False)
    assert len(hooks.requests) == 1


@_LOADS_APPRISE
def test_apprise_that_fails_is_tried_again_and_not_told_by_its_address(hooks: Hooks) -> None:
    hooks.answers = [500]
    with pytest.raises(DeliveryFailed, match=r"^ops did not take it$"):
        AppriseChannel(hooks.url.replace("http://", "json://"), "ops").deliver(LETTER, ENVELOPE, yes)


@_LOADS_APPRISE
@pytest.mark.parametrize("url", ["nonsense://s3cret", "", "slack://s3cret"])
def test_an_apprise_address_that_is_none(url: str) -> None:
    with pytest.raises(InputError, match="channel 'ops'") as refused:
        AppriseChannel(url, "ops")
    assert "s3cret" not in str(refused.value)


def test_an_outbox_writes_each_once_and_leaves_nothing_behind(tmp_path: Path) -> None:
    channel = Outbox(tmp_path / "outbox")
    assert channel.deliver(LETTER, ENVELOPE, yes)
    (written,) = (tmp_path / "outbox").iterdir()
    before = written.read_bytes()
    assert channel.deliver(LETTER, ENVELOPE, yes)
    assert not channel.deliver(LETTER, Envelope("q@localhost", "you@localhost", "other"), lambda: False)
    assert [one.name for one in (tmp_path / "outbox").iterdir()] == [f"{LETTER.event_time:020d}-{'cd' * 32}.eml"]
    assert written.read_bytes() == before


def test_an_outbox_that_cannot_be_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "outbox").touch()
    with pytest.raises(StoreError, match="outbox cannot be made"):
        Outbox(tmp_path / "outbox")


def test_an_outbox_that_goes_away_is_waited_for(tmp_path: Path) -> None:
    channel = Outbox(tmp_path / "outbox")
    (tmp_path / "outbox").rmdir()
    with pytest.raises(DeliveryFailed, match="free space or mend the folder") as failed:
        channel.deliver(LETTER, ENVELOPE, yes)
    assert failed.value.is_channels
