"""A predictor's place in a simulation: each bar one forecast, made of the bar alone; models change now and then."""

from __future__ import annotations

import hashlib
import math

from quantlytic.model.bar import Bar
from quantlytic.model.barsclosed import BarsClosed
from quantlytic.model.event import Event
from quantlytic.model.forecast import Forecast, ModelChange
from quantlytic.services.inbox import Inbox
from quantlytic.store.log.port import Log

MODEL_BARS = 15  # so long a model stays


class Foreteller:
    """Outputs and position as one commit, as the real one does."""

    def __init__(self, log: Log, venue: str, line: str) -> None:
        self.name, self._line, self._log = f"predictor.{line}", line, log
        self._writer = log.writer(self.name)
        self._inbox = Inbox(log, f"bars.{venue}", self._writer.positions.get(f"bars.{venue}", 0))
        self._count = int.from_bytes(self._writer.snapshot or b"", "little")

    def pump(self) -> int:
        outputs: list[Event] = []
        while self._inbox.peek() is not None and len(outputs) < 10:
            offset, event = self._inbox.take()
            if isinstance(event, BarsClosed):
                outputs.append(event)
            elif isinstance(event, Bar):
                outputs += self._foretell(event, offset)
        if outputs:
            state = self._count.to_bytes(8, "little")
            self._writer.commit({f"forecasts.{self._line}": outputs}, {self._inbox.stream: self._inbox.position}, state)
        return len(outputs)

    def wait(self, timeout_s: float) -> None:
        self._log.wait({self._inbox.stream: self._inbox.read_position}, timeout_s)

    def close(self) -> None:
        self._writer.close()

    def _foretell(self, bar: Bar, offset: int) -> list[Event]:
        number, self._count = self._count // MODEL_BARS, self._count + 1
        found: list[Event] = []
        if self._count % MODEL_BARS == 1:
            old = f"m{number - 1}" if number else ""
            found.append(ModelChange(self._line, "", bar.close_time, old, f"m{number}", "command", "next", offset))
        dice = hashlib.sha256(f"{number} {bar}".encode()).digest()
        value = math.nan if dice[0] < 20 else dice[1] / 255
        fields = [getattr(bar, name) for name in bar.__struct_fields__]
        found.append(Forecast(self._line, *fields, value, f"m{number}", "" if dice[0] >= 20 else "warming up", offset))
        return found
