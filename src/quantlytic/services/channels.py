"""Ways to reach a person: the outbox folder, SMTP, a Slack-style webhook."""

from __future__ import annotations

import os
import smtplib
from pathlib import Path
from typing import Protocol

from quantlytic.model.errors import StoreError
from quantlytic.services.notice import Notice, mail_of


class DeliveryFailed(Exception):
    """The channel did not take the notice. `permanent`: trying again is of no use (the address is refused)."""

    def __init__(self, reason: str, permanent: bool = False) -> None:
        super().__init__(reason)
        self.permanent = permanent


class Channel(Protocol):
    """A channel takes a notice or raises DeliveryFailed. Handing over the same notice twice must be recognisable."""

    name: str
    recipient: str

    def deliver(self, notice: Notice) -> None: ...


class Outbox:
    """A folder of .eml files, one a notice, named by its id: writing it again changes nothing."""

    name = "outbox"

    def __init__(self, folder: Path, sender: str, recipient: str) -> None:
        self.recipient = recipient
        self._folder, self._sender = folder, sender
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"the folder {folder} cannot be made: {error.strerror}; move away what is there") from None

    def deliver(self, notice: Notice) -> None:
        target = self._folder / f"{notice.event_time:020d}-{notice.message_id}.eml"
        part = target.with_suffix(".part")
        try:
            with part.open("wb") as file:
                file.write(mail_of(notice, self._sender, self.recipient).as_bytes())
                file.flush()
                os.fsync(file.fileno())
            _move(part, target)
        except OSError as error:
            raise StoreError(
                f"the mail cannot be written to {target}: {error.strerror}; free space or mend the folder"
            ) from None


def _move(part: Path, target: Path) -> None:
    try:
        part.replace(target)
    except FileNotFoundError:
        if not target.exists():
            raise
        # A notifier that is being replaced by this one wrote the same mail at the same time, and was quicker.


class Smtp:
    """A mail server. After a crash between its answer and our commit the mail goes out again, Message-ID unchanged."""

    name = "smtp"

    def __init__(
        self, host: str, port: int, sender: str, recipient: str, user: str = "", password: str = "",
        starttls: bool = True, timeout_s: float = 20.0,
    ) -> None:  # fmt: skip
        self.recipient = recipient
        self._address, self._sender, self._timeout_s = (host, port), sender, timeout_s
        self._user, self._password, self._starttls = user, password, starttls

    def deliver(self, notice: Notice) -> None:
        host, port = self._address
        try:
            with smtplib.SMTP(host, port, timeout=self._timeout_s) as server:
                if self._starttls:
                    server.starttls()
                if self._user:
                    server.login(self._user, self._password)
                server.send_message(mail_of(notice, self._sender, self.recipient))
        except smtplib.SMTPRecipientsRefused as error:
            code = max(code for code, _ in error.recipients.values())
            raise DeliveryFailed(f"{host}:{port} refuses {self.recipient} ({code})", permanent=code >= 500) from None
        except smtplib.SMTPResponseException as error:
            raise DeliveryFailed(f"{host}:{port} says {error.smtp_code}", permanent=error.smtp_code >= 550) from None
        except (OSError, smtplib.SMTPException) as error:
            raise DeliveryFailed(f"{host}:{port}: {error}") from None


class Webhook:
    """A POST of `{"text": ...}` as Slack takes it; `Idempotency-Key` is the notice's id. The address is a secret."""

    name = "webhook"

    def __init__(self, url: str, timeout_s: float = 10.0) -> None:
        self.recipient = "webhook"
        self._url, self._timeout_s = url, timeout_s

    def deliver(self, notice: Notice) -> None:
        import httpx

        body = {"text": "\n".join([f"*{notice.subject}*", *notice.lines])}
        try:
            reply = httpx.post(
                self._url, json=body, headers={"Idempotency-Key": notice.message_id}, timeout=self._timeout_s
            )
        except httpx.HTTPError as error:
            raise DeliveryFailed(f"the webhook cannot be reached: {type(error).__name__}") from None
        if reply.status_code >= 300:
            permanent = 400 <= reply.status_code < 500 and reply.status_code not in (408, 425, 429)
            raise DeliveryFailed(f"the webhook says {reply.status_code}", permanent)
