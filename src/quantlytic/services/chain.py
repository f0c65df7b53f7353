"""Services that feed each other, taken in turns by one thread: no wake-ups between them."""

from __future__ import annotations

from collections.abc import Sequence

from quantlytic.services.service import Service


class Chain:
    """Several services as one. Each reads what the ones before it write; only the first waits for the world outside."""

    def __init__(self, services: Sequence[Service]) -> None:
        self.name = "+".join(service.name.partition(".")[0] for service in services)
        self._services = services

    def pump(self) -> int:
        return sum(service.pump() for service in self._services)

    def wait(self, timeout_s: float) -> None:
        self._services[0].wait(timeout_s)

    def close(self) -> None:
        for service in self._services:
            service.close()
