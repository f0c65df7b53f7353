"""The examples of docs/equities.md run as they stand, one after the other."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantlytic.model.trade import TRADE

DOC = Path(__file__).resolve().parents[2] / "docs" / "equities.md"


def test_the_examples_run(market_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trades = np.zeros(2_000, TRADE)
    trades["event_time"], trades["price"], trades["quantity"] = np.arange(2_000), 10.0, 1.0
    names: dict[str, Any] = {"folder": market_data, "trades": trades}
    blocks = re.findall(r"```python\n(.*?)```", DOC.read_text(), re.S)
    assert len(blocks) == 6
    for block in blocks:
        exec(compile(block, str(DOC), "exec"), names)
    assert "2000-09-29 split: the price from 53.38 to 28.06" in capsys.readouterr().out
    assert names["result"].holes == 0
    assert len(names["result"].round_trips) == 13
    assert names["in_euros"].instruments[0].quote == "EUR"
    assert (names["volume_bars"]["volume"] >= 500.0).all()
