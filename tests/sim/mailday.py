"""A day of alerts for the notifier's tests: a run, what happens in it, and servers that take it badly."""

from __future__ import annotations

import asyncio
import email
import email.policy
import http.server
import json
import random
import socket
import threading
import time
from collections import Counter
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP
from tests.ports import free_port

from quantlytic.model.event import Event
from quantlytic.model.fill import Fill
from quantlytic.model.instrument import Instrument
from quantlytic.model.run import Run
from quantlytic.model.side import Side
from quantlytic.model.signal import Signal
from quantlytic.telling.delivery import Operator

LEASE_NS = 1_500_000_000
OPERATORS = {"boss@localhost": Operator("boss@localhost", "mail"), "hook": Operator("hook", "hook")}
RUN = Run(
    "paper-1", "paper", "box", "buy-and-hold", {"weight": 0.5}, (Instrument("box:BTCUSDT"),),
    1_000_000_000, 100_000.0, 10.0, 0, "",
)  # fmt: skip


def happening(number: int) -> tuple[str, Event]:
    """(stream, event): a signal and a fill in turns; signals buy and sell in turns, so that each is news."""
    now_ns, side = time.time_ns(), Side.BUY if number % 4 == 1 else Side.SELL
    if number % 2:
        return RUN.decisions_stream, Signal("paper-1", number, "box:BTCUSDT", now_ns, side, 1.5, 64_210.0, number)
    return RUN.executions_stream, Fill("paper-1", number, number, "box:BTCUSDT", now_ns, Side.BUY, 1.5, 64_211.0, 9.6)


class Mood:
    """How a server feels about each request: seeded. `rate` 0: it behaves."""

    def __init__(self, seed: str, faults: list[str], rate: float) -> None:
        self._random, self._faults, self.rate = random.Random(seed), faults, rate
        self.had: Counter[str] = Counter()
        self._lock = threading.Lock()

    def next(self) -> str:
        """A fault, or "" for none."""
        with self._lock:
            fault = self._random.choice(self._faults) if self._random.random() < self.rate else ""
            self.had[fault or "none"] += 1
            return fault


class Received:
    """What arrived at a server: how often each id, and which were taken without an answer."""

    def __init__(self) -> None:
        self.ids: Counter[str] = Counter()
        self.unanswered: Counter[str] = Counter()
        self.attempts: list[str] = []
        self.last_s = 0.0

    def take(self, message_id: str, attempt: str | None, answered: bool) -> None:
        self.ids[message_id] += 1
        self.last_s = time.monotonic()
        if not answered:
            self.unanswered[message_id] += 1
        if attempt is not None:
            self.attempts.append(attempt)

    @property
    def repeats(self) -> int:
        """How often an id came again though the server had said that it took it."""
        return sum(max(0, count - 1 - self.unanswered[one]) for one, count in self.ids.items())


SMTP_FAULTS = [
    "mail 451", "mail 554", "rcpt 450", "data 451", "dot 451", "dot 554", "drop at rcpt", "drop in data", "drop after dot",
    "take and drop", "hang at rcpt", "hang after dot", "take and hang",
]  # fmt: skip
HTTP_FAULTS = ["500", "503", "429", "drop before", "take and drop", "hang", "take and hang"]


class _MoodySmtp(SMTP):
    """Fails inside DATA, where no hook reaches."""

    mood_now = ""

    async def smtp_DATA(self, arg: str) -> None:
        if self.mood_now == "data 451":
            await self.push("451 not now")
        elif self.mood_now == "drop in data":
            await self.push("354 go ahead")
            await asyncio.sleep(0.005)
            assert self.transport is not None
            self.transport.abort()
        else:
            await super().smtp_DATA(arg)


class MailServer(Controller):
    """A real SMTP server that fails as its mood is."""

    def __init__(self, mood: Mood) -> None:
        self.mood, self.received = mood, Received()
        super().__init__(self, hostname="127.0.0.1", port=free_port())

    def factory(self) -> SMTP:
        return _MoodySmtp(self, hostname="test")

    async def handle_MAIL(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        server.mood_now = self.mood.next()
        if server.mood_now.startswith("mail "):
            return server.mood_now[5:] + " not now"
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        if server.mood_now.startswith("rcpt "):
            return server.mood_now[5:] + " not now"
        if server.mood_now == "drop at rcpt":
            server.transport.abort()
        if server.mood_now == "hang at rcpt":
            await asyncio.sleep(2.0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        mood = server.mood_now
        if mood.startswith("dot "):
            return mood[4:] + " not now"
        if mood in ("", "take and drop", "take and hang"):
            mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
            message_id = str(mail["Message-ID"]).strip("<>").partition("@")[0]
            self.received.take(message_id, mail["X-Quantlytic-Attempt"], answered=mood == "")
        if mood in ("drop after dot", "take and drop"):
            server.transport.abort()
        if mood in ("hang after dot", "take and hang"):
            await asyncio.sleep(2.0)
            server.transport.abort()
        return "250 OK"


class HookServer:
    """A real webhook server that fails as its mood is."""

    def __init__(self, mood: Mood) -> None:
        received = self.received = Received()
        self.mood = mood

        class Hook(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                fault = mood.next()
                if fault == "drop before":
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                length = int(self.headers["Content-Length"])
                body = self.rfile.read(length)
                if len(body) < length:  # whoever spoke has died in the middle of it
                    return
                if fault in ("", "take and drop", "take and hang"):
                    key = self.headers["Idempotency-Key"]
                    assert json.loads(body)["alert"]["id"] == key
                    received.take(key, self.headers["X-Quantlytic-Attempt"], answered=not fault)
                if fault.endswith("hang"):
                    time.sleep(1.0)
                if fault.endswith(("drop", "hang")):
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                self.send_response(int(fault or 200))
                self.end_headers()

            def log_message(self, *args: object) -> None: ...
            def handle_error(self, *args: object) -> None: ...

        class Quiet(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                """Connections that died are what is tested."""

        self._server = Quiet(("127.0.0.1", 0), Hook)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook/secret"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
