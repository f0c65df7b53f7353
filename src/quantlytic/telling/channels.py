"""Ways to reach a person. Each hands a letter over once, and asks to be allowed to at the last moment that its protocol gives.

`claim` is called when all is ready and one more step would deliver: after everything of a mail but its final dot has been sent,
before a hook gets its body, before a file gets its name. It commits that the message is about to go; when it says no, somebody
else has it, and nothing is sent. What dies before the claim has delivered nothing; what dies after it may have.
"""

from __future__ import annotations

import os
import smtplib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

from quantlytic.model.errors import InputError, StoreError
from quantlytic.telling.chart import png_of
from quantlytic.telling.letter import Letter
from quantlytic.telling.mail import Envelope, bytes_of, check_address, mail_of

Claim = Callable[[], bool]


class DeliveryFailed(Exception):
    """It was not taken, or nobody knows. `permanent`: trying again is of no use. `is_channels`: nothing else would be taken
    either, so the whole channel pauses. `may_have_arrived`: it was claimed, and no answer came."""

    def __init__(
        self, reason: str, *, permanent: bool = False, is_channels: bool = False, may_have_arrived: bool = False
    ) -> None:
        super().__init__(reason)
        self.permanent, self.is_channels, self.may_have_arrived = permanent, is_channels, may_have_arrived


class Channel(Protocol):
    """`name` is how deliveries are recorded: "outbox", "smtp", "webhook", "slack"."""

    name: str

    def deliver(self, letter: Letter, envelope: Envelope, claim: Claim) -> bool:
        """Hand it over. False when the claim was refused. Raises DeliveryFailed."""

    def close(self) -> None: ...


class Outbox:
    """A folder of .eml files, one a message, named by its id: writing it again changes nothing."""

    name = "outbox"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"the folder {folder} cannot be made: {error.strerror}; move away what is there") from None

    def deliver(self, letter: Letter, envelope: Envelope, claim: Claim) -> bool:
        target = self._folder / f"{letter.event_time:020d}-{envelope.message_id}.eml"
        part = target.with_suffix(f".{os.getpid()}.{threading.get_ident()}.part")
        try:
            with part.open("wb") as file:
                file.write(mail_of(letter, envelope).as_bytes())
                file.flush()
                os.fsync(file.fileno())
            if not claim():
                return False
            part.replace(target)
        except OSError as error:
            reason = f"the mail cannot be written to {self._folder}: {error.strerror}; free space or mend the folder"
            raise DeliveryFailed(reason, is_channels=True) from None
        finally:
            with suppress(OSError):
                part.unlink(missing_ok=True)
        return True

    def close(self) -> None: ...


