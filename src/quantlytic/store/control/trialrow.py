"""A trial as a row, for both who write it: the repository, and the short way of `finished.py`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from quantlytic.store.control.records import Trial

COLUMNS = Trial.__struct_fields__


def row_of(trial: Trial) -> dict[str, Any]:
    """Column -> value. Equal parameters give equal text, whatever their order."""
    params = {name: float(trial.params[name]) for name in sorted(trial.params)}
    names = "".join(f"\n{name}\n" for name in trial.instruments)
    texts = {"params": msgspec.json.encode(params).decode(), "instruments": names, "sketch": "\n".join(trial.sketch)}
    return msgspec.structs.asdict(trial) | texts


def trial_of(row: Iterable[Any]) -> Trial:
    """The trial of a row's values, in the order of `COLUMNS`."""
    values = dict(zip(COLUMNS, row, strict=True))
    names = tuple(name for name in values["instruments"].split("\n") if name)
    params = msgspec.json.decode(values["params"], type=dict[str, float])
    sketch = tuple(values["sketch"].split())
    return Trial(**values | {"params": params, "instruments": names, "sketch": sketch})


def alike(trial: Trial, known: Iterable[tuple[str, str]]) -> list[str]:
    """The data that shares rows with the trial's, its own among it. `known`: (data, sketch as text)."""
    mine = set(trial.sketch)
    return [trial.data, *(data for data, sketch in known if data != trial.data and mine & set(sketch.split()))]


def like_pattern(instrument: str) -> str:
    """The LIKE pattern, with `!` as its escape, that finds the rows of an instrument."""
    for special in "!%_":
        instrument = instrument.replace(special, f"!{special}")
    return f"%\n{instrument}\n%"


def newest(trials: Iterable[Trial]) -> list[Trial]:
    """Of trials of the same (`Trial.tried`) on the same data the last one alone, in the order of the first."""
    found: dict[tuple[Any, ...], Trial] = {}
    for trial in trials:
        found[*trial.tried, trial.data] = trial
    return list(found.values())
