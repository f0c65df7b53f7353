"""Teaches Numba the primitives of `record.py`: compiled, an address is an integer and a record a pointer."""
# ruff: noqa: ARG001, PLW0108 - the compiler reads the parameters, and wants functions
# mypy: disable-error-code="call-arg, no-untyped-call, arg-type, override, misc, unused-ignore"
# Numba describes its own interfaces only in part.

from __future__ import annotations

from typing import Any

from numba import types
from numba.core import cgutils
from numba.core.datamodel import models
from numba.core.imputils import lower_cast, lower_constant
from numba.extending import intrinsic, overload, register_model, typeof_impl

from quantlytic.engine.compiler import record as primitives
from quantlytic.engine.compiler.record import Layout
from quantlytic.engine.compiler.recordtype import record_type


class LayoutType(types.Opaque):
    """A layout used as a constant."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        super().__init__(f"Layout[{record_type(layout).name}]")


register_model(LayoutType)(models.OpaqueModel)


@typeof_impl.register(Layout)
def _typeof_layout(value: Layout, _context: Any) -> LayoutType:
    return LayoutType(value)


@lower_constant(LayoutType)
def _constant_layout(context: Any, _builder: Any, _kind: Any, _value: Any) -> Any:
    return context.get_dummy_value()


def _byte_pointer(builder: Any, pointer: Any, distance: Any) -> Any:
    return builder.gep(builder.bitcast(pointer, cgutils.voidptr_t), [distance])


@intrinsic
def _record_near(_context: Any, base: Any, distance: Any, layout: Any) -> Any:
    result = record_type(layout.layout)

    def codegen(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.bitcast(_byte_pointer(builder, args[0], args[1]), context.get_value_type(result))

    return result(base, types.intp, layout), codegen


@intrinsic
def _record_at(_context: Any, base: Any, distance: Any, layout: Any) -> Any:
    result = record_type(layout.layout)

    def codegen(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.inttoptr(builder.add(args[0], args[1]), context.get_value_type(result))

    return result(types.intp, types.intp, layout), codegen


@overload(primitives.at, strict=False)
def _at(base: Any, distance: Any, layout: Any) -> Any:
    if isinstance(base, types.Record):
        return lambda base, distance, layout: _record_near(base, distance, layout)
    return lambda base, distance, layout: _record_at(base, distance, layout)


@intrinsic
def _pointer_to_int(_context: Any, record: Any) -> Any:
    def codegen(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.ptrtoint(args[0], context.get_value_type(types.intp))

    return types.intp(record), codegen


@overload(primitives.address_of, strict=False)
def _address_of(record: Any) -> Any:
    return lambda record: _pointer_to_int(record)


@intrinsic
def _copy(_context: Any, target: Any, source: Any, size: Any) -> Any:
    def codegen(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        pointers = [builder.inttoptr(value, cgutils.voidptr_t) for value in args[:2]]
        cgutils.raw_memcpy(builder, *pointers, args[2], 1)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.intp), codegen


@overload(primitives.copy_out, strict=False)
def _copy_out(source: Any, size: Any, target: Any, start: Any) -> Any:
    def copy_out(source: Any, size: Any, target: Any, start: Any) -> None:
        _copy(target.ctypes.data + start, source, size)

    return copy_out


@overload(primitives.copy_in, strict=False)
def _copy_in(source: Any, target: Any, size: Any) -> Any:
    return lambda source, target, size: _copy(target, source, size)


@lower_cast(types.IntEnumMember, types.Float)
def _enum_to_float(context: Any, builder: Any, source: Any, target: Any, value: Any) -> Any:
    """`distance * side`: Numba itself converts an enumeration's member to integers only."""
    return context.cast(builder, value, source.dtype, target)


@overload(int, strict=False)
def _int_of_enum(x: Any) -> Any:
    return (lambda x: x.value) if isinstance(x, types.IntEnumMember) else None


STEP_SIGNATURE = types.void(types.intp, types.intp, types.intp, types.intp)
"""A compiled strategy: (handler, address of its state, address of the event, address of the broker)."""


@intrinsic
def _call(_context: Any, step: Any, kind: Any, state: Any, event: Any, broker: Any) -> Any:
    def codegen(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        arguments = [types.intp] * 4
        kind_of = context.call_conv.get_function_type(types.none, arguments)
        function = builder.inttoptr(args[0], kind_of.as_pointer())
        status, _ = context.call_conv.call_function(builder, function, types.none, arguments, args[1:])
        with cgutils.if_unlikely(builder, status.is_error):
            context.call_conv.return_status_propagate(builder, status)
        return context.get_dummy_value()

    return types.void(*[types.intp] * 5), codegen


@overload(primitives.call, strict=False)
def _call_step(step: Any, kind: Any, state: Any, event: Any, broker: Any) -> Any:
    return lambda step, kind, state, event, broker: _call(step, kind, state, event, broker)


@intrinsic
def _call_run(
    _context: Any, run: Any, arena: Any, bars: Any, first: Any, count: Any, equity: Any, journal: Any, step: Any
) -> Any:
    def codegen(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        arguments = [types.intp] * 7
        function = builder.inttoptr(args[0], context.call_conv.get_function_type(types.intp, arguments).as_pointer())
        status, done = context.call_conv.call_function(builder, function, types.intp, arguments, args[1:])
        with cgutils.if_unlikely(builder, status.is_error):
            context.call_conv.return_status_propagate(builder, status)
        return done

    return types.intp(*[types.intp] * 8), codegen


@overload(primitives.call_run, strict=False)
def _call_run_at(run: Any, arena: Any, bars: Any, first: Any, count: Any, equity: Any, journal: Any, step: Any) -> Any:
    return lambda run, arena, bars, first, count, equity, journal, step: _call_run(
        run, arena, bars, first, count, equity, journal, step
    )
