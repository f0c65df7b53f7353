"""Which model is to be served, by the registry's aliases, and a thread that makes it ready."""

from __future__ import annotations

import logging
import queue
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from quantlytic.learn.live.loading import Loader, Refused
from quantlytic.learn.live.serving import Feed, Line, Serving
from quantlytic.learn.registry.registry import CHAMPION, DAMAGED, PINNED, ROLLBACK, AliasChange
from quantlytic.model.errors import QuantlyticError

SERVED = (PINNED, CHAMPION)
MOST_LOOKS = 64
"""A model that could not be had is asked for again at every second look, then more seldom, to this many apart."""
_LOG = logging.getLogger("quantlytic.predictor")


class Wish(NamedTuple):
    """An alias says that a model is to serve these instruments of a line; `is_pooled`: as one for all. `withdrawn`: aliases that
    stood before it and mean no model any more, with the numbers of the changes that say so; `is_return`: that they do is all
    that is new."""

    alias: str
    change: AliasChange
    instruments: tuple[str, ...]
    is_pooled: bool
    withdrawn: tuple[tuple[str, int], ...] = ()
    is_return: bool = False

    @property
    def numbers(self) -> dict[str, int]:
        """The changes that ask for it, by alias: it is taken up when one of them is new."""
        return {**dict(self.withdrawn), self.alias: self.change.number}

    @property
    def key(self) -> str:
        """The change of the alias, also where that cannot be read."""
        return f"{self.alias}/{self.change.number}"

    @property
    def is_damaged(self) -> bool:
        """Whether the alias cannot be read: what serves goes on."""
        return self.change.cause == DAMAGED

    @property
    def may_relabel(self) -> bool:
        """Whether another label than the line's is meant: it was served before, or somebody said so."""
        return self.change.new_label or self.change.cause == ROLLBACK or self.is_return

    @property
    def cause(self) -> str:
        """As a ModelChange has it."""
        if self.change.cause == ROLLBACK or self.is_return:
            return "rollback"
        return "promotion" if self.change.by == "gate" else "command"


def wishes(latest: Mapping[str, AliasChange], line: Line, roles: Sequence[str] = SERVED) -> list[Wish]:
    """What the aliases of a line ask for, an entry an alias: an earlier role before a later one, and a model of the
    instrument (matched by symbol) before a pooled one. An alias that means no model any more asks for nothing."""
    chosen: dict[str, list[str]] = {}
    withdrawn: dict[str, dict[str, int]] = {}
    for instrument in line.instruments:
        symbol = instrument.partition(":")[2]
        own = [alias for alias in latest if alias.split("/")[1].partition(":")[2] == symbol]
        own.sort(key=lambda alias: (-latest[alias].time_ns, alias))  # of several venues' ids the one promoted last
        named = [
            alias for role in roles for alias in (*own, f"{line.name}/pooled/{role}") if alias.endswith(f"/{role}")
        ]
        passed: dict[str, int] = {}
        for alias in [alias for alias in named if alias in latest]:
            change = latest[alias]
            if change.model_id or change.cause == DAMAGED:
                chosen.setdefault(alias, []).append(instrument)
                withdrawn.setdefault(alias, {}).update(passed)
                break
            passed[alias] = change.number
    return [
        Wish(alias, latest[alias], tuple(of), alias.split("/")[1] == "pooled", tuple(sorted(withdrawn[alias].items())))
        for alias, of in sorted(chosen.items())
    ]


class Standing(NamedTuple):
    """Where the forecasts are, for the thread that prepares what comes next: never changed, only replaced by a newer one."""

    handled: Mapping[str, int]
    servings: Mapping[str, Serving]
    feeds: Mapping[str, Feed]
    champions_ns: Mapping[str, int]
    position: int = 0
    last_close: int = 0
    lost: frozenset[str] = frozenset()
    """Models that served, or were to, and could not be had then, and changes of an alias (`Wish.key`) that could not be read:
    taken up again when they can be, while an alias means them."""


class Ready(NamedTuple):
    """What became of a wish: a model that may be served, or why it is refused."""

    wish: Wish
    serving: Serving | None
    reason: str = ""
    is_away: bool = False


class Swapper:
    """Looks at the registry every `check_s`, in a thread of its own, and makes ready what is asked for; what is ready is put
    into `ready`. A registry that cannot be read is told once, and asked again: what serves goes on."""

    def __init__(
        self, loader: Loader, line: Line, standing: Callable[[], Standing], roles: Sequence[str] = SERVED
    ) -> None:
        self.ready: queue.SimpleQueue[Ready] = queue.SimpleQueue()
        self._loader, self._line, self._standing, self._roles = loader, line, standing, tuple(roles)
        self._prepared: dict[str, int] = {}
        self._looks = 0
        self._again: dict[
            tuple[str, int], tuple[int, int]
        ] = {}  # alias, change -> the look to ask at, the gap after it
        self._trouble = ""
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, check_s: float) -> None:
        """Begin to look, from another thread."""
        self._thread = threading.Thread(
            target=self._watch, args=(check_s,), name=f"swap.{self._line.name}", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Look no more. A model that is just being made ready is not waited for long."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(2.0)

    def look(self) -> int:
        """Look once, in this thread; how many wishes were made ready or refused. QuantlyticError when that cannot be known."""
        done, self._looks = 0, self._looks + 1
        for wish in wishes(self._loader.registry.changes(self._line.name), self._line, self._roles):
            standing = self._standing()
            new = [alias for alias, number in wish.numbers.items() if number > self._known(alias, standing)]
            if new:
                self.ready.put(self._prepare(wish._replace(is_return=wish.alias not in new), standing))
                self._prepared |= wish.numbers
                done += 1
            elif standing.lost & {wish.change.model_id, wish.key}:
                done += self._regain(wish, standing)
        return done

    def _known(self, alias: str, standing: Standing) -> int:
        return max(standing.handled.get(alias, 0), self._prepared.get(alias, 0))

    def _regain(self, wish: Wish, standing: Standing) -> bool:
        """Whether a model that could not be had can be now. That it could not was told."""
        key = wish.alias, wish.change.number
        due, gap = self._again.get(key, (0, 1))
        if self._looks < due:
            return False
        self._again[key] = self._looks + gap, min(2 * gap, MOST_LOOKS)
        ready = self._prepare(wish, standing)
        if ready.serving is not None:
            self.ready.put(ready)
            self._again[key] = sys.maxsize, 0
        return ready.serving is not None

    def _prepare(self, wish: Wish, standing: Standing) -> Ready:
        if wish.is_damaged:
            return Ready(wish, None, wish.change.reason, is_away=True)
        if (kept := standing.servings.get(wish.change.model_id)) is not None:
            return Ready(wish, kept)  # the one before is kept: going back to it takes no time
        times = [standing.champions_ns[one] for one in wish.instruments if one in standing.champions_ns]
        try:
            serving = self._loader.load(
                wish.change.model_id,
                wish.instruments,
                feeds=standing.feeds,
                position=lambda: self._standing().position,
                champion_ns=min(times, default=0),
                last_close=standing.last_close,
            )
        except Refused as refusal:
            return Ready(wish, None, str(refusal), refusal.is_away)
        return Ready(wish, serving)

    def _watch(self, check_s: float) -> None:
        while not self._stop.is_set():
            try:
                self.look()
                self._trouble = ""
            except QuantlyticError as error:
                if str(error) != self._trouble:
                    self._trouble = str(error)
                    _LOG.warning("%s: the models that serve go on: %s", self._line.name, error)
            self._stop.wait(check_s)
