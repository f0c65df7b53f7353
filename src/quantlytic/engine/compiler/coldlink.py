"""Compiled `cold.consult`: calls machine code whose address is in a cell; the first call has it compiled, or loaded from disk."""
# ruff: noqa: ARG001, PLW0108 - the compiler reads the parameters, and wants functions
# mypy: disable-error-code="call-arg, no-untyped-call, arg-type, override, misc, unused-ignore"
# Numba describes its own interfaces only in part.

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload

from quantlytic.engine.account import cold

_CODE, _PREPARE = "quantlytic_cold_code", "quantlytic_cold_prepare"
_code = ctypes.c_int64(0)
_keep: list[Any] = []


def link(compile_installed: Callable[[], int]) -> None:
    """Say how the code is made: `compile_installed` returns its address."""

    def prepare() -> None:
        with contextlib.suppress(KeyboardInterrupt):  # the caller, finding no code, raises it
            _code.value = compile_installed()

    callback = ctypes.CFUNCTYPE(None)(prepare)
    _keep[:] = [callback]
    llvm.add_symbol(_CODE, ctypes.addressof(_code))
    llvm.add_symbol(_PREPARE, ctypes.cast(callback, ctypes.c_void_p).value)


@intrinsic
def _consult(_context: Any, what: Any, account: Any, event: Any, extra: Any) -> Any:
    def codegen(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        cell = context.get_c_value(builder, ir.IntType(64), _CODE)
        with cgutils.if_unlikely(builder, cgutils.is_null(builder, builder.load(cell))):
            kind = ir.FunctionType(ir.VoidType(), [])
            builder.call(cgutils.get_or_insert_function(builder.module, kind, _PREPARE), [])
            with cgutils.if_unlikely(builder, cgutils.is_null(builder, builder.load(cell))):
                context.call_conv.return_user_exc(builder, KeyboardInterrupt, ())
        arguments = [types.intp] * 4
        kind_of = context.call_conv.get_function_type(types.none, arguments)
        function = builder.inttoptr(builder.load(cell), kind_of.as_pointer())
        status, _ = context.call_conv.call_function(builder, function, types.none, arguments, args)
        with cgutils.if_unlikely(builder, status.is_error):
            context.call_conv.return_status_propagate(builder, status)
        return context.get_dummy_value()

    return types.void(*[types.intp] * 4), codegen


@overload(cold.consult, strict=False)
def _consult_compiled(what: Any, account: Any, event: Any, extra: Any) -> Any:
    return lambda what, account, event, extra: _consult(what, account, event, extra)
