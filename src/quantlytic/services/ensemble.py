"""Forecasts of several lines as one: the mean of what their models expect."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from enum import Enum

import msgspec

from quantlytic.model.barsclosed import BarsClosed
from quantlytic.model.errors import InputError, QuantlyticError
from quantlytic.model.event import Event
from quantlytic.model.forecast import Forecast, ModelChange
from quantlytic.services.inbox import Inbox
from quantlytic.store.log.port import Log

MOST_EVENTS = 500
COMMIT_EVERY = 20_000


class _Found(Enum):
    NOT_YET = 0
    NEVER = 1


class _Saved(msgspec.Struct, array_like=True):
    models: dict[str, str]


_SAVED = msgspec.msgpack.Decoder(_Saved)


class Ensemble:
    """Reads `forecasts.MEMBER` of each member, writes `forecasts.LINE`: of each bar of the first member one Forecast, its value
    the mean of all members' values, NaN with the reason where one of them has none. `model_id`: the members' ids, short, joined
    by "+". `meaning_of` says what a model forecasts: where members' models forecast different things (the chance of a rise, a
    return), or that cannot be read, there is no value, and it says so.

    A bar waits until every member has forecast it: members are joined by the bar's offset, so who was quicker plays no role.
    Outputs and positions are one commit. A new one begins where its members are.
    """

    def __init__(
        self, log: Log, line: str, members: Sequence[str], meaning_of: Callable[[str], str] = lambda _: ""
    ) -> None:
        if len(set(members)) != len(members) or len(members) < 2 or line in members:
            raise InputError(
                f"ensemble {line}: it needs two members or more, each another line, not {', '.join(members)}"
            )
        self.name = f"ensemble.{line}"
        self._log, self._line, self._members = log, line, tuple(members)
        self._meaning_of, self._meanings = meaning_of, dict[str, str]()
        self._writer = log.writer(self.name)
        self._inboxes = []
        for member in members:
            stream = f"forecasts.{member}"
            self._inboxes.append(Inbox(log, stream, self._writer.positions.get(stream, log.bounds(stream)[1])))
        saved = self._writer.snapshot
        self._models: dict[str, str] = {} if saved is None else _SAVED.decode(saved).models
        self._committed = self._read
        if saved is None:
            self._commit([])  # where it began is kept

    def pump(self) -> int:
        """See `Service.pump`."""
        before, outputs = self._read, list[Event]()
        first = self._inboxes[0]
        while len(outputs) < MOST_EVENTS and (head := first.peek()) is not None:
            event = head[1]
            if isinstance(event, Forecast):
                others = [self._of(inbox, event.bar_offset) for inbox in self._inboxes[1:]]
                if _Found.NOT_YET in others:
                    break
                outputs += self._together(event, others)
                for inbox, other in zip(self._inboxes[1:], others, strict=True):
                    if isinstance(other, Forecast):
                        inbox.take()
            elif isinstance(event, BarsClosed):
                outputs.append(event)
            first.take()
        if outputs or self._read - self._committed >= COMMIT_EVERY:
            self._commit(outputs)
        return self._read - before

    def wait(self, timeout_s: float) -> None:
        """See `Service.wait`."""
        waiting = [one for one in self._inboxes if one.peek() is None] or self._inboxes[:1]
        self._log.wait({one.stream: one.read_position for one in waiting}, timeout_s)

    def close(self) -> None:
        """See `Service.close`."""
        if self._read > self._committed:
            self._commit([])
        self._writer.close()

    @property
    def _read(self) -> int:
        return sum(one.position for one in self._inboxes)

    def _of(self, inbox: Inbox, bar_offset: int) -> Forecast | _Found:
        """A member's forecast of that bar, which stays where it is; what came before it is passed over."""
        while (head := inbox.peek()) is not None:
            event = head[1]
            if isinstance(event, Forecast) and event.bar_offset >= bar_offset:
                return event if event.bar_offset == bar_offset else _Found.NEVER
            inbox.take()
        return _Found.NOT_YET

    def _together(self, first: Forecast, others: Sequence[Forecast | _Found]) -> list[Event]:
        known = [one for one in (first, *others) if isinstance(one, Forecast)]
        reason = "; ".join(
            f"{member}: {'begins later' if isinstance(one, _Found) else one.reason}"
            for member, one in zip(self._members, (first, *others), strict=True)
            if isinstance(one, _Found) or math.isnan(one.value)
        )
        reason = reason or self._mixed(known)
        value = math.nan if reason else sum(one.value for one in known) / len(known)
        model_id = "" if any(not one.model_id for one in known) else "+".join(one.model_id[:12] for one in known)
        drifts = [one.drift for one in known if not math.isnan(one.drift)]
        made = msgspec.structs.replace(
            first, line=self._line, value=value, model_id=model_id, reason=reason, drift=max(drifts, default=math.nan),
            latency_ns=max(one.latency_ns for one in known),
        )  # fmt: skip
        old = self._models.get(first.instrument, "")
        if model_id == old:
            return [made]
        self._models[first.instrument] = model_id
        why = "one of its members changed"
        return [
            ModelChange(
                self._line, first.instrument, first.close_time, old, model_id, "promotion", why, first.bar_offset
            ),
            made,
        ]

    def _mixed(self, known: Sequence[Forecast]) -> str:
        """Why the mean of these would mean nothing; "" where they forecast the same thing."""
        try:
            for one in known:
                if one.model_id not in self._meanings:
                    self._meanings[one.model_id] = self._meaning_of(one.model_id)
        except QuantlyticError as error:
            return f"what its members forecast is not known: {error}"
        meant = [self._meanings[one.model_id] for one in known]
        if len(set(meant)) == 1:
            return ""
        said = ", ".join(f"{one.line} {meaning}" for one, meaning in zip(known, meant, strict=True))
        return f"its members forecast different things: {said}"

    def _commit(self, outputs: list[Event]) -> None:
        stream = f"forecasts.{self._line}"
        positions = {one.stream: one.position for one in self._inboxes}
        self._writer.commit(
            {stream: outputs} if outputs else {}, positions, msgspec.msgpack.encode(_Saved(self._models))
        )
        self._committed = self._read
