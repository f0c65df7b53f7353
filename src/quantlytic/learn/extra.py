"""Libraries that only some installations have."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

from quantlytic.model.errors import InputError

_EXTRA = {"faiss": "knn", "distributed": "dask", "keras": "tensorflow", "tensorflow": "tensorflow"}
_NO_EXTRA = ("torch",)  # too large, and of too many kinds: whoever wants it has it


_APART = {"torch": "tensorflow", "tensorflow": "torch"}
"""Each brings an LLVM of its own; with some versions the second one to be loaded ends the process."""


def need(module: str, purpose: str) -> ModuleType:
    """The module. InputError, with the line that installs it, when it is not there, or may not come in beside another."""
    if module not in sys.modules and (other := _APART.get(module)) in sys.modules:
        raise InputError(
            f"{purpose} needs {module}, and this process has {other}: train with one of them in each process"
        )
    try:
        return importlib.import_module(module)
    except ImportError:
        package = module.partition(".")[0]
        wanted = package if package in _NO_EXTRA else f"'quantlytic[{_EXTRA.get(package, 'learn')}]'"
        raise InputError(f"{purpose} needs {package}: pip install {wanted}") from None
