"""The one file of bars that a command reads: named after the strategy, or by `--data` as `backtest` names it."""

from __future__ import annotations

from pathlib import Path

from quantlytic.model.errors import InputError


def one_file(command: str, file: Path | None, data: Path | None) -> Path:
    """The file that was named. InputError for none, and for two."""
    if file is not None and data is not None:
        raise InputError(f"{command} reads one file: {file} or --data {data}?")
    named = data if file is None else file
    if named is None:
        raise InputError(f"name a file of bars: {command} STRATEGY bars.parquet")
    return named
