"""One model at work on a line: its features kept up bar by bar, its answers timed, its drift counted."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from quantlytic.learn.features.featureset import FeatureSet
from quantlytic.learn.features.live import LiveFeatures
from quantlytic.learn.live.drift import Drift
from quantlytic.learn.live.marketreader import MarketReader
from quantlytic.learn.registry.artifact import Artifact, Manifest
from quantlytic.learn.registry.overtime import TookTooLong
from quantlytic.learn.registry.runtime import ServedModel
from quantlytic.learn.samples.inputs import Values, complete, inputs_of
from quantlytic.model.bar import Bar
from quantlytic.model.errors import DataError, InputError, StrategyError
from quantlytic.model.instrument import Instrument
from quantlytic.model.time import NS_PER_S, duration_ns, duration_text, iso
from quantlytic.model.trade import Trade
from quantlytic.store.log.port import Log

SLOW_EVENTS = 5
"""So many slow answers in a row are the model's own: one alone may be the machine's."""
SLOW_SHARE, SLOW_WINDOW = 8, 16
"""So are so many of the last ones."""
_IN_A_ROW, _WINDOW = (1 << SLOW_EVENTS) - 1, (1 << SLOW_WINDOW) - 1
LEAP_NS = 30 * 86_400 * NS_PER_S
"""A bar so long after the one before is an error of its source, unless the next one says the same."""


@dataclass(frozen=True)
class Line:
    """What is forecast: bars of `instruments` (ids) of that size, out of `bars.VENUE`. `name` is the spec's."""

    name: str
    venue: str
    instruments: tuple[str, ...]
    bar_size_ns: int

    @property
    def bars_stream(self) -> str:
        return f"bars.{self.venue}"

    @property
    def forecasts_stream(self) -> str:
        return f"forecasts.{self.name}"

    @property
    def shadows_stream(self) -> str:
        return f"shadows.{self.name}"


class Fault(Exception):
    """A model did not do what it must: it raised, gave no number, or is too slow. Says so in words."""


class FeaturesRaised(DataError):
    """Features of one's own may raise anything, at any bar. Says so in words."""

    def __init__(self, error: Exception) -> None:
        words = " ".join(str(error).split())[:200]
        super().__init__(words if isinstance(error, StrategyError) else f"they raised {type(error).__name__}: {words}")


class Feed:
    """The features of a model, on a line: instruments are matched by symbol, and all those it was trained on are given.

    `position`: the offset in `bars.VENUE` up to which bars were given, while it is made ready for service.
    """

    def __init__(self, manifest: Manifest, line: Line, *, folder: Path | None = None, compiled: bool = True) -> None:
        """DataError when bars are of another size, or features would not be computed as they were in training."""
        size, text = line.bar_size_ns, manifest.data.bar_size
        short = manifest.model_id[:12]
        if duration_ns(text) != size:
            raise DataError(f"model {short} was trained on bars of {text}, not of {duration_text(size)}")
        self.trained = tuple(Instrument(one) for one in manifest.data.instruments)
        gaps = manifest.spec.get("data", {}).get("gaps", "refuse")
        features = FeatureSet(manifest.features, self.trained, size, gaps=gaps, folder=folder, compiled=compiled)
        if features.names != manifest.columns or features.code_hash != manifest.code_hash:
            raise DataError(
                f"model {short} was trained with other code of its features than is here now: train it again, or run the "
                "version of Quantlytic (and of features of your own) that it was trained with"
            )
        self.key = feed_key(manifest)
        self.position = 0
        self._features = features
        self.live: LiveFeatures = features.live()
        words = features.graph.events
        self.market = MarketReader(f"market.{line.venue}", words) if words else None
        self.ids = {f"{line.venue}:{one.symbol}": one.id for one in self.trained}
        self.columns = features.names
        self._leapt: dict[str, int] = {}  # instrument -> the end of a bar that is waiting for the next one to agree

    def take(self, bar: Bar, log: Log | None = None) -> Values | None:
        """The features after this bar, f8[k]; None for an instrument they were not made for. DataError for a bar out of order, or
        one that leaps (`LEAP_NS`), FeaturesRaised where their code raises: then they begin anew.

        Features of trades or quotes are given those of the bar from the `log` first.
        """
        known = self.ids.get(bar.instrument)
        if known is None:
            return None
        self._check_leap(bar, known)
        if self.market is not None:
            if log is None:
                raise DataError("features of trades and quotes need the log they are in")
            self._hear(self.market, log, bar)
        try:
            return self.live.update(bar if known == bar.instrument else msgspec.structs.replace(bar, instrument=known))
        except DataError:
            raise
        except Exception as error:
            raise FeaturesRaised(error) from error

    def _check_leap(self, bar: Bar, known: str) -> None:
        """One bar out of the far future would make all that follow come too late."""
        before, leapt = self.live.closed_at(known), self._leapt.pop(known, 0)
        if not before or bar.open_time - before <= LEAP_NS or (leapt and 0 < bar.close_time - leapt <= LEAP_NS):
            return
        self._leapt[known] = bar.close_time
        raise DataError(
            f"{bar.instrument}: the bar that closes at {iso(bar.close_time)[:19]} comes long after the one of "
            f"{iso(before)[:19]}; it counts once the next one agrees"
        )

    def warm(self, rows: NDArray[Any], rest: Callable[[], object] = int) -> None:
        """Begin anew after rows of BAR, whose `instrument` is an index of `trained`, in the order they came. FeaturesRaised
        where their code raises."""
        try:
            self.live = self._features.live_after(rows, rest)
        except DataError:
            raise
        except Exception as error:
            raise FeaturesRaised(error) from error

    def _hear(self, market: MarketReader, log: Log, bar: Bar) -> None:
        if not market.has_begun:  # also after a restart: what was waiting for its bar is read once more
            self.live.forget_events()
            market.begin(log, bar.open_time)
        if bar.open_time < market.whole_from:
            raise DataError("the trades and quotes of this bar are not, or not all, in the log (any more)")
        for event in market.until(log, bar.close_time):
            if (known := self.ids.get(event.instrument)) is not None:
                own = msgspec.structs.replace(event, instrument=known)
                if isinstance(event, Trade):
                    self.live.on_trade(own)
                else:
                    self.live.on_quote(own)


