"""The broker as plain Python sees it: numbers read straight from the arena, requests by the compiled broker's own methods."""

from __future__ import annotations

import ctypes
import functools
import inspect
import operator
from collections.abc import Callable
from typing import Any

from quantlytic.engine.account.broker import BROKER, Broker
from quantlytic.engine.account.position import POSITION
from quantlytic.engine.compiler.record import Bytes, Layout

_WORD = 8
_KINDS: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "int": (int, ctypes.c_int64),
    "float": (float, ctypes.c_double),
    "bool": (bool, ctypes.c_bool),
}
"""How annotations of the broker's methods are called by Python and by ctypes."""


def _word_of(layout: Layout, *names: str) -> int:
    """Where a field lies, in words of 8 bytes."""
    dtype, start = layout.dtype, 0
    for name in names:
        assert dtype.fields is not None
        dtype, offset = dtype.fields[name][:2]
        start += offset
    return start // _WORD


_CURRENT, _CASH, _EQUITY, _PRICE = (
    _word_of(BROKER, "account", name) for name in ("current", "cash", "equity", "price")
)
_QUANTITY, _AVERAGE, _LAST = (_word_of(POSITION, name) for name in ("quantity", "average", "price"))
_STRIDE = POSITION.size // _WORD


class PlainBroker:
    """What `quantlytic.engine.account.broker.Broker` is to compiled strategies, name for name."""

    __slots__ = ("_count", "_floats", "_here", "_ints", "_positions")

    def __init__(self, arena: Bytes, positions_at: int, instruments: int) -> None:
        words = arena[: len(arena) // _WORD * _WORD].data
        self._ints, self._floats = words.cast("q"), words.cast("d")
        self._here = ctypes.c_void_p(arena.ctypes.data)
        self._positions = positions_at // _WORD
        self._count = instruments

    @property
    def position(self) -> float:
        """Held quantity: positive long, negative short."""
        return self._floats[self._positions + self._ints[_CURRENT] * _STRIDE]

    @property
    def is_flat(self) -> bool:
        return self._floats[self._positions + self._ints[_CURRENT] * _STRIDE] == 0.0

    @property
    def is_long(self) -> bool:
        return self._floats[self._positions + self._ints[_CURRENT] * _STRIDE] > 0.0

    @property
    def is_short(self) -> bool:
        return self._floats[self._positions + self._ints[_CURRENT] * _STRIDE] < 0.0

    @property
    def average_price(self) -> float:
        """What a unit held cost, fees left out; 0 when flat."""
        return self._floats[self._positions + self._ints[_CURRENT] * _STRIDE + _AVERAGE]

    @property
    def cash(self) -> float:
        return self._floats[_CASH]

    @property
    def equity(self) -> float:
        """Cash and all positions, each at its last close."""
        return self._floats[_EQUITY]

    @property
    def price(self) -> float:
        """The bar's close."""
        return self._floats[_PRICE]

    def on(self, instrument: int) -> PlainBroker:
        """The broker of another instrument (by index), until the handler ends or `on` is called again."""
        if not 0 <= instrument < self._count:
            raise IndexError("broker.on: no such instrument")
        self._ints[_CURRENT] = instrument
        self._floats[_PRICE] = self._floats[self._positions + instrument * _STRIDE + _LAST]
        return self


assert _QUANTITY == 0


def _delegate(name: str, function: Any) -> Callable[..., Any]:
    """A method that calls the compiled one; it is compiled, or loaded from disk, at its first call."""
    signature = inspect.signature(function)
    wanted = list(signature.parameters.values())[1:]
    kinds = [_KINDS[str(one.annotation)] for one in wanted]
    result_of, result_kind = _KINDS[str(signature.return_annotation)]
    defaults = tuple(one.default for one in wanted)

    @functools.cache
    def native() -> Callable[..., int]:
        from quantlytic.engine.compiler.jit import compile_function, native_address
        from quantlytic.engine.compiler.outcall import entry_of

        address = native_address(compile_function(*entry_of(name, function)))
        kind = ctypes.PYFUNCTYPE(
            ctypes.c_int32, ctypes.POINTER(result_kind), ctypes.POINTER(ctypes.c_void_p), ctypes.c_void_p,
            *(kind for _, kind in kinds),
        )  # fmt: skip
        return kind(address)

    def method(self: PlainBroker, *args: Any, **kwargs: Any) -> Any:
        if kwargs or len(args) > len(wanted) or any(one is inspect.Parameter.empty for one in defaults[len(args) :]):
            try:
                bound = signature.bind(self, *args, **kwargs)
            except TypeError as error:
                raise TypeError(f"broker.{name}{_shown(wanted)}: {error}") from None
            bound.apply_defaults()
            args = bound.args[1:]
        else:
            args += defaults[len(args) :]
        result, trouble = result_kind(), ctypes.c_void_p()
        try:
            status = native()(result, trouble, self._here, *args)
        except ctypes.ArgumentError:
            status = native()(result, trouble, self._here, *_converted(name, wanted, kinds, args))
        if status:
            raise RuntimeError(f"broker.{name} failed")
        return result_of(result.value)

    method.__name__, method.__doc__ = name, function.__doc__
    method.__signature__ = signature  # type: ignore[attr-defined]
    return method


def _converted(name: str, wanted: list[inspect.Parameter], kinds: list[Any], args: tuple[Any, ...]) -> list[Any]:
    """NumPy's and other numbers as Python's; TypeError for what is none."""
    found: list[Any] = []
    for one, (kind, _), value in zip(wanted, kinds, args, strict=True):
        try:
            found.append(operator.index(value) if kind is int else kind(operator.truediv(value, 1)))
        except (TypeError, ValueError):
            words = "a whole number" if kind is int else "a number"
            raise TypeError(f"broker.{name}: {one.name} is {words}, not {value!r}") from None
    return found


def _shown(wanted: list[inspect.Parameter]) -> str:
    return f"({', '.join(one.name for one in wanted)})"


def _complete() -> None:
    """The rest of what `Broker` offers."""
    for owner in reversed(Broker.__mro__):
        for name, member in vars(owner).items():
            if name.startswith("_") or name in vars(PlainBroker):
                continue
            if isinstance(member, property):
                assert member.fget is not None
                setattr(PlainBroker, name, property(_delegate(name, member.fget)))
            elif callable(member):
                setattr(PlainBroker, name, _delegate(name, member))


_complete()