class Smtp:
    """A mail server. Port 465 speaks TLS from the start; elsewhere `starttls` asks for it. Certificates are checked.

    A connection is kept for a few seconds and `MAILS` mails. Every answer has to come within `timeout_s`, a whole mail within
    `deadline_s`: a server that hangs, or drips, holds up nothing else for longer.
    """

    name = "smtp"
    MAILS, IDLE_S = 50, 5.0
    REFUSED = (550, 551, 553, 556)  # to RCPT: this address, for good

    def __init__(
        self, host: str, port: int, user: str = "", password: str = "", starttls: bool = True, *,
        timeout_s: float = 20.0, deadline_s: float = 60.0,
    ) -> None:  # fmt: skip
        self._host, self._port, self._user, self._password = host, port, user, password
        self._starttls, self._timeout_s, self._deadline_s = starttls, timeout_s, deadline_s
        self._server: smtplib.SMTP | None = None
        self._used_s, self._mails, self._is_ready = 0.0, 0, False

    def deliver(self, letter: Letter, envelope: Envelope, claim: Claim) -> bool:
        content = bytes_of(mail_of(letter, envelope))
        sender = check_address(envelope.sender, "the sender")
        claimed = False

        def claim_once() -> bool:
            nonlocal claimed
            claimed = claim()
            return claimed

        try:
            return self._send(sender, envelope.recipient, content, claim_once)
        except (OSError, smtplib.SMTPException) as error:
            self._drop()
            raise self._failure(error, claimed) from None
        except BaseException:
            self._drop()
            raise

    def close(self) -> None:
        if self._server is not None:
            with suppress(OSError, smtplib.SMTPException):
                self._server.quit()
            self._drop()

    # ---- inside

    def _send(self, sender: str, recipient: str, content: bytes, claim: Claim) -> bool:
        with self._connected() as server:
            _expect(server.mail(sender), 250)
            code, answer = server.rcpt(recipient)
            if code not in (250, 251):
                server.rset()
                words = _words(answer)
                refused = f"{self._host}:{self._port} refuses {recipient} ({code}{words})"
                raise DeliveryFailed(refused, permanent=code in self.REFUSED)
            _expect(server.docmd("DATA"), 354)
            server.send(_dotted(content))  # all of it but the dot: without that it is no mail yet
            if not claim():
                self._drop()  # and the server forgets it
                return False
            server.send(b".\r\n")
            _expect(server.getreply(), 250)
            return True

    @contextmanager
    def _connected(self) -> Iterator[smtplib.SMTP]:
        """A connection that is ready for a mail, cut off when the mail takes too long."""
        stale = time.monotonic() - self._used_s > self.IDLE_S or self._mails >= self.MAILS
        if stale:
            self.close()
        elif self._server is not None:
            try:
                _expect(self._server.rset(), 250)  # is it still there?
            except (OSError, smtplib.SMTPException):
                self._drop()
        with _deadline(self._deadline_s) as watch:
            self._is_ready = self._server is not None
            server = self._server or self._connect(watch)
            self._is_ready = True
            assert server.sock is not None
            watch(server.sock)
            yield server
        self._used_s, self._mails = time.monotonic(), self._mails + 1

    def _connect(self, watch: Callable[[socket.socket], None]) -> smtplib.SMTP:
        kind = _Tls if self._port == 465 else _Plain
        server = kind(timeout=self._timeout_s)
        server.watch = watch
        server._host = self._host  # type: ignore[attr-defined]  # what a certificate has to name; set by SMTP(host) alone
        self._server, self._mails = server, 0
        _expect(server.connect(self._host, self._port), 220)
        server.ehlo_or_helo_if_needed()
        if self._starttls and self._port != 465:
            server.starttls(context=ssl.create_default_context())
            server.ehlo()
        if self._user:
            server.login(self._user, self._password)
        return server

    def _drop(self) -> None:
        if self._server is not None:
            with suppress(OSError):
                self._server.close()
            self._server = None

    def _failure(self, error: Exception, claimed: bool) -> DeliveryFailed:
        where = f"{self._host}:{self._port}"
        if isinstance(error, smtplib.SMTPAuthenticationError):
            return DeliveryFailed(f"{where} refuses the user name or password ({error.smtp_code})", is_channels=True)
        if isinstance(error, smtplib.SMTPResponseException) and error.smtp_code > 0:
            said = f"{where} says {error.smtp_code}{_words(error.smtp_error)}"
            return DeliveryFailed(said, is_channels=not self._is_ready or error.smtp_code in (421, 454))
        reason = "took too long" if isinstance(error, TimeoutError) else _plain(error)
        return DeliveryFailed(f"{where}: {reason}", is_channels=not claimed, may_have_arrived=claimed)


class _Plain(smtplib.SMTP):
    """Tells of its socket before the first word is read from it."""

    watch: Callable[[socket.socket], None]

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        made = socket.create_connection((host, port), timeout)
        # Else the dot waits up to 40 ms in the kernel for an acknowledgement, and is sent even if we are dead by then.
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.watch(made)
        return made


class _Tls(_Plain):
    """TLS from the start."""

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        plain = super()._get_socket(host, port, timeout)
        secured = ssl.create_default_context().wrap_socket(plain, server_hostname=host)
        self.watch(secured)
        return secured


class Webhook:
    """A POST of `{"text": ...}` as Slack takes it, with the same in fields under "alert". `Idempotency-Key` is the message's id,
    the same each time. The address is a secret: it is never told."""

    def __init__(self, url: str, name: str = "webhook", *, timeout_s: float = 10.0, deadline_s: float = 30.0) -> None:
        self.name = name
        self._url, self._timeout_s, self._deadline_s = url, timeout_s, deadline_s

    def deliver(self, letter: Letter, envelope: Envelope, claim: Claim) -> bool:
        import httpx
        import msgspec

        alert = {
            "id": envelope.message_id, "kind": letter.kind, "subject": letter.subject, "lines": letter.lines,
            "facts": dict(letter.facts), "event_time": letter.event_time, "run": letter.run, "attempt": envelope.attempt,
        }  # fmt: skip
        body = msgspec.json.encode({"text": f"*{letter.subject}*\n" + "\n".join(letter.lines), "alert": alert})
        headers = {
            "Content-Type": "application/json", "Content-Length": str(len(body)),
            "Idempotency-Key": envelope.message_id, "User-Agent": "quantlytic",
        }  # fmt: skip
        if envelope.attempt > 1:
            headers["X-Quantlytic-Attempt"] = str(envelope.attempt)
        claims: list[bool] = []

        def content() -> Iterator[bytes]:
            claims.append(claim())  # connected, and the headers are sent
            if not claims[-1]:
                raise _NotOurs
            yield body

        try:
            with _deadline(self._deadline_s) as watch, httpx.Client(timeout=self._timeout_s) as client:
                trace = {"trace": lambda event, info: _watch_connection(watch, event, info)}
                with client.stream("POST", self._url, content=content(), headers=headers, extensions=trace) as reply:
                    status = reply.status_code  # the body may be anything, of any length: it is not read
        except _NotOurs:
            return False
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            reason = f"the {self.name} cannot be reached: {type(error).__name__}"
            raise DeliveryFailed(reason, is_channels=not any(claims), may_have_arrived=any(claims)) from None
        if status >= 300:
            permanent = 400 <= status < 500 and status not in (401, 403, 404, 408, 425, 429)
            raise DeliveryFailed(
                f"the {self.name} says {status}", permanent=permanent, is_channels=status in (429, 503)
            )
        return True

    def close(self) -> None: ...


