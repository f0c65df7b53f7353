"""Libraries that only some installations have."""

from __future__ import annotations

import importlib
from types import ModuleType

from quantlytic.model.errors import InputError

_EXTRA = {"faiss": "knn", "distributed": "dask", "keras": "tensorflow", "tensorflow": "tensorflow"}
_NO_EXTRA = ("torch",)  # too large, and of too many kinds: whoever wants it has it


def need(module: str, purpose: str) -> ModuleType:
    """The module. InputError, with the line that installs it, when it is not there."""
    try:
        return importlib.import_module(module)
    except ImportError:
        package = module.partition(".")[0]
        wanted = package if package in _NO_EXTRA else f"'quantlytic[{_EXTRA.get(package, 'learn')}]'"
        raise InputError(f"{purpose} needs {package}: pip install {wanted}") from None
