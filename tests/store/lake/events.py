"""Events for the lake's tests: random ones of any type, and a small market that can be told exactly."""

from __future__ import annotations

import typing
from enum import IntEnum
from typing import Any

import polars as pl
from hypothesis import strategies as st

from quantlytic.model.event import Event
from quantlytic.model.side import Side
from quantlytic.model.trade import Trade
from quantlytic.store.lake.columns import TableSpec

T0 = 1_723_161_600_000_000_000  # 2024-08-09T00:00:00Z
DAY_NS = 86_400 * 10**9

_INT64 = st.integers(-(2**63), 2**63 - 1)
_TIME = st.integers(0, 4_102_444_800_000_000_000)
_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
_NAME = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12)


def events_of(spec: TableSpec) -> st.SearchStrategy[list[Event]]:
    """Lists of random events of the table's type: all int64, all floats, NaN and infinities among them."""
    hints = typing.get_type_hints(spec.event)
    fields = {name: _values(name, hints[name], spec) for name in spec.fields}
    return st.lists(st.builds(spec.event, **fields), min_size=1, max_size=20)


def _values(name: str, hint: Any, spec: TableSpec) -> st.SearchStrategy[Any]:
    if name == spec.time:
        return _TIME
    if isinstance(hint, type) and issubclass(hint, IntEnum):
        return st.sampled_from(hint)
    if typing.get_origin(hint) is tuple:
        return st.lists(st.floats(), max_size=4).map(tuple)
    if hint is str:
        return _NAME if name in ("instrument", "run") else _TEXT
    return {int: _INT64, float: st.floats(), bool: st.booleans()}[hint]


def read_back(spec: TableSpec, rows: pl.DataFrame) -> list[Event]:
    """Rows as events again, in offset order."""
    hints = typing.get_type_hints(spec.event)
    events = []
    for row in rows.sort("offset").select(spec.fields).iter_rows():
        values = [
            tuple(value) if isinstance(value, list) else _enum(hints[name], value)
            for name, value in zip(spec.fields, row, strict=True)
        ]
        events.append(spec.event(*values))
    return events


def _enum(hint: Any, value: Any) -> Any:
    return hint(value) if isinstance(hint, type) and issubclass(hint, IntEnum) else value


def trades(first: int, count: int, instrument: str = "box:BTCUSDT", step_ns: int = 10**6) -> list[Event]:
    """Trades with the ids `first`, `first + 1` ..., one a millisecond from T0 on."""
    return [
        Trade(
            instrument, T0 + i * step_ns, T0 + i * step_ns + 5, i, 100.0 + i % 7, 0.5, Side.BUY if i % 3 else Side.SELL
        )
        for i in range(first, first + count)
    ]
