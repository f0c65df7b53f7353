"""A feature over rows: compiled once a kind of feature, called by the address of its machine code.

Every kernel has the signature of a strategy's step: `kernel(count, state, job, first)`. It advances the feature's record at
`state` over rows [first, first + count) and writes a number a row. `drive` calls all kernels of a set, block by block: the
table over a history and the live update of one row are the same machine code.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlytic.engine.account.account import BAR_ROW
from quantlytic.engine.compiler.record import Layout, at, call, layout_of
from quantlytic.model.quote import QUOTE
from quantlytic.model.trade import TRADE

WIDTH = 5  # inputs of one number each that a feature may have
JOB = np.dtype(
    [(f"{kind}{k}", "i8") for k in range(WIDTH) for kind in "as"]
    + [("out", "i8"), ("out_step", "i8"), ("place", "i8")],
    align=True,
)
"""Addresses and steps (bytes) of the inputs, and of the output; `place` is where in the state the result is. For features of
whole bars the inputs are: the bars; each row's first event and the one after its last (i8[rows, 2]); the events."""
BLOCK = 128  # rows: a block's bars and results stay in the processor's nearest cache

_NUMBER = layout_of(np.dtype([("x", "f8")]))
_INDEX = layout_of(np.dtype([("x", "i8")]))
_JOB = layout_of(JOB)
_TRADE, _QUOTE = layout_of(TRADE), layout_of(QUOTE)
_kernels: dict[tuple[Layout, str], tuple[Any, int]] = {}
_driver: list[Any] = []
_judge: list[Any] = []
_one_at_a_time = threading.RLock()


def drive(plan: NDArray[np.int64], first: int, count: int) -> None:
    """Advance all features over rows [first, first + count). `plan`: kernel, state, job (addresses) of each, in order."""
    start, end = first, first + count
    while start < end:
        size = min(BLOCK, end - start)
        for k in range(len(plan)):
            call(plan[k, 0], size, plan[k, 1], plan[k, 2], start)
        start += size


def driver() -> Callable[[NDArray[np.int64], int, int], None]:
    """`drive`, compiled."""
    from numba import int64, intp, void

    from quantlytic.engine.compiler.jit import compile_function

    with _one_at_a_time:
        if not _driver:
            _driver.append(compile_function(drive, void(int64[:, ::1], intp, intp)))
        return _driver[0]  # type: ignore[no-any-return]


def judge(values: NDArray[np.float64], ready: NDArray[np.bool_], counts: NDArray[np.int64]) -> None:
    """Write which rows are finite throughout (`ready`), and add up in how many each column is finite (`counts[0]`) and in how
    many infinite (`counts[1]`)."""
    for i in range(values.shape[0]):
        whole = True
        for k in range(values.shape[1]):
            x = values[i, k]
            if x - x == 0.0:
                counts[0, k] += 1
            else:
                whole = False
                if x == x:  # noqa: PLR0124 - infinite, not NaN
                    counts[1, k] += 1
        ready[i] = whole


def judged(values: NDArray[np.float64], compiled: bool) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """What `judge` writes, for C-contiguous `values`."""
    ready, counts = np.zeros(len(values), bool), np.zeros((2, values.shape[1]), np.int64)
    if not compiled:
        with np.errstate(invalid="ignore"):
            judge(values, ready, counts)
        return ready, counts
    from quantlytic.engine.compiler.jit import compile_function

    with _one_at_a_time:
        if not _judge:
            _judge.append(compile_function(judge, "void(float64[:, ::1], boolean[::1], int64[:, ::1])"))
    _judge[0](values, ready, counts)
    return ready, counts


def kernel_address(layout: Layout, family: str) -> int:
    """Where the kernel of a layout is; compiled, or loaded from disk, at the first question.

    `family`: "1" to "5" for features of so many numbers, "bar", "trade" or "quote" for features of bars (and events).
    """
    from quantlytic.engine.compiler.jit import STEP_SIGNATURE, compile_function, native_address

    with _one_at_a_time:
        if (layout, family) not in _kernels:
            compiled = compile_function(make_kernel(layout, family), STEP_SIGNATURE)
            _kernels[layout, family] = compiled, native_address(compiled)
        return _kernels[layout, family][1]


def make_kernel(layout: Layout, family: str) -> Callable[[int, Any, Any, int], None]:
    """The kernel, not yet compiled."""
    return (_of_events if family in ("bar", "trade", "quote") else _of_numbers)(layout, family)


def _of_numbers(layout: Layout, family: str) -> Callable[[int, Any, Any, int], None]:
    width = int(family)

    def kernel(count: int, state: Any, address: Any, first: int) -> None:
        feature, job = at(state, 0, layout), at(address, 0, _JOB)
        a, b, c, d, e = job.a0, job.a1, job.a2, job.a3, job.a4
        sa, sb, sc, sd, se = job.s0, job.s1, job.s2, job.s3, job.s4
        out, step, place = job.out, job.out_step, job.place
        for i in range(first, first + count):
            if width == 1:
                feature.update(at(a, i * sa, _NUMBER).x)
            elif width == 2:
                feature.update(at(a, i * sa, _NUMBER).x, at(b, i * sb, _NUMBER).x)
            elif width == 3:
                feature.update(at(a, i * sa, _NUMBER).x, at(b, i * sb, _NUMBER).x, at(c, i * sc, _NUMBER).x)
            elif width == 4:
                feature.update(
                    at(a, i * sa, _NUMBER).x, at(b, i * sb, _NUMBER).x,
                    at(c, i * sc, _NUMBER).x, at(d, i * sd, _NUMBER).x,
                )  # fmt: skip
            else:
                feature.update(
                    at(a, i * sa, _NUMBER).x, at(b, i * sb, _NUMBER).x, at(c, i * sc, _NUMBER).x,
                    at(d, i * sd, _NUMBER).x, at(e, i * se, _NUMBER).x,
                )  # fmt: skip
            at(out, i * step, _NUMBER).x = at(state, place, _NUMBER).x

    return kernel


def _of_events(layout: Layout, family: str) -> Callable[[int, Any, Any, int], None]:
    trades, quotes = family == "trade", family == "quote"

    def kernel(count: int, state: Any, address: Any, first: int) -> None:
        feature, job = at(state, 0, layout), at(address, 0, _JOB)
        bars, bar_step, bounds, events, event_step = job.a0, job.s0, job.a1, job.a2, job.s2
        out, step = job.out, job.out_step
        for i in range(first, first + count):
            if trades:
                for k in range(at(bounds, i * 16, _INDEX).x, at(bounds, i * 16 + 8, _INDEX).x):
                    feature.on_trade(at(events, k * event_step, _TRADE))
            if quotes:
                for k in range(at(bounds, i * 16, _INDEX).x, at(bounds, i * 16 + 8, _INDEX).x):
                    feature.on_quote(at(events, k * event_step, _QUOTE))
            at(out, i * step, _NUMBER).x = feature.update(at(bars, i * bar_step, BAR_ROW))

    return kernel
