"""What one fold of a walk-forward chose, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from quantlytic.model.time import iso
from quantlytic.research.honesty.splits import Fold
from quantlytic.research.search.space import Params


@dataclass(frozen=True)
class FoldResult:
    """One fold. `params` is None where it sat out. `in_sample` is the metric of the chosen cell in training (for "sharpe", per
    bar). `in_sample_sharpe` and `sharpe` are annualised by the bars a year of the whole data, however short the fold.
    `in_sample_growth` and `growth` are equity over cash at the end of each stretch; `cells` were tried."""

    fold: Fold
    params: Params | None
    cells: int
    in_sample: float | None
    in_sample_sharpe: float | None
    in_sample_growth: float | None
    sharpe: float | None
    growth: float
    fills: int

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON; times as text."""
        return {
            "train_start": iso(self.fold.train_start),
            "test_start": iso(self.fold.train_end),
            "test_end": iso(self.fold.test_end),
            "params": self.params,
            "cells": self.cells,
            "in_sample": self.in_sample,
            "in_sample_sharpe": self.in_sample_sharpe,
            "in_sample_return": None if self.in_sample_growth is None else self.in_sample_growth - 1.0,
            "sharpe": self.sharpe,
            "return": self.growth - 1.0,
            "fills": self.fills,
        }
