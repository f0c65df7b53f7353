"""The compiled step of a strategy that stays Python: it calls Python objects whose addresses lie in the state."""
# ruff: noqa: ARG001 - the compiler reads the parameters
# mypy: disable-error-code="call-arg, no-untyped-call, arg-type, override, misc, unused-ignore"
# Numba describes its own interfaces only in part.

from __future__ import annotations

import functools
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from quantlytic.engine.compiler.jit import STEP_SIGNATURE, compile_function, native_address

_WORD = 8


@intrinsic
def _summon(_context: Any, kind: Any, state: Any, event: Any) -> Any:
    """Call the object at `state[kind]`, if there is one, with `event`; what it raises goes up through all compiled code."""

    def codegen(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        api = context.get_python_api(builder)
        kind, state, event = args
        word = ir.IntType(64)
        place = builder.add(state, builder.mul(kind, ir.Constant(word, _WORD)))
        number = builder.load(builder.inttoptr(place, word.as_pointer()))
        with builder.if_then(builder.icmp_unsigned("!=", number, ir.Constant(word, 0))):
            gil = api.gil_ensure()
            value = api.long_from_longlong(event)
            result = api.call_function_objargs(builder.inttoptr(number, api.pyobj), (value,))
            api.decref(value)
            with cgutils.if_unlikely(builder, cgutils.is_null(builder, result)):
                api.gil_release(gil)
                context.call_conv.return_exc(builder)
            api.decref(result)
            api.gil_release(gil)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.intp), codegen


def _step(kind: int, state: int, event: int, broker: int) -> None:
    _summon(kind, state, event)


@functools.cache
def step_address() -> int:
    """Where the machine code is, after compiling or loading from disk."""
    return native_address(compile_function(_step, STEP_SIGNATURE))
