"""Runs an indicator over arrays: the same `update`, in a compiled loop."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlytic.engine.record import Layout, Record, at, layout_of, pack
from quantlytic.model.errors import InputError

_compiled: dict[tuple[Layout, int], Any] = {}


def run_over(indicator: Record, columns: tuple[NDArray[np.float64], ...]) -> NDArray[np.float64]:
    """The indicator's value after each row. InputError when the columns differ in length or are not what it takes."""
    arrays = [np.ascontiguousarray(column, np.float64) for column in columns]
    if not 1 <= len(arrays) <= 3 or len({array.shape for array in arrays}) != 1 or arrays[0].ndim != 1:
        raise InputError(f"{type(indicator).__name__}.over takes one to three arrays of one length")
    layout = layout_of(indicator)
    state = np.zeros(1, layout.dtype)
    pack(indicator, layout, state[0])
    out = np.empty(len(arrays[0]))
    _loop(layout, len(arrays))(state.ctypes.data, *arrays, out)
    return out


def _loop(layout: Layout, width: int) -> Any:
    from numba import float64, intp, void

    from quantlytic.engine.jit import compile_function

    def one(state: Any, a: Any, out: Any) -> None:
        indicator = at(state, 0, layout)
        for i in range(len(out)):
            out[i] = indicator.update(a[i])

    def two(state: Any, a: Any, b: Any, out: Any) -> None:
        indicator = at(state, 0, layout)
        for i in range(len(out)):
            out[i] = indicator.update(a[i], b[i])

    def three(state: Any, a: Any, b: Any, c: Any, out: Any) -> None:
        indicator = at(state, 0, layout)
        for i in range(len(out)):
            out[i] = indicator.update(a[i], b[i], c[i])

    if (layout, width) not in _compiled:
        function = (one, two, three)[width - 1]
        signature = void(intp, *[float64[::1]] * (width + 1))
        _compiled[layout, width] = compile_function(function, signature)
    return _compiled[layout, width]
