"""A signal becomes a mail and a message: once, whatever the channel does."""

from __future__ import annotations

import email
import email.policy
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiosmtpd.controller import Controller

from quantlytic.model.delivery import Delivery
from quantlytic.model.equity import Decided
from quantlytic.model.errors import StoreError
from quantlytic.model.instrument import Instrument
from quantlytic.model.run import Run
from quantlytic.model.side import Side
from quantlytic.model.signal import Signal
from quantlytic.services.channels import Channel, DeliveryFailed, Outbox, Smtp, Webhook
from quantlytic.services.notice import Notice, mail_of, notice_of
from quantlytic.services.notifier import Notifier
from quantlytic.store.log import open_log
from quantlytic.store.log.port import Log

RUN = Run(
    "paper-1", "paper", "box", "sma-cross", {"fast": 4, "slow": 12}, (Instrument("box:BTCUSDT"),),
    1_000_000_000, 100_000.0, 10.0, 0, "",
)  # fmt: skip


def signal_of(number: int) -> Signal:
    return Signal("paper-1", number, "box:BTCUSDT", 1_700_000_000_000_000_000 + number, Side.BUY, 1.5, 64_210.0, number)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    log = open_log("sqlite", folder=tmp_path / "log")
    writer = log.writer("strategist.paper-1")
    for number in range(1, 4):
        writer.commit({RUN.decisions_stream: [signal_of(number), Decided("paper-1", number)]})
    yield log
    log.close()


class Flaky:
    """A channel that fails as told before it takes anything."""

    name = "flaky"
    recipient = "somebody"

    def __init__(self, failures: list[DeliveryFailed]) -> None:
        self.failures, self.taken = failures, []  # type: ignore[var-annotated]

    def deliver(self, notice: Notice) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.taken.append(notice.message_id)


def deliveries(log: Log) -> list[Delivery]:
    return [event for event in log.read("deliveries", 0).events if isinstance(event, Delivery)]


@pytest.mark.parametrize(
    ("tick", "price", "text"),
    [(0.01, 3_001.1, "3,001.10"), (0.5, 3_001.5, "3,001.5"), (1.0, 60_045.0, "60,045"), (1e-8, 2e-6, "0.00000200")],
)
def test_prices_have_the_decimals_of_the_tick(tick: float, price: float, text: str) -> None:
    run = msgspec.structs.replace(RUN, instruments=(Instrument("box:BTCUSDT", "BTC", tick_size=tick),))
    notice = notice_of(msgspec.structs.replace(signal_of(1), price=price), run)
    assert notice.subject == f"BUY BTCUSDT at {text} (sma-cross, paper)"
    assert f"at a price of {text}." in notice.lines[1]
    assert notice.lines[0].endswith("it wants to hold 1.5 BTC.")


def test_an_outbox_that_cannot_be_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "outbox").touch()
    with pytest.raises(StoreError, match="outbox cannot be made"):
        Outbox(tmp_path / "outbox", "q@localhost", "you@localhost")


def test_each_signal_is_one_mail_in_the_outbox(log: Log, tmp_path: Path) -> None:
    channel = Outbox(tmp_path / "outbox", "q@localhost", "you@localhost")
    notifier = Notifier(log, RUN, channel)
    notifier.pump()
    notifier.pump()
    mails = sorted((tmp_path / "outbox").iterdir())
    assert len(mails) == 3
    mail = email.message_from_bytes(mails[0].read_bytes(), policy=email.policy.default)
    assert mail["Subject"] == "BUY BTCUSDT at 64,210 (sma-cross, paper)"
    body = mail.get_body(("plain",))
    assert body is not None
    assert "wants to hold 1.5 BTCUSDT" in body.get_content()
    assert [d.status for d in deliveries(log)] == ["sent"] * 3


def test_a_restart_before_the_commit_writes_the_same_file_again(log: Log, tmp_path: Path) -> None:
    channel = Outbox(tmp_path / "outbox", "q@localhost", "you@localhost")
    channel.deliver(notice_of(signal_of(1), RUN))  # handed over, and died before the commit
    before = next((tmp_path / "outbox").iterdir()).read_bytes()
    Notifier(log, RUN, channel).pump()
    assert len(list((tmp_path / "outbox").iterdir())) == 3
    assert sorted((tmp_path / "outbox").iterdir())[0].read_bytes() == before
    assert Notifier(log, RUN, channel).pump() == 1  # only the last Decided, which needs no commit of its own
    assert len(deliveries(log)) == 3


