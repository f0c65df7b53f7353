"""ccxt itself, imported when it is used."""

from __future__ import annotations

import importlib
from typing import Any

from quantlytic.model.errors import InputError
from quantlytic.venues.quiet import masked


def open_exchange(name: str, config: dict[str, Any] | None = None) -> Any:
    """ccxt's exchange object of that name. Raises InputError when ccxt or the exchange is missing."""
    try:
        pro = importlib.import_module("ccxt.pro")
    except ModuleNotFoundError:
        raise InputError("the ccxt venue needs the extra: pip install 'quantlytic[ccxt]'") from None
    if name not in pro.exchanges:
        raise InputError(f"ccxt streams no exchange named {name!r}; see ccxt.pro.exchanges for those it does")
    return getattr(pro, name)({"enableRateLimit": True, **(config or {})})


def errors() -> Any:
    """ccxt's classes of errors."""
    return importlib.import_module("ccxt.base.errors")


def one_line(error: Exception) -> str:
    """The error in one short line. Addresses in it lose their signatures and keys."""
    return masked(" ".join(f"{type(error).__name__}: {error}".split()))[:160]
