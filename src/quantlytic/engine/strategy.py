"""The base of every strategy."""

from __future__ import annotations

import difflib
import inspect
from typing import Any, ClassVar, Self

from quantlytic.engine.param import Param
from quantlytic.engine.record import Record
from quantlytic.model.errors import InputError, StrategyError


class Strategy(Record):
    """Subclass it, declare parameters with `param`, make indicators and numbers in `setup`, decide in `on_bar`.

    What `setup` leaves on `self` is the strategy's state: one flat record per instrument. `setup` is plain Python and runs
    once; the handlers are compiled, so they use numbers, indicators, NumPy arrays made in `setup`, and the `broker`.
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
        if getattr(cls, "_layout", None) is not None:  # a debug view of a strategy, not a strategy
            return
        if "__init__" in vars(cls):
            raise StrategyError(
                f"{cls.__name__}.__init__: write setup(self) instead; parameters are declared with param()"
            )
        specs = dict(cls.param_specs)
        annotations = inspect.get_annotations(cls)
        for name, value in vars(cls).items():
            if isinstance(value, Param):
                value.bind(cls, name, annotations.get(name))
                specs[name] = value
        cls.param_specs = specs

    def setup(self) -> None:
        """Make indicators and set first values on `self`. Plain Python; runs once for each instrument."""

    def on_bar(self, bar: Any, broker: Any) -> None:
        """Decide at a bar's close. `bar`: open_time, close_time, open, high, low, close, volume, instrument (index)."""
        raise NotImplementedError

    def on_fill(self, fill: Any, broker: Any) -> None:
        """One of the orders for this instrument was filled; called before `on_bar` of the bar it was filled in.

        `fill`: order_id, side (+1 buy, -1 sell), quantity, price, fee, event_time.
        """

    @property
    def params(self) -> dict[str, int | float | bool]:
        """Parameter names and values."""
        return {name: spec.kind(getattr(self, name)) for name, spec in self.param_specs.items()}

    def prepared(self) -> Self:
        """A fresh instance with the same parameters, its class constants and what `setup` made: the state to begin with."""
        fresh = type(self)(**self.params)
        for name, value in class_constants(type(self)).items():
            object.__setattr__(fresh, name, value)
        try:
            fresh.setup()
        except (InputError, StrategyError):
            raise
        except (Exception, SystemExit) as error:
            raise StrategyError(f"{type(self).__name__}.setup(): {type(error).__name__}: {error}") from error
        return fresh


def class_constants(cls: type[Record]) -> dict[str, int | float | bool]:
    """Plain numbers in the class body (`THRESHOLD = 0.5`): handlers read them as `self.THRESHOLD`."""
    found: dict[str, int | float | bool] = {}
    for owner in reversed(cls.__mro__):
        if issubclass(owner, Record):
            for name, value in vars(owner).items():
                if isinstance(value, bool | int | float) and not name.startswith("__"):
                    found[name] = value
    return found
