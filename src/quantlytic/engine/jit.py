"""Teaches Numba the records: each class of `Record` is a type of its own, whose methods and properties are the class's.

Nothing here is needed to run uncompiled; importing it imports Numba.
"""

from __future__ import annotations

import functools
import inspect
import types as python
from typing import Any

import numba
from numba import types
from numba.core import cgutils
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import AnalysisPass, register_pass
from numba.core.datamodel import models
from numba.core.imputils import lower_constant
from numba.core.ir import SetAttr
from numba.core.typed_passes import NopythonTypeInference
from numba.core.typing.templates import AttributeTemplate, infer_getattr
from numba.extending import (
    intrinsic,
    overload,
    overload_attribute,
    overload_method,
    register_model,
    typeof_impl,
)
from numba.np.numpy_support import from_dtype

from quantlytic.engine import record as primitives
from quantlytic.engine.fingerprint import fingerprint_of
from quantlytic.engine.jitcache import attach_cache
from quantlytic.engine.record import Layout, Record
from quantlytic.engine.strategy import Strategy
from quantlytic.model.errors import StrategyError

# ---- types ----


@functools.cache
def record_type(layout: Layout) -> types.Record:
    """The Numba type of a layout."""
    fields: list[tuple[str, dict[str, Any]]] = []
    dtype = layout.dtype
    for name in dtype.names or ():
        member, offset = dtype.fields[name][:2]  # type: ignore[index]
        if name in layout.nested:
            kind: Any = record_type(layout.nested[name])
        elif member.subdtype is not None:
            base, shape = member.subdtype
            kind = types.NestedArray(dtype=from_dtype(base), shape=shape)
        else:
            kind = from_dtype(member)
        fields.append((name, {"type": kind, "offset": offset}))
    return _type_class(layout.cls)(fields, layout)


class RecordType(types.Record):
    """A record that belongs to a class. Its name holds the fingerprint of the class's code: types, and with them symbols
    of compiled functions, differ as soon as the code does, also between a cached library and a fresh one."""

    def __init__(self, fields: list[tuple[str, dict[str, Any]]], layout: Layout) -> None:
        super().__init__(fields, layout.size, aligned=True)
        self.layout = layout
        self.name = f"{layout.cls.__name__}_{fingerprint_of(layout)[:16]}"

    @property
    def mangling_args(self) -> tuple[str, tuple[()]]:
        return self.name, ()


@functools.cache
def _type_class(cls: type[Record]) -> type[RecordType]:
    numba_class = type(f"{cls.__name__}Type", (RecordType,), {})
    register_model(numba_class)(models.RecordModel)
    for name, member in _members(cls).items():
        if isinstance(member, property):
            assert member.fget is not None
            _expose_property(numba_class, name, compilable(member.fget))
        else:
            _expose_method(numba_class, name, compilable(member))
    return numba_class


