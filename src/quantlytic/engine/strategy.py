"""The base of every strategy."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from quantlytic.engine.compiler.record import Record
from quantlytic.engine.param import Param
from quantlytic.model.errors import InputError, StrategyError

HANDLERS = ("on_bar", "on_trade", "on_quote", "on_book", "on_slice", "on_fill", "on_timer")
"""What a strategy may define; it needs at least one that market data can call, or `on_timer`."""

_SHORTEST_NS = 1_000


class Strategy(Record):
    """Subclass it, declare parameters with `param`, make indicators and numbers in `setup`, decide in the handlers.

    What `setup` leaves on `self` is the strategy's state: one flat record per instrument, or one for all of them where the
    strategy has `on_slice`. `setup` is plain Python and runs once; the handlers are compiled, so they use numbers, indicators,
    NumPy arrays made in `setup`, and the `broker`.
    """

    param_specs: ClassVar[dict[str, Param]] = {}

    def __init__(self, **params: Any) -> None:
        specs = self.param_specs
        for name in params:
            if name not in specs:
                close = difflib.get_close_matches(name, specs, 1)
                hint = f"did you mean {close[0]!r}?" if close else f"it has {', '.join(specs) or 'no parameters'}"
                raise InputError(f"{type(self).__name__} has no parameter {name!r}: {hint}")
        for name, spec in specs.items():
            setattr(self, name, spec.check(params.get(name, spec.default)))

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if getattr(cls, "_view_layout", None) is not None:  # a debug view of a strategy, not a strategy
            return
        if "__init__" in vars(cls):
            raise StrategyError(
                f"{cls.__name__}.__init__: write setup(self) instead; parameters are declared with param()"
            )
        specs: dict[str, Param] = {}
        for owner in reversed(cls.__mro__):
            specs |= vars(owner).get("param_specs", {})
        annotations = inspect.get_annotations(cls)
        for name, value in vars(cls).items():
            if isinstance(value, Param):
                value.bind(cls, name, annotations.get(name))
                specs[name] = value
        cls.param_specs = specs

    @classmethod
    def of_numbers(cls, params: Mapping[str, float]) -> Self:
        """With parameters as records keep them: all numbers, 1.0 and 0.0 for true and false."""
        flags = {name for name, spec in cls.param_specs.items() if spec.kind is bool}
        return cls(**{name: value == 1.0 if name in flags else value for name, value in params.items()})

    def setup(self) -> None:
        """Make indicators and set first values on `self`. Plain Python; runs once for each session.

        A strategy with `on_slice` finds the number of instruments here, as `self.instruments`.
        """

    def every(self, period_ns: int) -> None:
        """Have `on_timer` called at each whole multiple of this period, in event time. To be called in `setup`."""
        if isinstance(period_ns, bool) or period_ns != int(period_ns) or period_ns < _SHORTEST_NS:
            raise InputError(
                f"{type(self).__name__}: every() takes whole ns, {_SHORTEST_NS} or more, not {period_ns!r}"
            )
        self.timer_ns = int(period_ns)

    def on_bar(self, bar: Any, broker: Any) -> None:
        """Decide at a bar's close. `bar`: open_time, close_time, open, high, low, close, volume, instrument (index)."""

    def on_trade(self, trade: Any, broker: Any) -> None:
        """Decide at a public trade. `trade`: event_time, price, quantity, side (the aggressor's), instrument (index)."""

    def on_quote(self, quote: Any, broker: Any) -> None:
        """Decide at a new best bid and ask. `quote`: event_time, bid, bid_quantity, ask, ask_quantity, instrument (index)."""

    def on_book(self, book: Any, broker: Any) -> None:
        """Decide at a change of the order book. `book`: see `quantlytic.engine.matching.orderbook.Book`."""

    def on_slice(self, slice: Any, broker: Any) -> None:
        """Decide on all instruments at once, when all bars of one close time are in. `slice.close(i)`, `slice.has(i)`:
        see `quantlytic.engine.data.slice.Slice`. `broker.on(i)` is the broker of instrument i."""

    def on_fill(self, fill: Any, broker: Any) -> None:
        """An order was filled, wholly or in part; called before the handler of the event that filled it.

        `fill`: order_id, instrument, side (+1 buy, -1 sell), quantity, price, fee, event_time.
        """

    def on_timer(self, time: int, broker: Any) -> None:
        """A period declared with `self.every(ns)` is over. `time`: that moment, ns UTC; all events up to it are known.

        Called for each instrument in turn, or once where the strategy has `on_slice`.
        """

    @classmethod
    def handlers(cls) -> frozenset[str]:
        """The names of the handlers that the strategy defines."""
        return frozenset(name for name in HANDLERS if getattr(cls, name) is not getattr(Strategy, name))

    @property
    def params(self) -> dict[str, int | float | bool]:
        """Parameter names and values."""
        return {name: spec.kind(getattr(self, name)) for name, spec in self.param_specs.items()}

    def prepared(self, instruments: int = 1) -> Self:
        """A fresh instance with the same parameters, its class constants and what `setup` made: the state to begin with.

        `instruments`: how many the session has, which a strategy with `on_slice` is told.
        """
        fresh = type(self)(**self.params)
        for name, value in class_constants(type(self)).items():
            object.__setattr__(fresh, name, value)
        if "on_slice" in self.handlers():
            fresh.__dict__["instruments"] = instruments
        try:
            fresh.setup()
        except (InputError, StrategyError):
            raise
        except (Exception, SystemExit) as error:
            raise StrategyError(f"{type(self).__name__}.setup(): {type(error).__name__}: {error}") from error
        return fresh


def signature_of(handler: str) -> str:
    """How a handler is to be written: `on_trade(self, trade, broker)`."""
    event = "time" if handler == "on_timer" else handler.removeprefix("on_")
    return f"{handler}(self, {event}, broker)"


def class_constants(cls: type[Record]) -> dict[str, int | float | bool]:
    """Plain numbers in the class body (`THRESHOLD = 0.5`): handlers read them as `self.THRESHOLD`."""
    found: dict[str, int | float | bool] = {}
    for owner in reversed(cls.__mro__):
        if issubclass(owner, Record):
            for name, value in vars(owner).items():
                if isinstance(value, bool | int | float) and not name.startswith("__"):
                    found[name] = value
    return found
