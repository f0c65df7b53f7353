"""A service that gives a sign of life each time it comes round."""

from __future__ import annotations

import time
from collections.abc import Callable

from quantlytic.model.time import NS_PER_S
from quantlytic.services.service import Service
from quantlytic.trading.heartbeat import Heartbeat


class Beating:
    """`service`, beating after each pump (once a second at most). One that hangs within a pump falls silent, and is noticed."""

    def __init__(self, service: Service, heartbeat: Heartbeat, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self.name = service.name
        self._service, self._heartbeat, self._clock_ns = service, heartbeat, clock_ns
        self._beat_ns = 0
        self._has_failed = False

    def pump(self) -> int:
        """See `Service.pump`."""
        self._has_failed = True
        count = self._service.pump()
        self._has_failed = False
        now_ns = self._clock_ns()
        if not 0 <= now_ns - self._beat_ns < NS_PER_S:
            self._heartbeat.beat(now_ns)
            self._beat_ns = now_ns
        return count

    def wait(self, timeout_s: float) -> None:
        """See `Service.wait`."""
        self._service.wait(min(timeout_s, 1.0))

    def close(self) -> None:
        """See `Service.close`. After a pump that raised the sign of life stays, grows old, and is noticed."""
        self._service.close()
        if not self._has_failed:
            self._heartbeat.stop()
