"""Proof that two runs gave the same result."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray


def digest_of(fills: NDArray[Any], equity: NDArray[np.float64], flows: NDArray[Any] | None = None) -> str:
    """SHA-256, as hex, over the fills and the cash flows, if there are any (both column by column, padding and `bar_offset`
    left out), and the equity's bytes."""
    digest = hashlib.sha256()
    for rows in (fills, flows):
        if rows is fills or (rows is not None and len(rows)):
            for name in rows.dtype.names or ():
                if name != "bar_offset":
                    digest.update(np.ascontiguousarray(rows[name]).tobytes())
    digest.update(np.ascontiguousarray(equity, np.float64).tobytes())
    return digest.hexdigest()
