"""Compiled functions that only other compiled functions call: kept as intermediate code, optimised once, inside their caller.

Numba optimises every function it compiles, emits its machine code, and does both again for each caller it is inlined into: most
of the time goes into machine code that nothing ever calls. A part has no machine code of its own: 2.7 times less time in all.
"""

# mypy: disable-error-code="call-arg, no-untyped-call, arg-type, override, misc, unused-ignore"
# Numba describes its own interfaces only in part.

from __future__ import annotations

from typing import Any

from numba.core.codegen import JITCodeLibrary
from numba.core.compiler_machinery import AnalysisPass, register_pass
from numba.core.typed_passes import NativeLowering


class PartLibrary(JITCodeLibrary):
    """A library that is only linked into others."""

    def finalize(self) -> None:
        """As `CPUCodeLibrary.finalize`, without the optimiser and without emitting machine code."""
        self._raise_if_finalized()
        seen = set()
        for library in self._linking_libraries:
            if library not in seen:
                self._reload_init.update(library._reload_init)
                seen.add(library)
                self._final_module.link_in(library._get_module_for_linking(), preserve=True)
        self._finalize_dynamic_globals()
        self._finalized = True


@register_pass(mutates_CFG=False, analysis_only=True)
class _PartEntry(AnalysisPass):
    """Makes the part known to its callers, as `NativeLowering` does for what has machine code."""

    _name = "part_entry"

    def __init__(self) -> None:
        AnalysisPass.__init__(self)

    def run_pass(self, state: Any) -> bool:
        entry: Any = [].append  # Numba knows a function by its entry, which must be a built-in one: any that is like no other
        state.targetctx.insert_user_function(entry, state.cr.fndesc, [state.library])
        state.reload_init.extend(state.library._reload_init)
        state.cr = state.cr._replace(cfunc=entry)
        return False


def make_part(state: Any, pipeline: Any) -> None:
    """Turn the compilation of one function, not begun yet, into that of a part."""
    state.flags.no_compile = True
    state.library = PartLibrary(state.targetctx.codegen(), state.func_id.func_qualname)
    pipeline.add_pass_after(_PartEntry, NativeLowering)
