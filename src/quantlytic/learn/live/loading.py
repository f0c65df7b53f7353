"""From a model's id to a model that may be served: fetched, verified, asked, timed, warmed; not where forecasts are made."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from quantlytic.learn.live.serving import Fault, Feed, Line, Serving, check_scope, feed_key
from quantlytic.learn.live.staleness import staleness
from quantlytic.learn.registry.artifact import Artifact, Manifest
from quantlytic.learn.registry.registry import Registry
from quantlytic.learn.registry.runtime import LIMIT_S
from quantlytic.model.bar import BAR, Bar, bar_row
from quantlytic.model.errors import DataError, InputError, StoreError, StrategyError
from quantlytic.model.instrument import Instrument
from quantlytic.model.run import Run
from quantlytic.model.time import NS_PER_S
from quantlytic.store.log.port import Log

if TYPE_CHECKING:
    from quantlytic.store.lake import Lake

WARM_BARS = 50_000
"""The most bars of history that features are fed: five weeks of minutes of one instrument."""
WARM_TAPED = 5_000
"""The most events of the bars' stream that features of trades and quotes are warmed over."""
CLOSE_EVENTS = 50
"""So few events behind, the features of a new model are left to catch up between two events."""
TIMES_SLOWER = 10
BUDGETS = 50
"""An answer that takes so many times the latency budget (and `LEAST_LIMIT_S`) while the model serves is stopped: it may never
end. Far above, a machine that was busy for a moment costs no model."""
LEAST_LIMIT_S = 0.5
_PASSES = 20
_READ = 100
_REST_S = 0.001
_NEVER_NS = 10**12

Position = Callable[[], int]


class Refused(Exception):
    """The model is not let in; says why in words. `is_away`: it, or the code of its features, cannot be had as it was: that
    may be otherwise later, and is no fault of the file."""

    def __init__(self, why: str, *, is_away: bool = False) -> None:
        super().__init__(why)
        self.is_away = is_away


