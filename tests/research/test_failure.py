"""A strategy that raises in the middle: the bar, the line, the state; what was done before stays."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from quantlytic.engine.data.bars import Bars
from quantlytic.model.errors import StrategyError
from quantlytic.model.instrument import Instrument
from quantlytic.research.runs.failure import BacktestFailed
from quantlytic.research.runs.run import backtest
from quantlytic.store.control import open_control
from quantlytic.strategies.catalogue import find

MINUTE_NS = 60_000_000_000
SOURCE = """import quantlytic as ql
from quantlytic.indicators import SMA


class Breaks(ql.Strategy):
    def setup(self):
        self.mean = SMA(3)
        self.seen = 0

    def on_bar(self, bar, broker):
        self.seen += 1
        self.mean.update(bar.close)
        if self.seen == 2:
            broker.buy(1.0)
        if bar.close > 107.5:
            raise ValueError("too high")
"""


def rising(count: int) -> Bars:
    closes, times = 100.0 + np.arange(count), MINUTE_NS * np.arange(count)
    return Bars.of(
        Instrument("file:X"), open_time=times, close_time=times + MINUTE_NS, open=closes, high=closes, low=closes,
        close=closes, volume=np.ones(count),
    )  # fmt: skip


@pytest.mark.parametrize("compiled", [False, True])
def test_it_is_told_and_what_was_done_stays(tmp_path: Path, compiled: bool) -> None:
    (tmp_path / "mine.py").write_text(SOURCE)
    with pytest.raises(BacktestFailed) as caught:
        backtest(find(f"{tmp_path / 'mine.py'}"), rising(20), 1e4, compiled=compiled, record=tmp_path / "home")
    failure = caught.value
    assert isinstance(failure, StrategyError)
    assert failure.bar == 8
    assert failure.time_ns == 9 * MINUTE_NS
    assert failure.state["seen"] == 9
    message = str(failure)
    for words in ("mine.py:16", "ValueError at bar 8", "1970-01-01T00:09", "too high", "seen=9"):
        assert words in message
    assert "\n" not in message
    partial = failure.result
    assert partial is not None
    assert 8 <= len(partial.equity) == len(partial.bars) <= 9
    assert len(partial.fills) == 1
    assert partial.metrics["fills"] == 1

    folder = tmp_path / "home" / "runs" / partial.run_id
    told = json.loads((folder / "failure.json").read_text())
    assert told["bar"] == 8
    assert told["state"]["seen"] == 9
    assert json.loads((folder / "summary.json").read_text())["failure"] == told
    assert (folder / "fills.csv").read_text().count("\n") == 2
    with open_control(tmp_path / "home") as control:
        (run,) = control.runs.list()
        assert (run.run_id, run.status) == (partial.run_id, "failed")
        assert control.trials.list() == []


def test_at_the_first_bar_nothing_is_kept(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(SOURCE.replace("107.5", "1.0"))
    with pytest.raises(BacktestFailed) as caught:
        backtest(find(f"{tmp_path / 'mine.py'}"), rising(5), 1e4, compiled=False, record=tmp_path / "home")
    assert caught.value.bar == 0
    if caught.value.result is None:
        assert not (tmp_path / "home").exists()
