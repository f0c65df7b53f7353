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

from quantlytic.engine import cold
from quantlytic.engine import record as primitives
from quantlytic.engine.fingerprint import fingerprint_of
from quantlytic.model.errors import StrategyError

_PACKAGE = __name__.partition(".")[0]


def options_for(function: python.FunctionType) -> dict[str, Any]:
    """IEEE division, as NumPy has it; array bounds are checked in what users write, not in the engine."""
    trusted = function.__module__.partition(".")[0] == _PACKAGE
    return {"error_model": "numpy", "boundscheck": not trusted, "nogil": True, "pipeline_class": StrictCompiler}


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
            scope[name] = numba.njit(**options_for(helper))(compilable(helper))
    copy = python.FunctionType(function.__code__, scope, function.__name__, function.__defaults__, function.__closure__)
    copy.__kwdefaults__ = function.__kwdefaults__
    copy.__module__ = function.__module__
    copy.__dict__["fingerprint"] = fingerprint_of(function)
    copy.__qualname__ = f"{function.__qualname__}_{copy.__dict__['fingerprint'][:16]}"
    return copy


@register_pass(mutates_CFG=False, analysis_only=True)
class _NoSilentTruncation(AnalysisPass):
    """`self.entry = 0` in setup and `self.entry = bar.close` later would cut the fraction off: refuse it instead."""

    _name = "no_silent_truncation"

    def __init__(self) -> None:
        AnalysisPass.__init__(self)

    def run_pass(self, state: Any) -> bool:
        for block in state.func_ir.blocks.values():
            for statement in block.find_insts(SetAttr):
                owner, value = state.typemap[statement.target.name], state.typemap[statement.value.name]
                field = owner.fields.get(statement.attr) if isinstance(owner, types.Record) else None
                if field is not None and isinstance(field.type, types.Integer) and isinstance(value, types.Float):
                    raise StrategyError(
                        f"{statement.loc.filename}:{statement.loc.line}: self.{statement.attr} is a whole number and is "
                        f"given a fraction: write {statement.attr} = 0.0 in setup()"
                    )
        return False


class StrictCompiler(CompilerBase):
    """Numba's compiler with one more check after type inference."""

    def define_pipelines(self) -> list[Any]:
        pipeline = DefaultPassBuilder.define_nopython_pipeline(self.state)
        pipeline.add_pass_after(_NoSilentTruncation, NopythonTypeInference)
        pipeline.finalize()
        return [pipeline]
