"""Runs side by side: their figures, their equity, and what differs in what they were made of."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from quantlytic.model.errors import InputError, StoreError
from quantlytic.research.figures.curve import Curve

_ALWAYS_DIFFERENT = ("run_id",)
_MIN_COMMON_DAYS = 20

FIGURES = (
    "final_equity", "total_return", "cagr", "volatility", "sharpe", "sortino", "calmar", "max_drawdown",
    "longest_drawdown_ns", "ulcer_index", "var_95", "alpha", "beta", "information_ratio", "benchmark_return",
    "round_trips", "win_rate", "profit_factor", "expectancy", "avg_holding_ns", "exposure", "turnover", "fills", "costs",
    "fees_paid", "slippage_paid", "cost_bps", "capacity", "rejected", "holes",
)  # fmt: skip
"""The figures that are laid side by side, by their names in a run's summary."""


_SUMMARY: list[tuple[str, Any] | tuple[str, Any, Any]] = [
    ("run_id", str), ("strategy", str), ("params", dict[str, float | bool]), ("verdict", dict[str, Any] | None, None),
    *((name, float | None, None) for name in FIGURES),
]  # fmt: skip
_Summary = msgspec.defstruct("_Summary", _SUMMARY)
_Manifest = msgspec.defstruct("_Manifest", [("data", msgspec.defstruct("_Data", [("sha256", str)]))])


@dataclass(frozen=True)
class KeptRun:
    """A run as its folder has it. `curve` is its equity."""

    run_id: str
    summary: dict[str, Any]
    manifest: dict[str, Any]
    curve: Curve

    @property
    def label(self) -> str:
        """`sma-cross fast=5 slow=20`."""
        params = " ".join(f"{name}={value:g}" for name, value in self.summary["params"].items())
        return f"{self.summary['strategy']} {params}".strip()


def read_run(folder: Path) -> KeptRun:
    """A run from its folder. Raises InputError when there is none, StoreError when it is damaged."""
    if not (folder / "summary.json").is_file():
        raise InputError(f"there is no run in {folder}: see `quantlytic runs`")
    try:
        summary, manifest = (json.loads((folder / f"{name}.json").read_text()) for name in ("summary", "manifest"))
        equity = pl.read_parquet(folder / "equity.parquet")
        msgspec.convert(summary, _Summary)
        msgspec.convert(manifest, _Manifest)
        curve = Curve.of(equity["close_time"].to_numpy(), equity["equity"].to_numpy())
        return KeptRun(summary["run_id"], summary, manifest, curve)
    except (OSError, ValueError, KeyError, TypeError, RecursionError, pl.exceptions.PolarsError) as error:
        first = next(iter(str(error).splitlines()), type(error).__name__)
        raise StoreError(f"the run in {folder} is damaged ({first}): run it again") from None


@dataclass(frozen=True)
class Comparison:
    """Two runs or more. Lists go in the order of `runs`."""

    runs: tuple[KeptRun, ...]

    @property
    def figures(self) -> dict[str, list[Any]]:
        """Figure -> its value in each run; None where it is undefined."""
        return {name: [run.summary.get(name) for run in self.runs] for name in FIGURES}

    @property
    def differences(self) -> dict[str, list[Any]]:
        """What is not the same in all manifests, by its dotted name -> its value in each (None: not there); of lists only
        what not all of them have."""
        flat = [_flat(run.manifest) for run in self.runs]
        names = list(dict.fromkeys(name for one in flat for name in one))
        found = {name: [one.get(name) for one in flat] for name in names if name not in _ALWAYS_DIFFERENT}
        return {name: _apart(values) for name, values in found.items() if any(value != values[0] for value in values)}

    @property
    def correlations(self) -> list[list[float | None]]:
        """Of daily returns, over the days that two runs share; None below 20 of them, or where one does not move."""
        days = [_daily(run.curve) for run in self.runs]
        return [[_correlation(one, other) for other in days] for one in days]

    @property
    def is_same_data(self) -> bool:
        return len({run.manifest["data"]["sha256"] for run in self.runs}) == 1

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "runs": [run.run_id for run in self.runs],
            "labels": [run.label for run in self.runs],
            "same_data": self.is_same_data,
            "same_result": len({run.manifest.get("digest") for run in self.runs}) == 1,
            "figures": self.figures,
            "verdicts": [(run.summary.get("verdict") or {}).get("sentence") for run in self.runs],
            "correlations": self.correlations,
            "differences": self.differences,
        }


def compare(folders: list[Path]) -> Comparison:
    """The runs in these folders, each once. InputError for fewer than two."""
    runs = tuple(read_run(folder) for folder in folders)
    if len({run.run_id for run in runs}) < len(runs) or len(runs) < 2:
        raise InputError("comparing takes two runs or more, each of them once")
    return Comparison(runs)


def _flat(value: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, inner in value.items():
        if isinstance(inner, dict):
            found |= _flat(inner, f"{prefix}{name}.")
        else:
            found[prefix + name] = inner
    return found


def _apart(values: list[Any]) -> list[Any]:
    if not all(isinstance(value, list) for value in values):
        return values
    common = [item for item in values[0] if all(item in other for other in values)]
    return [[item for item in value if item not in common] for value in values]


def _daily(curve: Curve) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """UTC days and their returns."""
    days = curve.days
    returns = days.returns
    return (days.times[len(days) - len(returns) :] - 1) // 86_400_000_000_000, returns


def _correlation(
    one: tuple[NDArray[np.int64], NDArray[np.float64]], other: tuple[NDArray[np.int64], NDArray[np.float64]]
) -> float | None:
    _, here, there = np.intersect1d(one[0], other[0], assume_unique=True, return_indices=True)
    if len(here) < _MIN_COMMON_DAYS:
        return None
    a, b = one[1][here], other[1][there]
    a, b = a - a.mean(), b - b.mean()
    scale = math.sqrt(float(a @ a) * float(b @ b))
    return float(a @ b) / scale if scale > 0 else None
