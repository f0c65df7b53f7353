"""What the local servers of documented protocols share: a loop in a thread of its own, and faults to order."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from types import TracebackType
from typing import ClassVar, Self


class ThreadServer:
    """A context manager. `_serve`, in the thread, sets `port` and `_ready` once it listens, and returns after `_stop`."""

    FAULTS: ClassVar[tuple[str, ...]]

    def __init__(self, name: str) -> None:
        self.faults: Counter[str] = Counter()
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._ready = threading.Event()
        self._stop = asyncio.Event()

    @property
    def rest_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        self._loop.close()

    def fail(self, name: str, times: int = 1) -> None:
        """The fault strikes the next `times` occasions."""
        assert name in self.FAULTS
        self.faults[name] = times

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        raise NotImplementedError
