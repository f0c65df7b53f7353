"""Look-ahead: what a running strategy would do at which close of its next bars.

The session's bytes are copied and given a hypothetical bar: it opens at the last close, goes straight to the close that is
tried, and has no volume; or it goes on from a bar that is forming, with that one's open, high, low and volume so far. It
takes the way of any bar: open orders meet it first, fills are told, then the strategy decides. A horizon of k bars means
that the price has not moved in the k - 1 bars before.

The session itself is not touched. Between two closes that are tried nothing is known: a band narrower than a step may be
missed. Where a band begins or ends is found by trying closes between, to a tick.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlytic.engine.plain import PythonStrategy
from quantlytic.engine.run.tries import Intent, Tries
from quantlytic.engine.session import Session
from quantlytic.engine.strategy import Strategy
from quantlytic.model.errors import InputError
from quantlytic.model.time import duration_ns

__all__ = ["Fork", "Intent", "fork", "why_not"]

_COARSE = 8  # of the closes tried, each eighth is tried again when the bar has moved on


def fork(
    session: Session,
    bar_size: int | str,
    *,
    instrument: str | None = None,
    horizons: int = 1,
    span: float = 0.05,
    steps: int = 401,
    tick: float | None = None,
    forming: Any = None,
    forecast: float = math.nan,
) -> list[Intent]:
    """What the strategy would do at the closes of the instrument's next bar, and of those up to `horizons` bars ahead.

    Tries `steps` closes from `span` (a share) below the last price to as much above. `bar_size`: ns, or text such as "15m".
    `instrument`: its id; may be left out where the session has one. Edges are exact to `tick`, by default the instrument's
    tick size, or a billionth of the price where it has none. `forming`: the next bar as far as it has come, a BAR row.
    `forecast`: what a model is to have expected after these bars (`bar.forecast`); a forming bar brings its own. Bands come by
    horizon, then by price.

    Raises InputError for a session that has seen no bar when none is forming, or whose strategy does not decide in `on_bar`
    alone; StrategyError when a handler raises on the way.
    """
    return Fork(session, bar_size, instrument, forecast).look(
        forming, horizons=horizons, span=span, steps=steps, tick=tick
    )


class Fork:
    """A session's state at one moment, to look ahead from, again and again while the next bar forms.

    The session may go on meanwhile: this is a copy. Arguments and errors are those of `fork`.
    """

    def __init__(
        self, session: Session, bar_size: int | str, instrument: str | None = None, forecast: float = math.nan
    ) -> None:
        if reason := why_not(session.strategy):
            raise InputError(reason)
        size_ns = duration_ns(bar_size) if isinstance(bar_size, str) else int(bar_size)
        if size_ns < 1:
            raise InputError("a fork needs a bar_size of 1 ns or more")
        self._tries = Tries(session, _index(session, instrument), size_ns, forecast)
        self._expected: tuple[NDArray[np.float64], NDArray[np.int64]] = np.zeros(0), np.zeros(0, np.int64)

    def look(
        self,
        forming: Any = None,
        before: Sequence[Any] = (),
        *,
        horizons: int = 1,
        span: float = 0.05,
        steps: int = 401,
        tick: float | None = None,
    ) -> list[Intent]:
        """What the strategy would do, by horizon, then by price. `before`: forming bars of other instruments of the account
        that will be decided on first, taken to close where they are."""
        if horizons < 1 or steps < 2 or not 0.0 < span < 1.0:
            raise InputError("a fork needs horizons of 1 or more, steps of 2, and a span between 0 and 1")
        tries, found = self._tries, list[Intent]()
        tries.begin(forming, before)
        closes = tries.closes(span, steps, tick)
        for horizon in range(1, horizons + 1):
            bands = tries.bands(closes)
            for low, high, kind in bands:
                if kind:
                    found += tries.intents(low, high, horizon)
            if horizon == 1:
                self._expect(closes, bands)
            if horizon < horizons:
                tries.wait()
        return found

    def holds(self, forming: Any, before: Sequence[Any] = ()) -> bool:
        """Whether the last `look` says of the bar as it is now what another one would: tried at its last price, at every
        edge of what was found, and at each eighth close besides. Much cheaper than to look."""
        closes, kinds = self._expected
        self._tries.begin(forming, before)
        last = self._tries.last
        if not len(closes) or not closes[0] <= last <= closes[-1]:
            return False
        after = int(np.searchsorted(closes, last))
        if closes[after] != last and kinds[after] != kinds[after - 1]:
            return False  # between the two sides of an edge: a price off the grid of ticks
        found = self._tries.kinds(np.append(closes, last))
        return bool(np.array_equal(found[:-1], kinds) and found[-1] == kinds[after])

    @property
    def tried(self) -> tuple[float, float]:
        """The lowest and the highest close that the last `look` tried: a band that ends there may go on."""
        closes, _ = self._expected
        return float(closes[0]), float(closes[-1])

    @property
    def finest(self) -> float:
        """How far two neighbouring closes are apart, at the most, where an edge was looked for."""
        return self._tries.finest * 1.5

    def _expect(self, closes: NDArray[np.float64], bands: list[tuple[float, float, int]]) -> None:
        known = {float(close): kind for low, high, kind in bands for close in (low, high)}
        for close in closes[::_COARSE].tolist():
            inside = next((kind for low, high, kind in bands if low <= close <= high), None)
            if inside is not None:
                known[close] = inside
        ordered = sorted(known)
        self._expected = np.array(ordered), np.array([known[close] for close in ordered], np.int64)


def why_not(strategy: Strategy) -> str:
    """Why there is no look-ahead for a strategy; "" where there is."""
    name, handlers = type(strategy).__name__, strategy.handlers()
    if isinstance(strategy, PythonStrategy):
        return f"{name} is a PythonStrategy: its state cannot be copied, so no look-ahead"
    if "on_bar" not in handlers or handlers & {"on_slice", "on_timer"}:
        return f"{name} does not decide in on_bar alone: it cannot be forked"
    return ""


def _index(session: Session, instrument: str | None) -> int:
    ids = [one.id for one in session.instruments]
    if instrument is None and len(ids) == 1:
        return 0
    if instrument not in ids:
        raise InputError(f"say which instrument to look ahead for, not {instrument!r}: there are {', '.join(ids)}")
    return ids.index(instrument)
