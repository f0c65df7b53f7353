"""The bars that a command runs over: of a file, named after the strategy or by `--data`, or of the lake."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from quantlytic.model.errors import InputError

if TYPE_CHECKING:
    from quantlytic.engine.data.bars import Bars

LAKE = click.option("--lake", is_flag=True, help="Bars from the lake that was recorded; needs --symbol and --bar-size.")


def bars_of(command: str, home: Path, file: Path | None, **given: Any) -> Bars:
    """What FILE, `--data` or `--lake`, `--symbol`, `--bar-size`, `--start` and `--end` name. InputError for no place, or two."""
    from quantlytic.research.data.history import lake, load_bars

    symbol, size, span = given["symbol"], given["bar_size"], (given["start"], given["end"])
    if not given["lake"]:
        return load_bars(one_file(command, file, given["data"]), symbol, size, *span)
    if (named := file or given["data"]) is not None:
        raise InputError(f"{command} reads bars of one place: {named} or --lake?")
    if symbol is None or size is None:
        raise InputError("--lake needs --symbol VENUE:SYMBOL and --bar-size: see `quantlytic data list`")
    return lake(home / "lake").bars(symbol.split(","), size, *span)


def one_file(command: str, file: Path | None, data: Path | None) -> Path:
    """The file that was named. InputError for none, and for two."""
    if file is not None and data is not None:
        raise InputError(f"{command} reads one file: {file} or --data {data}?")
    named = data if file is None else file
    if named is None:
        raise InputError(f"name a file of bars, or the lake: {command} STRATEGY bars.parquet, or --lake")
    return named
