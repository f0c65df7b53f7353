"""Recorded bars as a tape for the exchange in a box: each bar becomes four trades, with its own open, high, low and close."""

from __future__ import annotations

import gzip
import itertools
import json
from collections.abc import Sequence
from pathlib import Path

import polars as pl

NS_PER_MS = 1_000_000


def write_tape(source: Path, path: Path, symbols: Sequence[str], bars: int, ends: str = "") -> None:
    """A tape of the last `bars` bars a symbol before `ends` (a date, or the file's end).

    The trades of a bar come at its open, after a third and two thirds of it, and a millisecond before its close; the low
    comes before the high where the bar falls. Each has a quarter of the volume.
    """
    table = pl.read_parquet(source).filter(pl.col("symbol").is_in(list(symbols)))
    if ends:
        table = table.filter(pl.col("ts") < pl.lit(ends).str.to_datetime(time_zone="UTC"))
    rows = []
    for symbol in symbols:
        own = table.filter(pl.col("symbol") == symbol).sort("ts").tail(bars)
        opened = own["ts"].dt.epoch("ns").to_list()
        step = min(after - before for before, after in itertools.pairwise(opened))
        number = 0
        for start, row in zip(opened, own.iter_rows(named=True), strict=True):
            middle = (row["low"], row["high"]) if row["close"] >= row["open"] else (row["high"], row["low"])
            times = (start, start + step // 3, start + 2 * step // 3, start + step - NS_PER_MS)
            for time_ns, price in zip(times, (row["open"], *middle, row["close"]), strict=True):
                number += 1
                rows.append((time_ns, symbol, number, price, row["volume"] / 4))
    rows.sort()
    with gzip.open(path, "wt", encoding="ascii") as file:
        for time_ns, symbol, number, price, quantity in rows:
            data = {
                "e": "trade", "E": time_ns // NS_PER_MS, "s": symbol, "t": number, "p": f"{price:.8f}",
                "q": f"{quantity:.8f}", "T": time_ns // NS_PER_MS, "m": False, "M": True,
            }  # fmt: skip
            file.write(f"{time_ns} {json.dumps({'stream': f'{symbol.lower()}@trade', 'data': data})}\n")
