"""Runs an indicator over arrays: the same `update`, in a compiled loop."""

from __future__ import annotations

import functools
import inspect
from collections import namedtuple
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlytic.engine.compiler.record import Layout, Record, at, layout_of, pack
from quantlytic.model.errors import InputError

_compiled: dict[tuple[Layout, int], Any] = {}


def run_over(indicator: Any, columns: tuple[NDArray[np.float64], ...]) -> Any:
    """The indicator's results after each row: f8[rows], or a named tuple of them where it has several `outputs`.

    InputError when the columns are not what its `update` takes, or differ in length.
    """
    arrays = [np.ascontiguousarray(column, np.float64) for column in columns]
    names = _inputs(type(indicator))
    if len(arrays) != len(names) or len({array.shape for array in arrays}) != 1 or arrays[0].ndim != 1:
        raise InputError(
            f"{type(indicator).__name__}.over takes {', '.join(names)}: {len(names)} arrays of one length, not shapes "
            f"{', '.join(str(array.shape) for array in arrays) or 'of none'}"
        )
    layout = layout_of(indicator)
    state = np.zeros(1, layout.dtype)
    pack(indicator, layout, state[0])
    fields = layout.dtype.fields
    assert fields is not None
    places = np.array([fields[name][1] // 8 for name in indicator.outputs])
    out = np.empty((len(places), len(arrays[0])))
    _loop(layout, len(arrays))(state.ctypes.data, state.view(np.float64), places, *arrays, out)
    if len(places) == 1:
        return out[0]
    return _results(type(indicator).__name__, indicator.outputs)(*out)


def _inputs(cls: type[Record]) -> list[str]:
    return list(inspect.signature(cls.update).parameters)[1:]  # type: ignore[attr-defined]


@functools.cache
def _results(name: str, outputs: tuple[str, ...]) -> Any:
    return namedtuple(f"{name}Values", outputs)


def _loop(layout: Layout, width: int) -> Any:
    """Compiled for `width` columns. `fields` is the record once more, as numbers: results are read from their places."""
    from numba import float64, intp, void

    from quantlytic.engine.compiler.jit import compile_function

    def one(state: Any, fields: Any, places: Any, a: Any, out: Any) -> None:
        indicator = at(state, 0, layout)
        for i in range(len(a)):
            indicator.update(a[i])
            for k in range(len(places)):
                out[k, i] = fields[places[k]]

    def two(state: Any, fields: Any, places: Any, a: Any, b: Any, out: Any) -> None:
        indicator = at(state, 0, layout)
        for i in range(len(a)):
            indicator.update(a[i], b[i])
            for k in range(len(places)):
                out[k, i] = fields[places[k]]

    def three(state: Any, fields: Any, places: Any, a: Any, b: Any, c: Any, out: Any) -> None:
        indicator = at(state, 0, layout)
        for i in range(len(a)):
            indicator.update(a[i], b[i], c[i])
            for k in range(len(places)):
                out[k, i] = fields[places[k]]

    def four(state: Any, fields: Any, places: Any, a: Any, b: Any, c: Any, d: Any, out: Any) -> None:
        indicator = at(state, 0, layout)
        for i in range(len(a)):
            indicator.update(a[i], b[i], c[i], d[i])
            for k in range(len(places)):
                out[k, i] = fields[places[k]]

    def five(state: Any, fields: Any, places: Any, a: Any, b: Any, c: Any, d: Any, e: Any, out: Any) -> None:
        indicator = at(state, 0, layout)
        for i in range(len(a)):
            indicator.update(a[i], b[i], c[i], d[i], e[i])
            for k in range(len(places)):
                out[k, i] = fields[places[k]]

    if (layout, width) not in _compiled:
        function = (one, two, three, four, five)[width - 1]
        signature = void(intp, float64[::1], intp[::1], *[float64[::1]] * width, float64[:, ::1])
        _compiled[layout, width] = compile_function(function, signature)
    return _compiled[layout, width]
