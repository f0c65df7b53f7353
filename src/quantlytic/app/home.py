"""Where everything recorded lies, without the rest of the settings."""

from __future__ import annotations

from quantlytic.store.home import home_folder

__all__ = ["home_folder"]
