"""How much was tried on some data before."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tried:
    """What was tried on the same data: how many different strategies and parameters, and the variance of their Sharpe
    ratios (annualised; None when unknown: then as if all were independent)."""

    count: int = 1
    sharpe_variance: float | None = None
