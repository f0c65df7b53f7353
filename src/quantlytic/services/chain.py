"""Services that feed each other, taken in turns by one thread: no wake-ups between them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence

from quantlytic.model.errors import Fenced
from quantlytic.services.service import Service


class Chain:
    """Several services as one. Each reads what the ones before it write; only the first waits for the world outside.

    One whose name another process has taken over is left out from then on, and told of by `on_fenced` (name, error); it raises
    where there is no `on_fenced`, and when none is left.
    """

    def __init__(self, services: Sequence[Service], on_fenced: Callable[[str, Fenced], None] | None = None) -> None:
        self.name = "+".join(service.name.partition(".")[0] for service in services)
        self.on_fenced = on_fenced
        self._services = list(services)

    def pump(self) -> int:
        return sum(self._pump(service) for service in tuple(self._services))

    def _pump(self, service: Service) -> int:
        try:
            return service.pump()
        except Fenced as error:
            if self.on_fenced is None or len(self._services) == 1:
                raise
            self._services.remove(service)
            with contextlib.suppress(Fenced):
                service.close()
            self.on_fenced(service.name, error)
            return 0

    def wait(self, timeout_s: float) -> None:
        self._services[0].wait(timeout_s)

    def close(self) -> None:
        for service in self._services:
            service.close()
