"""Libraries that only some installations have."""

from __future__ import annotations

import importlib
from types import ModuleType

from quantlytic.model.errors import InputError

_EXTRA = {"faiss": "knn", "distributed": "dask"}


def need(module: str, purpose: str) -> ModuleType:
    """The module. InputError, with the line that installs it, when it is not there."""
    try:
        return importlib.import_module(module)
    except ImportError:
        package = module.partition(".")[0]
        extra = _EXTRA.get(package, "learn")
        raise InputError(f"{purpose} needs {package}: pip install 'quantlytic[{extra}]'") from None
