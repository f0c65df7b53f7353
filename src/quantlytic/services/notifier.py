"""Signals to people, once each."""

from __future__ import annotations

import time
from collections.abc import Callable

from quantlytic.model.delivery import Delivery
from quantlytic.model.run import Run
from quantlytic.model.signal import Signal
from quantlytic.services.channels import Channel, DeliveryFailed
from quantlytic.services.inbox import Inbox
from quantlytic.services.notice import Notice, notice_of
from quantlytic.store.log.port import Log


class Notifier:
    """Hands each signal of the run to one channel, in order, and records the delivery with the position in one commit.

    A channel that is down holds up only itself: it is tried again after 1, 2, 4 ... 60 s, for as long as it takes. What it
    refuses for good is recorded as failed, with the reason. Between the hand-over and the commit a crash can come: the
    notice is then handed over again under the same id (the outbox recognises it, mail servers and hooks can).
    """

    FIRST_RETRY_S, LAST_RETRY_S = 1.0, 60.0

    def __init__(self, log: Log, run: Run, channel: Channel, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self.name = f"notifier.{channel.name}.{run.run_id}"
        self._log, self._run, self._channel, self._now_s = log, run, channel, monotonic_s
        self._writer = log.writer(self.name)
        position = self._writer.positions.get(run.decisions_stream, 0)
        self._inbox = Inbox(log, run.decisions_stream, position)
        self._retry_at_s, self._retry_s = 0.0, self.FIRST_RETRY_S
        self.last_failure = ""

    def pump(self) -> int:
        taken = 0
        while (ahead := self._inbox.peek()) is not None:
            event = ahead[1]
            if isinstance(event, Signal) and not self._tell(notice_of(event, self._run)):
                break
            if not isinstance(event, Signal):
                self._inbox.take()
            taken += 1
        return taken

    def _tell(self, notice: Notice) -> bool:
        """Deliver and commit; False when it has to be tried again later."""
        if self._now_s() < self._retry_at_s:
            return False
        status, detail = "sent", ""
        try:
            self._channel.deliver(notice)
        except DeliveryFailed as failure:
            self.last_failure = str(failure)
            if not failure.permanent:
                self._retry_at_s = self._now_s() + self._retry_s
                self._retry_s = min(2 * self._retry_s, self.LAST_RETRY_S)
                return False
            status, detail = "failed", str(failure)
        self._retry_s = self.FIRST_RETRY_S
        self._inbox.take()
        delivery = Delivery(
            self._run.run_id, notice.message_id, self._channel.name, self._channel.recipient,
            notice.event_time, notice.subject, status, detail,
        )  # fmt: skip
        self._writer.commit({"deliveries": [delivery]}, {self._inbox.stream: self._inbox.position})
        return True

    def wait(self, timeout_s: float) -> None:
        pause_s = self._retry_at_s - self._now_s()
        if self._inbox.peek() is not None and pause_s > 0:
            time.sleep(min(pause_s, timeout_s))
        else:
            self._log.wait({self._inbox.stream: self._inbox.read_position}, timeout_s)

    def close(self) -> None:
        self._writer.close()
