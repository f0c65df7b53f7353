"""Structured arrays to the last bit: by column, for what lies between the columns is nobody's."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def columns(rows: NDArray[Any]) -> dict[str, bytes]:
    """The bytes of each column, by name: equal where NaN is NaN, too."""
    return {name: np.ascontiguousarray(rows[name]).tobytes() for name in rows.dtype.names or ()}
