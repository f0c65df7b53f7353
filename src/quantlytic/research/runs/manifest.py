"""What a run is made of, and its names: hashes of data and code, the run's id, its manifest."""

from __future__ import annotations

import functools
import hashlib
import inspect
import json
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlytic.engine.data.bars import Bars
from quantlytic.engine.strategy import Strategy
from quantlytic.model.time import iso
from quantlytic.research.runs.outcome import Outcome

_HASHED_ROWS = 4096  # columns are hashed by chunks of rows, which stay in the processor's cache


def data_hash(bars: Bars, actions: NDArray[Any] | None = None) -> str:
    """SHA-256 over the instruments' ids and the bars' columns (forecasts where there are any), and the actions' where there are
    any; the padding between them does not count."""
    digest = hashlib.sha256("\n".join(one.id for one in bars.instruments).encode())
    for array in (bars.array,) if actions is None else (bars.array, actions):
        columns = [name for name in array.dtype.names or () if name != "forecast" or bars.has_forecasts]
        for start in range(0, len(array), _HASHED_ROWS):
            chunk = array[start : start + _HASHED_ROWS]
            for column in columns:
                digest.update(np.ascontiguousarray(chunk[column]).data)
    return digest.hexdigest()


def run_id(run: Outcome) -> str:
    """`bt-` and 12 hex digits, made from the question: strategy, its source, parameters, data, account."""
    parts = [
        run.name, type(run.strategy).__qualname__, run.code_hash, run.strategy.params, run.data_hash,
        run.cash, run.market.to_dict(),
    ]  # fmt: skip
    return "bt-" + hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]


def manifest_of(run: Outcome) -> dict[str, Any]:
    """What it takes to run it again and to know it is the same, ready for JSON."""
    array, bars, cls = run.bars.array, run.bars, type(run.strategy)
    return {
        "run_id": run.run_id,
        "strategy": {
            "name": run.name,
            "class": f"{cls.__module__}.{cls.__qualname__}",
            "file": _file_of(cls),
            "code_sha256": run.code_hash,
            "params": run.strategy.params,
        },
        "data": {
            "label": bars.label,
            "sha256": run.data_hash,
            "instruments": [one.id for one in bars.instruments],
            "bars": len(array),
            "holes": run.holes,
            "calendar": run.calendar,
            "start": iso(int(array["open_time"].min())),
            "end": iso(int(array["close_time"][-1])),
            "actions": 0 if run.actions is None else len(run.actions),
            "source": dict(bars.source),
        },
        "account": {"cash": run.cash, "market": run.market.to_dict()},
        "seed": run.market.latency.seed if run.market.latency.lags_ns else None,  # nothing else is drawn
        "compiled": run.compiled,
        "assumptions": run.assumptions,
        "digest": run.digest,
        "engine_sha256": engine_hash(),
        "versions": versions(),
    }


@functools.cache
def versions() -> dict[str, str]:
    """Of everything that a result could depend on."""
    import platform
    from importlib.metadata import version

    names = ("quantlytic", "numpy", "numba", "llvmlite")
    return {"python": platform.python_version(), "machine": platform.machine()} | {
        name: version(name) for name in names
    }


@functools.cache
def engine_hash() -> str:
    """SHA-256 over the source of the engine and of the words it uses: between two releases, this tells them apart."""
    digest = hashlib.sha256()
    root = resources.files("quantlytic")
    folders = [root / "model", root / "engine"]
    while folders:
        folder = folders.pop(0)
        for entry in sorted(folder.iterdir(), key=lambda one: one.name):
            if entry.is_dir() and entry.name != "__pycache__":
                folders.append(entry)
            elif entry.name.endswith(".py"):
                digest.update(entry.name.encode() + b"\0" + entry.read_bytes() + b"\0")
    return digest.hexdigest()


def _file_of(cls: type[Strategy]) -> str:
    """The file that defines the strategy; "" for a built-in one, or one typed into a shell."""
    if cls.__module__.partition(".")[0] == "quantlytic":
        return ""
    try:
        return inspect.getfile(cls)
    except (OSError, TypeError):
        return ""