def _members(cls: type[Record]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for owner in reversed(cls.__mro__):
        if issubclass(owner, Record) and owner not in (Record, Strategy):
            for name, member in vars(owner).items():
                if isinstance(member, python.FunctionType | property) and not name.startswith("__"):
                    found[name] = member
    found.pop("setup", None)
    return found


def _expose_method(numba_class: type[RecordType], name: str, function: python.FunctionType) -> None:
    def typing(*args: Any, **kwargs: Any) -> python.FunctionType:
        return function

    typing.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
    overload_method(numba_class, name, jit_options=options_for(function), strict=False)(typing)


def _expose_property(numba_class: type[RecordType], name: str, function: python.FunctionType) -> None:
    def typing(self: Any) -> python.FunctionType:
        return function

    overload_attribute(numba_class, name, jit_options=options_for(function), strict=False)(typing)


@infer_getattr
class _MissingAttribute(AttributeTemplate):
    """The last word on `record.name`: a field, or a clear error."""

    key = RecordType

    def generic_resolve(self, record: RecordType, name: str) -> Any:
        if name in record.fields:
            return record.typeof(name)
        if name in _members(record.layout.cls):
            return None
        what = "bar" if record.layout.cls is Record else record.layout.cls.__name__
        hint = "give it a first value in setup()" if issubclass(record.layout.cls, Strategy) else "there is no such name"
        raise StrategyError(f"{what}.{name}: {hint}")


# ---- functions ----


def options_for(function: python.FunctionType) -> dict[str, Any]:
    """Compiler options: IEEE division as NumPy does it; array bounds are checked in what users write, not in the engine."""
    trusted = function.__module__.startswith("quantlytic.")
    return {"error_model": "numpy", "boundscheck": not trusted, "nogil": True, "pipeline_class": StrictCompiler}


@functools.cache
def compilable(function: python.FunctionType) -> python.FunctionType:
    """A copy whose plain helper functions (globals) are compiled too, under a name that holds its fingerprint."""
    names = set(function.__code__.co_names)
    scope = dict(function.__globals__)
    for name in names & scope.keys():
        helper = scope[name]
        if isinstance(helper, python.FunctionType) and helper not in _PRIMITIVES and helper is not function:
            scope[name] = numba.njit(**options_for(helper))(compilable(helper))
    copy = python.FunctionType(function.__code__, scope, function.__name__, function.__defaults__, function.__closure__)
    copy.__kwdefaults__ = function.__kwdefaults__
    copy.__module__ = function.__module__
    copy.__dict__["fingerprint"] = fingerprint_of(function)
    copy.__qualname__ = f"{function.__qualname__}_{copy.__dict__['fingerprint'][:16]}"
    return copy


def compile_function(function: python.FunctionType, signature: Any, *depends: object) -> Any:
    """Compile for exactly one signature, or load from disk. `depends` is what the code refers to besides its globals."""
    target = compilable(function)
    if depends:
        target.__dict__["fingerprint"] = fingerprint_of(function, *depends)
        target.__qualname__ = f"{function.__qualname__}_{target.__dict__['fingerprint'][:16]}"
    dispatcher = numba.njit(**options_for(target))(target)
    attach_cache(dispatcher)
    dispatcher.compile(signature)
    return dispatcher


def native_address(dispatcher: Any) -> int:
    """Where the machine code of a function with one signature is."""
    (compiled,) = dispatcher.overloads.values()
    return int(compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name))


@register_pass(mutates_CFG=False, analysis_only=True)
class _NoSilentTruncation(AnalysisPass):  # type: ignore[misc]
    """`self.entry = 0` in setup and `self.entry = bar.close` later would cut the fraction off: refuse it instead."""

    _name = "no_silent_truncation"

    def __init__(self) -> None:
        AnalysisPass.__init__(self)

    def run_pass(self, state: Any) -> bool:
        for block in state.func_ir.blocks.values():
            for statement in block.find_insts(SetAttr):
                owner, value = state.typemap[statement.target.name], state.typemap[statement.value.name]
                if not isinstance(owner, RecordType) or statement.attr not in owner.fields:
                    continue
                if isinstance(owner.typeof(statement.attr), types.Integer) and isinstance(value, types.Float):
                    raise StrategyError(
                        f"{statement.loc.filename}:{statement.loc.line}: {owner.layout.cls.__name__}.{statement.attr} is a "
                        f"whole number and is given a fraction: write {statement.attr} = 0.0 in setup()"
                    )
        return False


class StrictCompiler(CompilerBase):  # type: ignore[misc]
    """Numba's compiler with one more check after type inference."""

    def define_pipelines(self) -> list[Any]:
        pipeline = DefaultPassBuilder.define_nopython_pipeline(self.state)
        pipeline.add_pass_after(_NoSilentTruncation, NopythonTypeInference)
        pipeline.finalize()
        return [pipeline]


# ---- the primitives of record.py ----


class LayoutType(types.Opaque):  # type: ignore[misc]
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


_PRIMITIVES = {
    primitives.at,
    primitives.address_of,
    primitives.copy_out,
    primitives.copy_in,
    primitives.call,
}
