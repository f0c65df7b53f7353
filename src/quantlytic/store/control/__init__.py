"""The control store: what was run, with which settings; instruments, trials, tokens. SQLite or PostgreSQL."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from quantlytic.store.control.control import Control


def open_control(target: Path | str) -> Control:
    """The control store in the folder `target` (file `control.db`, made if missing), or at a `postgresql://` URL.

    Brings an older schema up to date. Raises StoreError when it cannot be opened: damaged, or of a newer Quantlytic.
    """
    from quantlytic.store.control.control import Control  # SQLAlchemy takes a quarter of a second to import

    return Control(target)
