"""docs/indicators.md says what the classes say, and its strategy runs."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from tests.engine.indicator_cases import CLASSES, random_bars
from tests.engine.indicator_table import MARK, PAGE, tables

import quantlytic as ql
from quantlytic.model.instrument import Instrument


def test_the_tables_are_those_of_the_classes() -> None:
    assert PAGE.read_text().partition(MARK)[2].strip() == tables().strip(), (
        "run: python -m tests.engine.indicator_table"
    )


def test_every_indicator_names_its_source() -> None:
    for cls in CLASSES:
        assert re.search(r"Source:|TA-Lib|\(\d{4}\)", cls.__doc__ or ""), cls.__name__


def test_the_strategy_of_the_page_gives_the_same_compiled_and_plain() -> None:
    block, arrays = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)
    scope: dict[str, Any] = {"__name__": __name__}
    exec(block, scope)
    columns = random_bars(1_500, seed=3)
    exec(arrays, scope | {name: columns[name] for name in ("high", "low", "close")})
    times = columns["time"].astype(np.int64)
    bars = ql.Bars.of(
        Instrument("file:X"), open_time=times, close_time=times + 3_600_000_000_000,
        **{name: columns[name] for name in ("open", "high", "low", "close")}, volume=columns["volume"],
    )  # fmt: skip
    compiled, plain = (ql.backtest(scope["Squeeze"](), bars, cash=1e5, compiled=flag) for flag in (True, False))
    assert len(compiled.fills) > 5
    assert compiled.digest == plain.digest