def test_a_channel_that_is_down_is_tried_again_with_growing_pauses(log: Log) -> None:
    now = [100.0]
    channel = Flaky([DeliveryFailed("down")] * 3)
    notifier = Notifier(log, RUN, channel, monotonic_s=lambda: now[0])
    for expected_pause in (1.0, 2.0, 4.0):
        assert notifier.pump() == 0
        now[0] += expected_pause - 0.01
        assert notifier.pump() == 0, "tried before its pause was over"
        now[0] += 0.02
    notifier.pump()
    assert len(channel.taken) == 3
    assert [d.status for d in deliveries(log)] == ["sent"] * 3


def test_what_is_refused_for_good_is_recorded_and_the_next_goes_out(log: Log) -> None:
    channel = Flaky([DeliveryFailed("no such user (550)", permanent=True)])
    Notifier(log, RUN, channel).pump()
    assert [(d.status, d.detail) for d in deliveries(log)][:2] == [("failed", "no such user (550)"), ("sent", "")]
    assert len(channel.taken) == 2


class Postbox:
    """A real SMTP server that keeps what it takes and can defer or refuse."""

    def __init__(self) -> None:
        self.answers: list[str] = []
        self.mails: list[Any] = []

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        if self.answers:
            return self.answers.pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.mails.append(email.message_from_bytes(envelope.content, policy=email.policy.default))
        return "250 OK"


@pytest.fixture
def postbox() -> Iterator[tuple[Postbox, Smtp]]:
    handler = Postbox()
    controller = Controller(handler, hostname="127.0.0.1", port=0)
    # aiosmtpd's Controller cannot take port 0 with its own self-test; let the kernel choose one first
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        controller.port = probe.getsockname()[1]
    controller.start()
    yield handler, Smtp("127.0.0.1", controller.port, "q@localhost", "you@localhost", starttls=False, timeout_s=5)
    controller.stop()


def test_mail_goes_out_by_smtp_with_a_stable_id(log: Log, postbox: tuple[Postbox, Smtp]) -> None:
    handler, channel = postbox
    Notifier(log, RUN, channel).pump()
    assert [mail["Message-ID"] for mail in handler.mails] == [
        mail_of(notice_of(signal_of(n), RUN), "q@localhost", "you@localhost")["Message-ID"] for n in (1, 2, 3)
    ]


def test_smtp_defers_and_refuses(log: Log, postbox: tuple[Postbox, Smtp]) -> None:
    handler, channel = postbox
    handler.answers = ["451 try later"]
    with pytest.raises(DeliveryFailed) as deferred:
        channel.deliver(notice_of(signal_of(1), RUN))
    assert not deferred.value.permanent
    handler.answers = ["550 no such user"]
    with pytest.raises(DeliveryFailed) as refused:
        channel.deliver(notice_of(signal_of(1), RUN))
    assert refused.value.permanent


def test_smtp_nobody_there() -> None:
    with pytest.raises(DeliveryFailed, match=r"127\.0\.0\.1:1"):
        Smtp("127.0.0.1", 1, "q@localhost", "you@localhost", timeout_s=1).deliver(notice_of(signal_of(1), RUN))


def test_webhook_posts_slack_text_with_an_idempotency_key(log: Log) -> None:
    seen: list[tuple[str | None, Any]] = []
    answers = [500, 200, 200, 200]

    class Hook(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            seen.append((self.headers["Idempotency-Key"], json.loads(body)))
            self.send_response(answers.pop(0))
            self.end_headers()

        def log_message(self, *args: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        channel: Channel = Webhook(f"http://127.0.0.1:{server.server_port}/hook/secret")
        now = [0.0]
        notifier = Notifier(log, RUN, channel, monotonic_s=lambda: now[0])
        notifier.pump()
        assert notifier.last_failure == "the webhook says 500"
        now[0] = 10.0
        notifier.pump()
        server.shutdown()
    assert len(seen) == 4
    assert seen[0] == seen[1], "the repeat is the same message under the same key"
    assert "BUY BTCUSDT" in seen[0][1]["text"]


def test_header_injection_is_refused() -> None:
    with pytest.raises(ValueError, match=r"newline|linefeed|carriage"):
        mail_of(notice_of(signal_of(1), RUN), "q@localhost", "you@localhost\r\nBcc: everyone@localhost")
