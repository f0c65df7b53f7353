"""The engine's functions and a strategy's step, compiled or plain; and what to say when either fails."""

from __future__ import annotations

import functools
import re
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from quantlytic.engine import loop
from quantlytic.engine.record import Address, Bytes, Layout
from quantlytic.engine.strategy import Strategy
from quantlytic.model.errors import StrategyError
from quantlytic.model.time import iso

_OURS = str(Path(__file__).resolve().parent)


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
        quiet = np.errstate(all="ignore")
        return Machine(step, quiet(loop.run), loop.execute, loop.apply, quiet(loop.decide), loop.accept)
    return Machine(_compiled_step(strategy, layout, step), *_compiled_loop())


@functools.cache
def _compiled_loop() -> tuple[Any, ...]:
    from numba import float64, int64, intp, uint8, void

    from quantlytic.engine.jit import compile_function

    rows = [uint8[::1]] * 5
    return (
        compile_function(loop.run, intp(intp, intp, intp, intp, float64[::1], *rows, int64[::1], intp)),
        compile_function(loop.execute, void(intp, intp)),
        compile_function(loop.apply, void(intp, intp, intp, intp, intp, intp)),
        compile_function(loop.decide, void(intp, intp, intp)),
        compile_function(loop.accept, void(intp, intp, intp, intp, intp)),
    )


_steps: dict[Layout, tuple[Any, int]] = {}


def _compiled_step(strategy: type[Strategy], layout: Layout, step: Any) -> int:
    from numba.core.errors import NumbaError

    from quantlytic.engine.jit import STEP_SIGNATURE, compile_function, native_address

    if layout not in _steps:
        try:
            function = compile_function(step, STEP_SIGNATURE)
        except NumbaError as error:
            raise StrategyError(_explain(str(error), strategy)) from error
        _steps[layout] = function, native_address(function)
    return _steps[layout][1]


_HINTS = (
    (r"Untyped global name '(\w+)'", "'{0}' cannot be used in a handler: pass numbers by param() or setup(), use NumPy scalars"),
    (r"Unknown attribute '(\w+)'", "there is no '{0}' here: what a handler uses on self is made in setup()"),
    (r"NameError: name '(\w+)'|name '(\w+)' is not defined", "the name '{0}' is not defined"),
    (r"(?i)\b(list|dict|set|unicode_type|str)\b", "text, lists and dicts cannot be compiled: use numbers and arrays made in setup()"),
)


def _explain(message: str, strategy: type[Strategy]) -> str:
    """Numba's message in one line: the user's file and line, what it is about, what to write instead."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", message)
    places = [(name, line) for name, line in re.findall(r'File "([^"]+)", line (\d+)', plain) if _OURS not in name]
    places = [(name, line) for name, line in places if "numba" not in Path(name).parts]
    where = f"{places[-1][0]}:{places[-1][1]}" if places else strategy.__name__
    for pattern, hint in _HINTS:
        if found := re.search(pattern, plain):
            what = hint.format(next((group for group in found.groups() if group), ""))
            break
    else:
        lines = [line.strip() for line in plain.splitlines() if line.strip()]
        what = next((line for line in lines if not line.startswith(("Failed in", "File", "-", "<"))), lines[0])
    return f"{where}: {what}; compiled=False runs the same class in plain Python"


def blame(error: Exception, strategy: type[Strategy], bar: int, time: int) -> StrategyError:
    """A handler raised: say where, at which bar, and what."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _OURS not in frame.filename]
    frames = [frame for frame in frames if "numba" not in Path(frame.filename).parts]
    where = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else strategy.__name__
    return StrategyError(f"{where}: {type(error).__name__} at bar {bar} ({iso(time)}): {error}")