class Loader:
    """Makes models ready for a line.

    `folder`: where paths to features of one's own begin. `budget_ns`: the longest a model may take for a row; one that takes
    ten times as long as the model it follows, and more than a quarter of the budget, is too slow as well. `open_log` and
    `open_lake` give handles for the thread this is used in.
    """

    def __init__(
        self,
        registry: Registry,
        line: Line,
        open_log: Callable[[], Log],
        open_lake: Callable[[], Lake | None] = lambda: None,
        *,
        folder: Path | None = None,
        budget_ns: int = 20_000_000,
        compiled: bool = True,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.registry, self.line = registry, line
        self._open_log, self._open_lake = open_log, open_lake
        self._folder, self._compiled, self._clock_ns = folder, compiled, clock_ns
        self._budget_ns = budget_ns

    def load(
        self,
        model_id: str,
        instruments: tuple[str, ...],
        *,
        feeds: Mapping[str, Feed],
        position: Position,
        champion_ns: int = 0,
        last_close: int = 0,
    ) -> Serving:
        """A model for these instruments of the line. Its features are one of `feeds` where that is made as they are, or are
        warmed with history up to about `position()`, the offset up to which bars were forecast.

        Raises Refused, in words, for a model that may not serve, StoreError when the registry or the history cannot be read.
        """
        with _refusing(model_id):
            serving = self._examined(model_id, instruments, feeds, champion_ns, last_close)
            if feeds.get(serving.feed.key) is not serving.feed:
                self._warm(serving.feed, position)
            return serving

    def examine(self, model_id: str, instruments: tuple[str, ...], *, feeds: Mapping[str, Feed]) -> Serving:
        """As `load`, its features not warmed: whether the line would let it in."""
        with _refusing(model_id):
            return self._examined(model_id, instruments, feeds, 0, 0)

    def load_again(self, model_id: str, feeds: Mapping[str, Feed]) -> Serving:
        """A model that served when the process ended, its features not warmed. Refused when it is not what it was."""
        with _refusing(model_id):
            artifact = self._get(model_id)
            feed = feeds.get(feed_key(artifact.manifest)) or self._feed_again(artifact.manifest)
            serving = Serving(artifact, feed)
            serving.prove(_NEVER_NS)
            self._limit(serving, 0)
            return serving

    def _examined(
        self,
        model_id: str,
        instruments: tuple[str, ...],
        feeds: Mapping[str, Feed],
        champion_ns: int,
        last_close: int,
    ) -> Serving:
        artifact = self._get(model_id)
        rest()
        manifest = artifact.manifest
        check_scope(manifest, instruments)
        if last_close and (stale := staleness(manifest, last_close)):
            raise Refused(stale)
        feed = feeds.get(feed_key(manifest)) or Feed(manifest, self.line, folder=self._folder, compiled=self._compiled)
        rest()
        serving = Serving(artifact, feed)
        rest()
        serving.prove(self._allowed_ns(champion_ns), rest)
        self._limit(serving, champion_ns)
        return serving

    def _get(self, model_id: str) -> Artifact:
        try:
            return self.registry.get(model_id)
        except InputError as error:  # there is none: an empty folder may be a disk that is not mounted
            raise Refused(str(error), is_away=True) from None

    def _feed_again(self, manifest: Manifest) -> Feed:
        try:
            return Feed(manifest, self.line, folder=self._folder, compiled=self._compiled)
        except (DataError, InputError, StrategyError) as error:  # it served, so that what has changed is here
            raise Refused(str(error), is_away=True) from None

    def _limit(self, serving: Serving, champion_ns: int) -> None:
        """From here on it is asked where bars wait for it."""
        serving.limit_ns = self._allowed_ns(champion_ns or serving.typical_ns)
        serving.model.limit(min(LIMIT_S, max(BUDGETS * self._budget_ns / NS_PER_S, LEAST_LIMIT_S)))

    def _allowed_ns(self, champion_ns: int) -> int:
        if not champion_ns:
            return self._budget_ns
        return min(self._budget_ns, max(TIMES_SLOWER * champion_ns, self._budget_ns // 4))

    def _warm(self, feed: Feed, position: Position) -> None:
        """History first, then what came while it was read, until little is left."""
        with closing(self._open_log()) as log:
            self.feed_history(feed, log, position())
            for _ in range(_PASSES):
                until = position()
                if until - feed.position <= CLOSE_EVENTS:
                    break
                catch_up(feed, self.line, log, until, rest)

    def feed_history(self, feed: Feed, log: Log, until: int) -> None:
        """Give a fresh feed the bars on disk that come before offset `until` of the line's bars. One with features of trades
        or quotes is given those bars whose events are still in the log."""
        if feed.market is not None:
            feed.position = max(log.bounds(self.line.bars_stream)[0], until - WARM_TAPED)
            return catch_up(feed, self.line, log, until, rest)
        rows = self._logged(feed, log, until)
        if len(rows) < WARM_BARS and (lake := self._open_lake()) is not None:
            rows = np.concatenate([self._older(feed, log, lake, until, rows), rows])
        feed.warm(rows, rest)
        feed.position = until
        return None

    def _logged(self, feed: Feed, log: Log, until: int) -> NDArray[Any]:
        """The bars of the log, a third of the time at work, and little at a time: whoever forecasts meanwhile is not to wait."""
        stream, size = self.line.bars_stream, self.line.bar_size_ns
        index = {f"{self.line.venue}:{one.symbol}": k for k, one in enumerate(feed.trained)}
        parts, at = [np.zeros(0, BAR)], max(log.bounds(stream)[0], until - 2 * WARM_BARS)
        began_s = time.perf_counter()
        while at < until and (batch := log.read(stream, at, min(_READ, until - at))).events:
            bars = [e for e in batch.events if isinstance(e, Bar) and e.close_time - e.open_time == size]
            rows = [bar_row(bar, index[bar.instrument]) for bar in bars if bar.instrument in index]
            parts.append(np.array(rows, BAR))
            at = batch.next_offset
            time.sleep(2.0 * (time.perf_counter() - began_s))
            began_s = time.perf_counter()
        return np.concatenate(parts)[-WARM_BARS:]

    def _older(self, feed: Feed, log: Log, lake: Lake, until: int, logged: NDArray[Any]) -> NDArray[Any]:
        """What is in the lake of the time before the log's."""
        from quantlytic.research.runs.beginning import history

        line = self.line
        instruments = tuple(Instrument(f"{line.venue}:{one.symbol}") for one in feed.trained)
        run = Run(
            run_id=f"forecasts.{line.name}", mode="paper", venue=line.venue, strategy="", params={}, instruments=instruments,
            bar_size_ns=line.bar_size_ns, cash=0.0, fee_bps=0.0, first_bar_offset=log.bounds(line.bars_stream)[0],
            code_hash="",
        )  # fmt: skip
        rows = history(run, log, lake)
        following = _next_closes(line, log, until)
        now_ns = self._clock_ns()
        ends = [following.get(one.id, now_ns + 1) for one in instruments]
        for k in range(len(instruments)):
            own = logged["close_time"][logged["instrument"] == k]
            ends[k] = min(ends[k], int(own[0])) if len(own) else ends[k]
        older: NDArray[Any] = rows[rows["close_time"] < np.array(ends, np.int64)[rows["instrument"]]][-WARM_BARS:]
        return older


@contextmanager
def _refusing(model_id: str) -> Iterator[None]:
    """Whatever is wrong with a model is a refusal in words; a store that cannot be read is not the model's fault."""
    try:
        yield
    except (DataError, InputError, StrategyError) as error:
        raise Refused(str(error)) from None
    except Fault as fault:
        raise Refused(f"model {model_id[:12]} {fault}") from None
    except (StoreError, Refused):
        raise
    except Exception as error:  # a file may bring a runtime to raise anything: the champion goes on
        raise Refused(
            f"model {model_id[:12]} cannot be loaded ({type(error).__name__}: {' '.join(str(error).split())[:200]})"
        ) from error


def rest() -> None:
    """Let other threads have their turn: what is done here in one go, they wait for."""
    time.sleep(_REST_S)


def catch_up(feed: Feed, line: Line, log: Log, until: int, rest: Callable[[], object] = int) -> None:
    """Give a feed the bars from its position up to the offset `until`; `rest` is called every hundred."""
    while feed.position < until:
        batch = log.read(line.bars_stream, feed.position, min(_READ, until - feed.position))
        if not batch.events:
            break
        for event in batch.events:
            if isinstance(event, Bar) and event.close_time - event.open_time == line.bar_size_ns:
                take_quietly(feed, event, log)
        feed.position = min(batch.next_offset, until)
        rest()
    feed.position = until


def take_quietly(feed: Feed, bar: Bar, log: Log) -> None:
    """A bar that has no features, such as one out of order, is left out, as it is where it has a forecast."""
    try:
        feed.take(bar, log)
    except DataError:
        return


def _next_closes(line: Line, log: Log, offset: int) -> dict[str, int]:
    """When each instrument's next bar closes, of those that are in the log: history (also of other sources) ends before."""
    found: dict[str, int] = {}
    for event in log.read(line.bars_stream, max(offset, log.bounds(line.bars_stream)[0])).events:
        if isinstance(event, Bar) and event.close_time - event.open_time == line.bar_size_ns:
            found.setdefault(event.instrument, event.close_time)
    return found