class AppriseChannel:
    """Slack, Telegram, Discord, Matrix, ntfy and a hundred more, by an Apprise URL. The address is a secret: it is never told.

    Apprise says only whether it worked: what failed is tried again, with nothing by which a repeat could be known.
    Raises InputError where Apprise is not installed, or does not know the address.
    """

    def __init__(self, url: str, name: str) -> None:
        self.name = name
        try:
            import apprise
        except ModuleNotFoundError:
            raise InputError("this channel needs Apprise: pip install 'quantlytic[alerts]'") from None
        self._apprise = apprise.Apprise()
        if not self._apprise.add(url):
            raise InputError(
                f"the address of channel {name!r} is none that Apprise knows: see https://github.com/caronc/apprise/wiki"
            )

    def deliver(self, letter: Letter, envelope: Envelope, claim: Claim) -> bool:
        import apprise
        from apprise.attachment.memory import AttachMemory

        picture = png_of(letter.chart) if letter.chart is not None else None
        memory: Any = AttachMemory  # untyped
        attached = None if picture is None else memory(picture, name="chart.png", mimetype="image/png")
        kind = apprise.NotifyType.WARNING if letter.is_urgent else apprise.NotifyType.INFO
        if not claim():
            return False
        try:
            done = self._apprise.notify(
                body=letter.text, title=letter.subject, notify_type=kind, body_format=apprise.NotifyFormat.TEXT,
                attach=attached,
            )  # fmt: skip
        except Exception as error:  # a plugin's own trouble must not end the courier
            raise DeliveryFailed(f"{self.name}: {type(error).__name__}", may_have_arrived=True) from None
        if not done:
            raise DeliveryFailed(f"{self.name} did not take it", may_have_arrived=True)
        return True

    def close(self) -> None: ...


class _NotOurs(Exception):
    """The claim was refused in the middle of a request."""


@contextmanager
def _deadline(seconds: float) -> Iterator[Callable[[socket.socket], None]]:
    """Gives a function that is told of a socket; when time is up it is cut off, and whoever waits on it gets an error."""
    watched: list[socket.socket] = []

    def cut() -> None:
        for one in watched:
            with suppress(OSError):
                socket.socket.shutdown(one, socket.SHUT_RDWR)  # the plain one: TLS would want to say goodbye

    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield watched.append
    finally:
        timer.cancel()


def _watch_connection(watch: Callable[[socket.socket], None], event: str, info: dict[str, Any]) -> None:
    if event == "connection.connect_tcp.complete":
        found = info["return_value"].get_extra_info("socket")
        if found is not None:
            watch(found)


def _expect(reply: tuple[int, bytes], code: int) -> None:
    if reply[0] != code:
        raise smtplib.SMTPResponseException(reply[0], reply[1])


def _dotted(content: bytes) -> bytes:
    """Lines that begin with a dot get another one (RFC 5321 4.5.2); it ends with a line end."""
    quoted = content.replace(b"\r\n.", b"\r\n..")
    quoted = b"." + quoted if quoted.startswith(b".") else quoted
    return quoted if quoted.endswith(b"\r\n") else quoted + b"\r\n"


def _words(answer: bytes | str) -> str:
    """A mail server's own words, as far as they are words: ": mailbox full"."""
    text = answer.decode("ascii", "replace") if isinstance(answer, bytes) else answer
    plain = " ".join("".join(one if one.isprintable() else " " for one in text).split())
    return f": {plain[:120]}" if plain else ""


def _plain(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(text).split())[:160]
