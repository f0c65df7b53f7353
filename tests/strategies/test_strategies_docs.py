"""docs/strategies.md says what the classes say, and its examples run."""

from __future__ import annotations

import re
from typing import Any

import pytest
from tests.strategies.strategy_table import MARK, PAGE, tables

from quantlytic.research.runs.run import backtest


def test_the_tables_are_those_of_the_classes() -> None:
    made = PAGE.read_text().partition(MARK)[2]
    assert made.strip() == tables().strip(), "run: python -m tests.strategies.strategy_table"


def test_the_examples_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(backtest.__kwdefaults__, "compiled", False)
    scope: dict[str, Any] = {}
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)
    assert blocks
    for block in blocks:
        exec(block, scope)
    assert len(scope["result"].fills) > 5
