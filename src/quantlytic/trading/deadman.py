"""The dead-man's switch: when nobody is at the wheel, or the windscreen has gone dark, nothing new is sent. Pure."""

from __future__ import annotations

import msgspec

from quantlytic.model.errors import InputError
from quantlytic.model.halt import Halt
from quantlytic.model.time import NS_PER_S
from quantlytic.trading.latch import DEAD_MAN

RELEASES = ("auto", "typed")


class DeadManRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """In seconds; None switches a watch off, and has to be written down to do so.

    heartbeat_s   the executor's loop may be silent so long.
    decision_s    a strategist may take so long to decide on a bar that was executed.
    data_age_s    the newest market event of a venue may be so old: by the venue's own time, and since it came in.
    settle_s      everything has to be well for so long before it lets go by itself.
    release       "auto": it lets go by itself; "typed": a person types the account's name.
    """

    heartbeat_s: float | None = 15.0
    decision_s: float | None = 30.0
    data_age_s: float | None = 60.0
    settle_s: float = 5.0
    release: str = "auto"

    def __post_init__(self) -> None:
        if self.release not in RELEASES:
            raise InputError(f"deadman release={self.release!r}: write one of {', '.join(RELEASES)}")
        for name in ("heartbeat_s", "decision_s", "data_age_s", "settle_s"):
            value = getattr(self, name)
            if value is not None and not 0 < value < 1e9:
                raise InputError(f"deadman {name}={value!r}: write a number of seconds above 0")


class DeadMan:
    """One account's watch. Tell it what was heard, then ask `look`; times are ns UTC, by one clock.

    A source is watched from the first word about it; `stopped` ends that without alarm.
    """

    def __init__(self, account: str, rules: DeadManRules) -> None:
        self._account, self.rules = account, rules
        self._beats: dict[str, int] = {}
        self._owed: dict[str, tuple[int, int]] = {}  # run -> (the bar it has not decided on, since when)
        self._data: dict[str, tuple[int, int]] = {}  # stream -> (newest event time, when it came in)
        self._well_since = -1
        self.is_halted = False

    def beat(self, source: str, at_ns: int) -> None:
        """The source was alive at that time."""
        self._beats[source] = max(at_ns, self._beats.get(source, 0))

    def stopped(self, source: str) -> None:
        """It ended cleanly, and is not expected to be heard."""
        self._beats.pop(source, None)

    def asked(self, run: str, bar_offset: int, at_ns: int) -> None:
        """The bar of the run was executed: its strategist owes a decision. Said again of the same bar it changes nothing."""
        if self._owed.get(run, (-1, 0))[0] != bar_offset:
            self._owed[run] = bar_offset, at_ns

    def answered(self, run: str) -> None:
        """The run's strategist has decided."""
        self._owed.pop(run, None)

    def data(self, stream: str, event_time: int, receive_time: int) -> None:
        """A market event. To expect some from the beginning on, name the stream with the time of the beginning."""
        newest = self._data.get(stream, (0, 0))
        self._data[stream] = max(event_time, newest[0]), max(receive_time, newest[1])

    def troubles(self, now_ns: int) -> list[str]:
        """What is too silent or too old now, each in words with figures."""
        rules, found = self.rules, []
        if rules.heartbeat_s is not None:
            for source, at_ns in self._beats.items():
                if (age_s := (now_ns - at_ns) / NS_PER_S) > rules.heartbeat_s:
                    found.append(f"no sign of life of {source} for {age_s:,.0f} s ({rules.heartbeat_s:g} s is allowed)")
        if rules.decision_s is not None:
            for run, (_, at_ns) in self._owed.items():
                if (age_s := (now_ns - at_ns) / NS_PER_S) > rules.decision_s:
                    found.append(f"run {run} has not decided for {age_s:,.0f} s ({rules.decision_s:g} s is allowed)")
        if rules.data_age_s is not None:
            for stream, (event_time, receive_time) in self._data.items():
                if (age_s := (now_ns - min(event_time, receive_time)) / NS_PER_S) > rules.data_age_s:
                    found.append(
                        f"the newest event of {stream} is {age_s:,.0f} s old ({rules.data_age_s:g} s is allowed)"
                    )
        return found

    def is_silent(self, source: str, now_ns: int) -> bool:
        """Whether that source itself has missed its time."""
        at_ns, limit_s = self._beats.get(source), self.rules.heartbeat_s
        return at_ns is not None and limit_s is not None and (now_ns - at_ns) / NS_PER_S > limit_s

    def released(self) -> None:
        """A person has let go; what is still wrong will halt it again."""
        self.is_halted, self._well_since = False, -1

    def look(self, now_ns: int) -> Halt | None:
        """A Halt when something changes: to be halted, or (with release "auto") let go again."""
        troubles = self.troubles(now_ns)
        if troubles:
            self._well_since = -1
            if self.is_halted:
                return None
            self.is_halted = True
            return Halt(self._account, now_ns, True, DEAD_MAN, "watchdog", "; ".join(troubles))
        if not self.is_halted or self.rules.release != "auto":
            return None
        if self._well_since < 0:
            self._well_since = now_ns
        if now_ns - self._well_since < self.rules.settle_s * NS_PER_S:
            return None
        self.is_halted, self._well_since = False, -1
        text = f"all is heard again, for {self.rules.settle_s:g} s"
        return Halt(self._account, now_ns, False, DEAD_MAN, "watchdog", text)
