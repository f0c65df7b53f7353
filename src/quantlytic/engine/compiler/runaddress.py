"""Where the machine code of the loop `run` is, for compiled loops around it: it is compiled once, not into each of them."""

from __future__ import annotations

import functools
from types import FunctionType
from typing import Any

from quantlytic.engine.run import loop


def run_address() -> int:
    """The address, after compiling or loading from disk at the first call."""
    from quantlytic.engine.compiler.jit import native_address

    return native_address(_run())


@functools.cache
def _run() -> Any:
    from quantlytic.engine.compiler.jit import compile_function

    run: Any = loop.run
    assert isinstance(run, FunctionType)
    return compile_function(run, f"intp({', '.join(['intp'] * 7)})")
