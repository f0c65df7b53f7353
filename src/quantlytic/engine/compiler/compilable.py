"""How a Python function is made ready for the compiler: its helpers compiled too, options that keep results equal."""

# mypy: disable-error-code="call-arg, no-untyped-call, arg-type, override, misc, unused-ignore"
# Numba describes its own interfaces only in part.

from __future__ import annotations

import functools
import types as python
from typing import Any

import numba
from numba import types
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import AnalysisPass, register_pass
from numba.core.ir import SetAttr
from numba.core.typed_passes import NopythonTypeInference

from quantlytic.engine.account import cold
from quantlytic.engine.compiler import record as primitives
from quantlytic.engine.compiler.explain import words_of
from quantlytic.engine.compiler.fingerprint import fingerprint_of
from quantlytic.engine.compiler.part import make_part
from quantlytic.model.errors import StrategyError

_PACKAGE = __name__.partition(".")[0]


def options_for(function: python.FunctionType) -> dict[str, Any]:
    """IEEE division, as NumPy has it; array bounds are checked in what users write, not in the engine."""
    trusted = function.__module__.partition(".")[0] == _PACKAGE
    return {"error_model": "numpy", "boundscheck": not trusted, "nogil": True, "pipeline_class": StrictCompiler}


def inner_options_for(function: python.FunctionType) -> dict[str, Any]:
    """The same for what only compiled code calls: without the entries for Python and C, which take a third of the time."""
    return options_for(function) | {
        "no_cpython_wrapper": True, "no_cfunc_wrapper": True, "pipeline_class": PartCompiler,
    }  # fmt: skip


@functools.cache
def compilable(function: python.FunctionType) -> python.FunctionType:
    """A copy whose plain helper functions (globals) are compiled too, under a name that holds its fingerprint."""
    names = set(function.__code__.co_names)
    scope = dict(function.__globals__)
    for name in names & scope.keys():
        helper = scope[name]
        if (
            isinstance(helper, python.FunctionType)
            and helper.__module__ not in (primitives.__name__, cold.__name__)
            and helper is not function
        ):
            scope[name] = numba.njit(**inner_options_for(helper))(compilable(helper))
    copy = python.FunctionType(function.__code__, scope, function.__name__, function.__defaults__, function.__closure__)
    copy.__kwdefaults__ = function.__kwdefaults__
    copy.__module__ = function.__module__
    copy.__dict__["fingerprint"] = fingerprint_of(function)
    copy.__qualname__ = f"{function.__qualname__}_{copy.__dict__['fingerprint'][:16]}"
    return copy


@register_pass(mutates_CFG=False, analysis_only=True)
class _KeptKinds(AnalysisPass):
    """What is assigned to a field is of its kind. A fraction would be cut off to fit a whole number, an array written over what
    lies behind a number: refused instead."""

    _name = "kept_kinds"

    def __init__(self) -> None:
        AnalysisPass.__init__(self)

    def run_pass(self, state: Any) -> bool:
        for block in state.func_ir.blocks.values():
            for statement in block.find_insts(SetAttr):
                owner, value = state.typemap[statement.target.name], state.typemap[statement.value.name]
                field = owner.fields.get(statement.attr) if isinstance(owner, types.Record) else None
                what = None if field is None else _misfit(statement.attr, field.type, types.unliteral(value))
                if what is not None:
                    raise StrategyError(f"{statement.loc.filename}:{statement.loc.line}: self.{statement.attr} {what}")
        return False


def _misfit(name: str, field: Any, value: Any) -> str | None:
    """Why a value is not for a field, or None."""
    number = isinstance(value, types.Number | types.Boolean | types.IntEnumMember)
    if isinstance(field, types.Array):
        return f"is an array made in setup(): write self.{name}[:] = ... to change what it holds"
    if isinstance(field, types.Record):
        kind = words_of(field.name).removesuffix(" object")
        return f"is {kind} made in setup(): it changes by its methods, and stays"
    if not number:
        return f"is one number and is given {words_of(str(value))}"
    if isinstance(field, types.Integer) and isinstance(value, types.Float):
        return f"is a whole number and is given a fraction: write {name} = 0.0 in setup()"
    return None


class StrictCompiler(CompilerBase):
    """Numba's compiler with one more check after type inference."""

    def define_pipelines(self) -> list[Any]:
        pipeline = DefaultPassBuilder.define_nopython_pipeline(self.state)
        pipeline.add_pass_after(_KeptKinds, NopythonTypeInference)
        self.adapt(pipeline)
        pipeline.finalize()
        return [pipeline]

    def adapt(self, pipeline: Any) -> None:
        """What else is different about this compiler."""


class PartCompiler(StrictCompiler):
    """For what only compiled code calls."""

    def adapt(self, pipeline: Any) -> None:
        make_part(self.state, pipeline)
