"""Compiles functions over records. Importing it imports Numba; nothing here is needed to run uncompiled."""

from __future__ import annotations

import threading
import types as python
from collections.abc import Callable
from typing import Any

import numba

from quantlytic.engine.account import cold
from quantlytic.engine.compiler import coldlink, outcall
from quantlytic.engine.compiler.compilable import compilable, options_for
from quantlytic.engine.compiler.intrinsics import STEP_SIGNATURE
from quantlytic.engine.compiler.jitcache import attach_cache

_one_at_a_time = threading.RLock()


def compile_function(function: Callable[..., Any], signature: Any) -> Any:
    """Compile for exactly one signature, or load from disk. Safe from several threads."""
    assert isinstance(function, python.FunctionType)
    with _one_at_a_time:  # the types of records are made on the way, each once
        target = compilable(function)
        dispatcher = numba.njit(**options_for(target))(target)
        attach_cache(dispatcher)
        dispatcher.compile(signature)
        return dispatcher


def native_address(dispatcher: Any) -> int:
    """Where the machine code of a function with one signature is."""
    (compiled,) = dispatcher.overloads.values()
    return int(compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name))


def _compile_installed() -> int:
    return native_address(compile_function(cold.installed(), STEP_SIGNATURE))


def _compile_method(entry: python.FunctionType, signature: Any) -> int:
    return native_address(compile_function(entry, signature))


coldlink.link(_compile_installed)
outcall.link(_compile_method)

__all__ = ["STEP_SIGNATURE", "compile_function", "native_address"]
