"""Strategies that stay Python: any library, any state, the compiled broker.

    class Mine(ql.PythonStrategy):
        def setup(self):
            self.closes = []
            self.slow = self.column(lambda bars: SMA.over(bars["close"], period=200))

        def on_bar(self, bar, broker): ...

One instance an instrument (one for all where the strategy has `on_slice`), as compiled strategies have one state. Everything
else, from matching to results, is the engine's: the same rule gives the same bytes in both kinds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from quantlytic.engine.compiler.record import Record
from quantlytic.engine.strategy import HANDLERS, Strategy
from quantlytic.model.errors import InputError, StrategyError

Array = NDArray[Any]


class PythonStrategy(Strategy):
    """Subclass it and write `setup` and handlers as for `Strategy`; nothing is compiled, so anything that Python can do may be
    done. `self.instrument` is the instance's instrument (an index; -1 where it has all of them).

    Its state cannot be saved: it runs over history, and not in services.
    """

    instrument = -1

    def column(self, of: Callable[[Array], Any]) -> Column:
        """Values worked out for all bars at once, read one bar at a time: to be called in `setup`.

        `of` takes the instrument's bars (rows of dtype BAR) and returns a number for each. In `on_bar`, `column.now` is this
        bar's, `column[k]` that of k bars ago. Values that use later bars are found by leaving those out, and refused.
        """
        made = Column(of)
        self.__dict__.setdefault("_columns", []).append(made)
        return made

    def prepared(self, instruments: int = 1) -> Any:
        """The instances of a session, behind a record that has none of their state."""
        shared = "on_slice" in self.handlers()
        players: list[PythonStrategy] = []
        for k in range(1 if shared else instruments):
            fresh = type(self)(**self.params)
            fresh.__dict__["instrument"] = -1 if shared else k
            players.append(fresh._set_up(instruments))
        return Cast(players)

    def _set_up(self, instruments: int) -> Self:
        if "on_slice" in self.handlers():
            self.__dict__["instruments"] = instruments
        try:
            self.setup()
        except (InputError, StrategyError):
            raise
        except (Exception, SystemExit) as error:
            raise StrategyError(f"{type(self).__name__}.setup(): {type(error).__name__}: {error}") from error
        return self


class Callables(Record):
    """What lies in the arena for a Python instance: where what is to be called is (`plainlink`), by handler."""

    def __init__(self, timer_ns: int) -> None:
        self.callables = np.zeros(len(HANDLERS) + 1, np.int64)
        self.timer_ns = timer_ns


class Cast:
    """The Python instances of a session, and the record that lies in the arena for each."""

    def __init__(self, players: list[PythonStrategy]) -> None:
        self.players = players
        self.record = Callables(int(getattr(players[0], "timer_ns", 0)))


class Column:
    """Values of bars, as far as they have come. Made by `PythonStrategy.column`."""

    __slots__ = ("_at", "_of", "_values", "now")

    def __init__(self, of: Callable[[Array], Any]) -> None:
        self._of = of
        self._values: list[float] = []
        self._at = -1
        self.now = float("nan")

    def __getitem__(self, ago: int) -> float:
        """The value `ago` bars before this one; NaN before the first bar."""
        if ago < 0:
            raise IndexError(f"column[{ago}]: bars to come are not known; column[1] is the bar before this one")
        return self._values[self._at - ago] if ago <= self._at else float("nan")

    def step(self) -> None:
        """The next bar has come."""
        self._at += 1
        self.now = self._values[self._at]

    def fill(self, bars: Array, owner: str) -> None:
        """Work out the values; StrategyError when there is not one for each bar, or one that knows later bars."""
        values = self._run(bars, owner)
        for count in _cuts(len(bars)):
            short = self._run(bars[:count], owner)
            differ = ~np.isclose(values[:count], short, rtol=1e-9, atol=0.0, equal_nan=True)
            if differ.any():
                row = int(np.argmax(differ))
                raise StrategyError(
                    f"{owner}: a column looks ahead: its value at bar {row} is {values[row]:g} when all {len(bars)} bars are "
                    f"known and {short[row]:g} when the first {count} are. Use only bars up to each one"
                )
        self._values, self._at = values.tolist(), -1

    def _run(self, bars: Array, owner: str) -> NDArray[np.float64]:
        try:
            values = np.asarray(self._of(bars), np.float64)
        except Exception as error:
            raise StrategyError(f"{owner}: a column: {type(error).__name__}: {error}") from error
        if values.shape != (len(bars),):
            raise StrategyError(
                f"{owner}: a column has shape {values.shape}: return one number for each of {len(bars)} bars"
            )
        return values


def _cuts(count: int) -> list[int]:
    """Where the future is left out to see whether a column knew it."""
    return sorted({count // 50, count // 8, count // 2} - {0})
