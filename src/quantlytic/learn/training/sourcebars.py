"""The bars that a spec's `[data]` means, and which model learns from which of them."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from quantlytic.engine.data.bars import Bars
from quantlytic.learn.training.spec import TrainSpec
from quantlytic.model.errors import InputError
from quantlytic.model.time import duration_ns, duration_text
from quantlytic.research.data.history import lake, load_bars

_SEE = "see `quantlytic data list`"


def bars_of(spec: TrainSpec, folder: Path, lake_address: str, end_ns: int | None = None) -> Bars:
    """All bars of the spec's data; of the lake's those that open before `end_ns`, where the spec says no end.

    Raises InputError for a symbol that is not in the data, naming those that are.
    """
    data = spec.data
    if data.source == "lake":
        history = lake(lake_address)
        try:
            bars = history.bars(list(data.symbols), data.bar_size, data.start or None, data.end or end_ns)
        except InputError:
            _check(spec, lake_address)
            raise
        there = np.bincount(bars.array["instrument"], minlength=len(bars.instruments)) > 0
        if not there.all():
            _check(spec, lake_address)
            missing = [one.id for one, is_there in zip(bars.instruments, there, strict=True) if not is_there]
            raise InputError(
                f"the lake has no {data.bar_size} bars of {', '.join(missing)} in [data] start to end: {_SEE}"
            )
        return bars
    span = (data.bar_size or None, data.start or None, data.end or None)
    parts = [load_bars(folder / data.source, symbol, *span) for symbol in data.symbols or (None,)]
    return parts[0] if len(parts) == 1 else Bars.merge(parts)


def _check(spec: TrainSpec, lake_address: str) -> None:
    """Raises InputError, naming what is there, when the lake has no bars of an instrument of the spec, or none of its size."""
    import polars as pl

    from quantlytic.store.lake import Lake
    from quantlytic.store.lake.reason import collected

    data, sizes = spec.data, dict[str, set[int]]()
    span = pl.col("close_time") - pl.col("open_time")
    for name, size_ns in collected(
        Lake(lake_address).scan("bars").select("instrument", span=span).unique()
    ).iter_rows():
        sizes.setdefault(name, set()).add(size_ns)
    known = sorted(sizes)
    for symbol in data.symbols:
        if symbol not in sizes:
            close = difflib.get_close_matches(symbol, known, 1)
            hint = f" (did you mean {close[0]}?)" if close else ""
            there = f"bars of {', '.join(known)}" if known else "none of any instrument yet"
            raise InputError(f"[data] symbols: the lake has no bars of {symbol!r}{hint}; there are {there}: {_SEE}")
        if duration_ns(data.bar_size) not in sizes[symbol]:
            has = ", ".join(map(duration_text, sorted(sizes[symbol])))
            raise InputError(f"[data] bar_size: the lake has no {data.bar_size} bars of {symbol}, but {has}: {_SEE}")


def lines_of(spec: TrainSpec, bars: Bars) -> Iterator[tuple[str, Bars]]:
    """The bars of each model to train, under its line: "NAME/pooled", or "NAME/INSTRUMENT"."""
    if spec.data.pooled:
        yield f"{spec.name}/pooled", bars
        return
    if any(one.instrument for one in spec.features):
        raise InputError(
            "[data] pooled = false gives each model its own instrument's bars: a feature of another needs pooled"
        )
    for k, instrument in enumerate(bars.instruments):
        array = bars.array[bars.array["instrument"] == k].copy()
        array["instrument"] = 0
        yield f"{spec.name}/{instrument.id}", Bars(array, (instrument,), bars.label)
