"""Calls from compiled strategies to the broker's methods, each of which is compiled once, when it is first called, and kept
on disk. So a strategy's own code is all that waits for the compiler when it is new.

A method's machine code is reached by a cell; while the cell is empty, the call goes to Python first, which fills it.
"""
# mypy: disable-error-code="call-arg, no-untyped-call, arg-type, override, misc, unused-ignore"
# Numba describes its own interfaces only in part.

from __future__ import annotations

import contextlib
import ctypes
import inspect
import types as python
from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.errors import TypingError
from numba.extending import intrinsic

from quantlytic.engine.account.broker import BROKER, Broker
from quantlytic.engine.compiler.record import at

_TYPES = {"int": types.int64, "float": types.float64, "bool": types.boolean}
_WORDS = {"int": "a whole number", "float": "a number", "bool": "True or False"}
_keep: list[Any] = []


def entry_of(name: str, function: python.FunctionType) -> tuple[python.FunctionType, Any]:
    """A function that takes the broker's address and what a method of it takes, and its signature: numbers only, since what
    is compiled for a type of record cannot be kept on disk."""
    signature = inspect.signature(function)
    parameters = list(signature.parameters.values())[1:]
    names = "".join(f", {one.name}" for one in parameters)
    scope: dict[str, Any] = {"__name__": __name__, "at": at, "BROKER": BROKER, "body": function}
    exec(f"def {name}(address{names}):\n    return body(at(address, 0, BROKER){names})", scope)
    arguments = [_TYPES[str(one.annotation)] for one in parameters]
    return scope[name], _TYPES[str(signature.return_annotation)](types.intp, *arguments)


def _methods() -> dict[str, python.FunctionType]:
    """The broker's methods that take and return plain numbers only."""
    found: dict[str, python.FunctionType] = {}
    for owner in reversed(Broker.__mro__):
        for name, member in vars(owner).items():
            if isinstance(member, python.FunctionType) and not name.startswith("_"):
                signature = inspect.signature(member)
                annotations = [str(one.annotation) for one in list(signature.parameters.values())[1:]]
                if all(one in _TYPES for one in [*annotations, str(signature.return_annotation)]):
                    found[name] = member
    return found


METHODS = _methods()


def link(compile_method: Callable[[python.FunctionType, Any], int]) -> None:
    """Say how a method's code is made: `compile_method(function, signature)` returns its address."""
    for name, function in METHODS.items():
        _link(name, function, compile_method)


def stub_of(name: str) -> python.FunctionType:
    """A function with the method's parameters that calls out to it."""
    function = METHODS[name]
    parameters = list(inspect.signature(function).parameters.values())
    listed = ", ".join(one.name + ("" if one.default is one.empty else "=None") for one in parameters)
    names = "".join(f"{one.name}, " for one in parameters[1:])
    scope: dict[str, Any] = {"out": _out(name, function)}
    exec(f"def {name}({listed}):\n    return out({parameters[0].name}, ({names}))", scope)
    stub: python.FunctionType = scope[name]
    stub.__defaults__, stub.__module__ = function.__defaults__, function.__module__
    return stub


def _link(name: str, function: python.FunctionType, compile_method: Callable[[python.FunctionType, Any], int]) -> None:
    cell = ctypes.c_int64(0)

    def prepare() -> None:
        with contextlib.suppress(KeyboardInterrupt):  # the caller, finding no code, raises it
            cell.value = compile_method(*entry_of(name, function))

    callback = ctypes.CFUNCTYPE(None)(prepare)
    _keep.extend((cell, callback))
    llvm.add_symbol(f"quantlytic_{name}_code", ctypes.addressof(cell))
    llvm.add_symbol(f"quantlytic_{name}_prepare", ctypes.cast(callback, ctypes.c_void_p).value)


def _out(name: str, function: python.FunctionType) -> Any:
    """What the stub calls: the record, and the arguments as a tuple."""
    signature = inspect.signature(function)
    parameters = list(signature.parameters.values())[1:]
    result = _TYPES[str(signature.return_annotation)]
    wanted = [_TYPES[str(one.annotation)] for one in parameters]

    def typing(_context: Any, record: Any, arguments: Any) -> Any:
        for one, given in zip(parameters, arguments, strict=True):
            kind = str(one.annotation)
            whole = isinstance(types.unliteral(given), types.Integer | types.Boolean | types.IntEnumMember)
            if not (whole or (kind == "float" and isinstance(given, types.Float))):
                raise TypingError(f"no such argument: {name}: {one.name} is {_WORDS[kind]}")

        def codegen(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
            given = cgutils.unpack_tuple(builder, args[1]) if parameters else []
            values = [context.cast(builder, *triple) for triple in zip(given, arguments, wanted, strict=True)]
            code = _code_of(context, builder, name)
            address = builder.ptrtoint(args[0], context.get_value_type(types.intp))
            kinds = [types.intp, *wanted]
            kind_of = context.call_conv.get_function_type(result, kinds)
            pointer = builder.inttoptr(code, kind_of.as_pointer())
            status, value = context.call_conv.call_function(builder, pointer, result, kinds, [address, *values])
            with cgutils.if_unlikely(builder, status.is_error):
                context.call_conv.return_status_propagate(builder, status)
            return value

        return result(record, arguments), codegen

    return intrinsic(typing)


def _code_of(context: Any, builder: Any, name: str) -> Any:
    """The address in the cell, filled first if it is empty."""
    cell = context.get_c_value(builder, ir.IntType(64), f"quantlytic_{name}_code")
    with cgutils.if_unlikely(builder, cgutils.is_null(builder, builder.load(cell))):
        kind = ir.FunctionType(ir.VoidType(), [])
        prepare = cgutils.get_or_insert_function(builder.module, kind, f"quantlytic_{name}_prepare")
        builder.call(prepare, [])
        with cgutils.if_unlikely(builder, cgutils.is_null(builder, builder.load(cell))):
            context.call_conv.return_user_exc(builder, KeyboardInterrupt, ())
    return builder.load(cell)
