"""Who decides a run after its strategy has raised."""

from __future__ import annotations

from typing import Any

from quantlytic.engine.strategy import Strategy


class Nobody(Strategy):
    """Decides nothing: the account is marked, and what is held stays."""

    def on_bar(self, bar: Any, broker: Any) -> None:
        pass
