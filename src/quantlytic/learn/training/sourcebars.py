"""The bars that a spec's `[data]` means, and which model learns from which of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from quantlytic.engine.data.bars import Bars
from quantlytic.learn.training.spec import TrainSpec
from quantlytic.model.errors import InputError
from quantlytic.research.data.history import lake, load_bars


def bars_of(spec: TrainSpec, folder: Path, lake_address: str, end_ns: int | None = None) -> Bars:
    """All bars of the spec's data; of the lake's those that open before `end_ns`, where the spec says no end.

    Raises InputError for a symbol that is not in the data, naming those that are.
    """
    data = spec.data
    if data.source == "lake":
        bars = lake(lake_address).bars(list(data.symbols), data.bar_size, data.start or None, data.end or end_ns)
        there = np.bincount(bars.array["instrument"], minlength=len(bars.instruments)) > 0
        if not there.all():
            names = [one.id for one in bars.instruments]
            missing = ", ".join(repr(name) for name, is_there in zip(names, there, strict=True) if not is_there)
            has = ", ".join(name for name, is_there in zip(names, there, strict=True) if is_there)
            raise InputError(
                f"the lake has no {data.bar_size} bars of {missing} in that range, but of {has}: see `quantlytic data list`"
            )
        return bars
    span = (data.bar_size or None, data.start or None, data.end or None)
    parts = [load_bars(folder / data.source, symbol, *span) for symbol in data.symbols or (None,)]
    return parts[0] if len(parts) == 1 else Bars.merge(parts)


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
