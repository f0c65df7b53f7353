"""The engine's functions and a strategy's step, compiled or plain."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from quantlytic.engine.compiler.explain import explain
from quantlytic.engine.compiler.mistakes import first_mistake
from quantlytic.engine.compiler.record import Address, Bytes, Layout
from quantlytic.engine.run import halves, loop, tapeloop
from quantlytic.engine.run.step import make_step
from quantlytic.engine.strategy import HANDLERS, Strategy, signature_of
from quantlytic.model.errors import StrategyError


@dataclass(frozen=True)
class Machine:
    """`step` is what the others call the strategy by: a function, or the address of machine code."""

    step: Any
    run: Callable[..., int]
    run_trades: Callable[..., int]
    run_tape: Callable[..., bool]
    execute: Callable[..., None]
    apply: Callable[..., None]
    decide: Callable[..., None]
    accept: Callable[..., None]
    act: Callable[..., None]
    hear: Callable[..., None]
    tell: Callable[..., None]
    execute_event: Callable[..., int]
    apply_event: Callable[..., int]
    decide_event: Callable[..., None]
    pass_moment: Callable[..., None]
    decide_moment: Callable[..., None]


def locator(compiled: bool) -> Callable[[Bytes], Any]:
    """How the functions want to be told where a buffer is."""
    return (lambda buffer: buffer.__array_interface__["data"][0]) if compiled else Address


def build(strategy: type[Strategy], layout: Layout, compiled: bool) -> Machine:
    """Raises StrategyError naming the user's file and line when the strategy does not compile."""
    handlers = strategy.handlers()
    check_handlers(strategy, handlers)
    step = make_step(layout, handlers)
    return functions(compiled, _compiled_step(strategy, layout, step) if compiled else step)


def functions(compiled: bool, step: Any) -> Machine:
    """The engine's functions around a step."""
    if compiled:
        return Machine(step, *_COMPILED)
    quiet = np.errstate(all="ignore")  # as compiled code: infinities and NaN are values, not warnings
    plain: list[Any] = [quiet(function) for function, _ in _FUNCTIONS]
    return Machine(step, *plain)


def check_handlers(strategy: type[Strategy], handlers: frozenset[str]) -> None:
    """StrategyError when there is none that anything would call, or one takes other arguments than it is given."""
    name = strategy.__name__
    if not handlers - {"on_fill"}:
        raise StrategyError(
            f"{name} has no on_bar(self, bar, broker): write one, or {', '.join(HANDLERS[1:5])}, on_timer"
        )
    for handler in sorted(handlers):
        function = getattr(strategy, handler)
        code = function.__code__
        if code.co_argcount != 3 or code.co_kwonlyargcount:
            place = f"{code.co_filename}:{code.co_firstlineno}"
            raise StrategyError(
                f"{place}: {name}.{handler} is called with two arguments: write {signature_of(handler)}"
            )


class _Compiled:
    """Compiled, or loaded from disk, at its first call."""

    def __init__(self, function: Callable[..., Any], signature: str) -> None:
        self._function, self._signature = function, signature
        self._code: Callable[..., Any] | None = None

    def __call__(self, *args: Any) -> Any:
        if self._code is None:
            from quantlytic.engine.compiler.jit import compile_function

            self._code = compile_function(self._function, self._signature)
        return self._code(*args)


_FUNCTIONS: tuple[tuple[Callable[..., Any], str], ...] = (
    (loop.run, "intp(intp, intp, intp, intp, intp, intp, intp)"),
    (tapeloop.run_trades, "intp(intp, intp, intp, intp, intp, intp, intp)"),
    (tapeloop.run_tape, "boolean(intp, intp, int64[::1], int64[:, ::1], intp, intp, intp)"),
    (loop.execute, "void(intp, intp)"),
    (loop.apply, "void(intp, intp, intp, intp, intp, intp)"),
    (loop.decide, "void(intp, intp, intp)"),
    (loop.accept, "void(intp, intp, intp, intp, intp, intp, intp)"),
    (loop.act, "void(intp, intp)"),
    (loop.hear, "void(intp, intp, intp)"),
    (loop.tell, "void(intp, intp)"),
    (halves.execute_event, "intp(intp, intp, intp, intp, intp, intp)"),
    (halves.apply_event, "intp(intp, intp, intp, intp, intp, intp, intp, intp, intp, intp)"),
    (halves.decide_event, "void(intp, intp, intp, intp, intp)"),
    (halves.pass_moment, "void(intp, intp, intp)"),
    (halves.decide_moment, "void(intp, intp, intp, intp)"),
)
_COMPILED = tuple(_Compiled(function, signature) for function, signature in _FUNCTIONS)
_steps: dict[Layout, tuple[Any, int]] = {}
_one_at_a_time = threading.Lock()  # Python 3.11 cannot parse source in two threads at once, and once compiled is enough


def _compiled_step(strategy: type[Strategy], layout: Layout, step: Any) -> int:
    from numba.core.errors import NumbaError

    from quantlytic.engine.compiler.jit import STEP_SIGNATURE, compile_function, native_address

    with _one_at_a_time:
        if layout not in _steps:
            mistake = first_mistake(strategy, layout)
            if mistake is not None:
                raise StrategyError(f"{mistake.where}: {mistake.what}")
            try:
                function = compile_function(step, STEP_SIGNATURE)
            except NumbaError as error:
                raise StrategyError(explain(str(error), strategy)) from error
            _steps[layout] = function, native_address(function)
        return _steps[layout][1]
