"""The examples of docs/honesty.md run as they stand, one after the other."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.research.leaky_rules import make_bars

DOC = Path(__file__).resolve().parents[2] / "docs" / "honesty.md"


def test_examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    array = make_bars(600, seed=9).array
    columns: dict[str, Any] = {name: array[name] for name in ("open", "high", "low", "close", "volume")}
    pl.DataFrame({"ts": array["open_time"], "symbol": "BTCUSDT"} | columns).write_parquet(tmp_path / "bars.parquet")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", DOC.read_text(), re.S)
    assert len(blocks) == 6
    scope: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, str(DOC), "exec"), scope)
    assert scope["found"].folds
    assert scope["leak"].field == "close"
    assert (tmp_path / "walkforward.html").exists()
