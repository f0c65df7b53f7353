"""What goes into a model: features as float32, cast here and nowhere else, for training and serving alike."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Inputs = NDArray[np.float32]


def inputs_of(values: NDArray[Any]) -> Inputs:
    """f4[n, k] of f8[n, k], rounded to nearest. What float32 cannot hold (above 3.4e38) becomes infinite."""
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(values, np.float32)


def complete(inputs: Inputs) -> NDArray[np.bool_]:
    """bool[n]: the rows in which every value is known and finite. No other row is learned from, and none has a forecast."""
    return np.asarray(np.isfinite(inputs).all(axis=1), np.bool_)
