"""Trades and quotes that were recorded, for features that are made of them: out of the lake, and never in part."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from quantlytic.engine.data.bars import Bars
from quantlytic.model.errors import DataError
from quantlytic.model.quote import QUOTE
from quantlytic.model.time import iso
from quantlytic.model.trade import TRADE
from quantlytic.store.lake.lake import Lake
from quantlytic.store.lake.reason import collected

Tape = dict[str, NDArray[Any]]
"""Rows of TRADE under "trade", of QUOTE under "quote", `instrument` as in the bars; in the order they came in."""

_TABLES = {"trade": ("trades", TRADE), "quote": ("quotes", QUOTE)}


def taped_bars(address: str, bars: Bars, words: Iterable[str], gaps: str) -> tuple[Bars, Tape]:
    """The bars that have their events (`words`: "trade", "quote") in the lake at `address`, and the events.

    A bar has its trades when at least as many were recorded as it counts, and its quotes when there is one or nothing was
    traded. Others are as bars that are missing: with `gaps` "refuse" they are DataError, else they are left away, as a hole.
    """
    tape = {word: _events(address, bars, word) for word in sorted(words)}
    whole = np.ones(len(bars), np.bool_)
    for word, events in tape.items():
        counts = _counts(bars, events)
        has = counts >= bars.array["trades"] if word == "trade" else (counts > 0) | (bars.array["trades"] == 0)
        if gaps == "refuse" and not has.all():
            row = bars.array[int(np.argmin(has))]
            raise DataError(
                f"{bars.instruments[row['instrument']].id} has no {word}s, or not all of them, in the lake for "
                f"{int((~has).sum()):,} of {len(bars):,} bars, the first from {iso(int(row['open_time']))[:19]} on: begin "
                'later, or say gaps = "restart" (such bars are left away, and windows begin anew)'
            )
        whole &= has
    if not whole.any():
        words = " and ".join(f"{word}s" for word in tape)
        raise DataError(
            f"for none of these bars the lake has all {words}: record them first, or leave such features away"
        )
    return (bars if whole.all() else dataclasses.replace(bars, array=bars.array[whole])), tape


def tape_hash(sha256: str, tape: Tape) -> str:
    """SHA-256 of bars (by theirs) and events; the bars' own where there are none."""
    if not tape:
        return sha256
    digest = hashlib.sha256(sha256.encode())
    for word, events in sorted(tape.items()):
        digest.update(word.encode())
        for name in events.dtype.names or ():
            digest.update(np.ascontiguousarray(events[name]).data)
    return digest.hexdigest()


def _events(address: str, bars: Bars, word: str) -> NDArray[Any]:
    table, dtype = _TABLES[word]
    names = [one.id for one in bars.instruments]
    times = bars.array
    rows = Lake(address).scan(table).filter(
        pl.col("venue").is_in(sorted({name.partition(":")[0] for name in names})),
        pl.col("instrument").is_in(names),
        pl.col("event_time") >= int(times["open_time"].min()),
        pl.col("event_time") < int(times["close_time"].max()),
    )  # fmt: skip
    found = collected(rows.sort("receive_time", "source", "offset"))
    if word == "trade":
        twice = found.filter((pl.col("trade_id") > 0) & pl.struct("instrument", "trade_id").is_duplicated())
        if twice.height:
            raise DataError(f"the lake has trade {twice['trade_id'][0]} of {twice['instrument'][0]} twice")
    events = np.zeros(found.height, dtype)
    for name in dtype.names or ():
        column = found[name]
        if name == "instrument":
            column = column.replace_strict(names, range(len(names)), return_dtype=pl.Int32)
        events[name] = column.to_numpy()
    return events


def _counts(bars: Bars, events: NDArray[Any]) -> NDArray[np.int64]:
    """How many events are in each bar's time."""
    counts = np.zeros(len(bars), np.int64)
    for k in range(len(bars.instruments)):
        times = np.sort(events["event_time"][events["instrument"] == k])
        mine = np.flatnonzero(bars.array["instrument"] == k)
        ends = [np.searchsorted(times, bars.array[name][mine], "left") for name in ("open_time", "close_time")]
        counts[mine] = ends[1] - ends[0]
    return counts