def feed_key(manifest: Manifest) -> str:
    """Models of the same key are served from the same features."""
    return " ".join((manifest.data.bar_size, manifest.code_hash, *manifest.columns, *manifest.data.instruments))


class Serving:
    """A model that can be asked. `typical_ns`: how long it took for a row when it was let in; above `limit_ns` it is slow."""

    def __init__(self, artifact: Artifact, feed: Feed) -> None:
        """DataError for a file that cannot be loaded, or does not answer its golden rows as it did."""
        self.manifest, self.feed = artifact.manifest, feed
        self.model_id: str = artifact.model_id
        self.model = ServedModel(artifact)
        self.model.golden()
        self.drift = Drift(self.manifest.feature_deciles)
        self.typical_ns = 0
        self.limit_ns = 0
        self._late = 0  # its last answers, a bit each

    @property
    def short(self) -> str:
        """How people call it."""
        return self.model_id[:12]

    def knows(self, instrument: str) -> bool:
        """Whether it was trained on that instrument."""
        return instrument in self.feed.ids

    def forecast(self, values: Values) -> tuple[float, str, float]:
        """(value, "", drift) after a row of features, or (NaN, why there is none, NaN). Fault when the model fails."""
        inputs = inputs_of(values[None])
        if not complete(inputs)[0]:
            return float("nan"), self._missing(inputs[0]), float("nan")
        value = self._ask(inputs)
        return value, "", self.drift.add(inputs[0])

    def prove(self, most_ns: int, rest: Callable[[], object] = int) -> None:
        """Warm it, see that typical rows have answers, and time one row alone (`typical_ns`, the median). Fault otherwise, or
        when it takes longer than `most_ns`. `rest` is called between two rows: other threads may be in a hurry."""
        rows = [np.array(row)[None] for row in zip(*self.manifest.feature_deciles, strict=True)]
        took, ends_ns = list[int](), time.perf_counter_ns() + max(20 * most_ns, 200_000_000)
        for _ in range(4):
            for row in rows:
                began_ns = time.perf_counter_ns()
                self._answer(inputs_of(row))
                took.append(time.perf_counter_ns() - began_ns)
                rest()
                if took[-1] + began_ns > ends_ns:
                    break
        self.typical_ns = int(np.median(took))
        if self.typical_ns > most_ns:
            raise Fault(f"takes {self.typical_ns / 1e6:.3g} ms a row; {most_ns / 1e6:.3g} ms are allowed")

    def _ask(self, inputs: np.ndarray[tuple[int, int], np.dtype[np.float32]]) -> float:
        began_ns = time.perf_counter_ns()
        value = self._answer(inputs)
        took_ns = time.perf_counter_ns() - began_ns
        self._late = (self._late << 1 | (0 < self.limit_ns < took_ns)) & _WINDOW
        return value

    @property
    def is_slow(self) -> bool:
        """Whether too many of its last answers took longer than the limit."""
        return self.slowness != ""

    @property
    def slowness(self) -> str:
        """How many of its last answers took longer than the limit, in words; "" for not too many."""
        if self._late & _IN_A_ROW == _IN_A_ROW:
            return f"took more than {self.limit_ns / 1e6:.3g} ms, {SLOW_EVENTS} times in a row"
        if self._late.bit_count() >= SLOW_SHARE:
            return f"took more than {self.limit_ns / 1e6:.3g} ms, {SLOW_SHARE} of {SLOW_WINDOW} times"
        return ""

    def _answer(self, inputs: np.ndarray[tuple[int, int], np.dtype[np.float32]]) -> float:
        try:
            value = float(self.model.predict(inputs)[0])
        except TookTooLong as error:
            raise Fault(str(error).removeprefix("the model ").partition(":")[0]) from error
        except Exception as error:  # whatever a runtime may raise: the line goes on without this model
            raise Fault(f"raised {type(error).__name__}: {' '.join(str(error).split())[:200]}") from error
        if not np.isfinite(value):
            raise Fault(f"gave {value} for a row in which everything is known")
        return value

    def _missing(self, inputs: np.ndarray[tuple[int], np.dtype[np.float32]]) -> str:
        name = self.feed.columns[int(np.argmin(np.isfinite(inputs)))]
        return f"warming up: feature {name} is not known yet"


def check_scope(manifest: Manifest, instruments: tuple[str, ...]) -> None:
    """InputError when a model knows none of the instruments it is to serve."""
    symbols = {one.partition(":")[2] for one in manifest.data.instruments}
    if not any(one.partition(":")[2] in symbols for one in instruments):
        raise InputError(
            f"model {manifest.model_id[:12]} was trained on {', '.join(sorted(symbols))}, none of {', '.join(instruments)}"
        )
