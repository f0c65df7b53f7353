"""What went wrong in a library, in one line."""

from __future__ import annotations

import re

import polars as pl

from quantlytic.model.errors import StoreError

RESTORE = (
    "restore that file from a copy; trades, quotes, book and ledger can also be made anew: move the table's folder away and "
    "run `quantlytic data rebuild`"
)
_LONGEST = 300
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_TRACE = re.compile(r"Debug source|\n\s*0: ")  # what follows is for the library's authors


def one_line(error: Exception) -> str:
    """The message without line breaks and colours, and without the dump that Rust libraries add for their authors."""
    text = " ".join(_TRACE.split(_COLOUR.sub("", str(error)), maxsplit=1)[0].split())
    return text.replace(" ↳ ", ": ")[:_LONGEST] or type(error).__name__


def collected(rows: pl.LazyFrame) -> pl.DataFrame:
    """`rows.collect()` of a table of the lake. Raises StoreError when one of its files is damaged or gone."""
    try:
        return rows.collect()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise StoreError(f"a table of the lake cannot be read ({one_line(error)}): {RESTORE}") from None
