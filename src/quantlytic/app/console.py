"""Tables for people."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

_PLAIN_WIDTH = 200


def print_table(table: Table) -> None:
    """As wide as the screen; into a file or a pipe as wide as the rows are, up to 200 columns."""
    console = Console()
    (console if console.is_terminal else Console(width=_PLAIN_WIDTH)).print(table)
