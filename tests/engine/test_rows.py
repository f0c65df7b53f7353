"""Rows that grow: whatever is added in whatever pieces is read again."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as some

from quantlytic.engine.run.rows import Rows

ROW = np.dtype([("flag", "i1"), ("number", "i8"), ("value", "f8")], align=True)


def make(first: int, count: int) -> np.ndarray:
    rows = np.zeros(count, ROW)
    rows["number"] = np.arange(first, first + count)
    rows["value"], rows["flag"] = rows["number"] * 0.5, rows["number"] % 2
    return rows


@given(
    some.lists(
        some.tuples(some.sampled_from(["extend", "read", "write", "strided"]), some.integers(0, 70)), max_size=30
    )
)
def test_what_is_added_is_read(steps: list[tuple[str, int]]) -> None:
    rows, wanted, seen = Rows(ROW), make(0, 0), []
    for what, count in steps:
        more = make(len(wanted), count)
        if what == "extend":
            rows.extend(more)
        elif what == "strided":
            rows.extend(np.repeat(more, 2)[::2])
        elif what == "write":
            start = rows.count * ROW.itemsize
            rows.reserve(count)[start : start + more.nbytes] = more.view(np.uint8)
            rows.count += count
        else:
            seen.append((rows.array, len(wanted)))
            continue
        wanted = np.concatenate((wanted, more))
    assert np.array_equal(rows.array, wanted)
    for view, length in seen:
        assert np.array_equal(view, wanted[:length])


def test_cleared_rows_are_gone_and_new_ones_come() -> None:
    rows = Rows(ROW)
    for k in range(20):
        rows.extend(make(k, 5))
    rows.clear()
    assert len(rows.array) == 0
    rows.extend(make(7, 3))
    assert np.array_equal(rows.array, make(7, 3))
