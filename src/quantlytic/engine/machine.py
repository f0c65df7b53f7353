"""The engine's functions and a strategy's step, compiled or plain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from quantlytic.engine import loop
from quantlytic.engine.explain import explain
from quantlytic.engine.record import Address, Bytes, Layout
from quantlytic.engine.strategy import Strategy
from quantlytic.model.errors import StrategyError


@dataclass(frozen=True)
class Machine:
    """`step` is what the others call the strategy by: a function, or the address of machine code."""

    step: Any
    run: Callable[..., int]
    execute: Callable[..., None]
    apply: Callable[..., None]
    decide: Callable[..., None]
    accept: Callable[..., None]


def locator(compiled: bool) -> Callable[[Bytes], Any]:
    """How the functions want to be told where a buffer is."""
    return (lambda buffer: buffer.__array_interface__["data"][0]) if compiled else Address


def build(strategy: type[Strategy], layout: Layout, compiled: bool) -> Machine:
    """Raises StrategyError naming the user's file and line when the strategy does not compile."""
    if strategy.on_bar is Strategy.on_bar:
        raise StrategyError(f"{strategy.__name__} has no on_bar(self, bar, broker): write one")
    step = loop.make_step(layout, strategy.on_fill is not Strategy.on_fill)
    if not compiled:
        quiet = np.errstate(all="ignore")  # as compiled code: infinities and NaN are values, not warnings
        plain: list[Any] = [quiet(one) for one in (loop.run, loop.execute, loop.apply, loop.decide, loop.accept)]
        return Machine(step, *plain)
    return Machine(_compiled_step(strategy, layout, step), *_COMPILED)


class _Compiled:
    """Compiled, or loaded from disk, at its first call."""

    def __init__(self, function: Callable[..., Any], signature: str) -> None:
        self._function, self._signature = function, signature
        self._code: Callable[..., Any] | None = None

    def __call__(self, *args: Any) -> Any:
        if self._code is None:
            from quantlytic.engine.jit import compile_function

            self._code = compile_function(self._function, self._signature)
        return self._code(*args)


_BYTES = ", ".join(["uint8[::1]"] * 7)
_COMPILED = (
    _Compiled(loop.run, f"intp(intp, intp, intp, intp, float64[::1], {_BYTES}, int64[::1], intp)"),
    _Compiled(loop.execute, "void(intp, intp)"),
    _Compiled(loop.apply, "void(intp, intp, intp, intp, intp, intp)"),
    _Compiled(loop.decide, "void(intp, intp, intp)"),
    _Compiled(loop.accept, "void(intp, intp, intp, intp, intp, intp, intp)"),
)
_steps: dict[Layout, tuple[Any, int]] = {}


def _compiled_step(strategy: type[Strategy], layout: Layout, step: Any) -> int:
    from numba.core.errors import NumbaError

    from quantlytic.engine.jit import STEP_SIGNATURE, compile_function, native_address

    if layout not in _steps:
        try:
            function = compile_function(step, STEP_SIGNATURE)
        except NumbaError as error:
            raise StrategyError(explain(str(error), strategy)) from error
        _steps[layout] = function, native_address(function)
    return _steps[layout][1]
