"""What the ledger says of some data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.research.leaky_rules import make_bars

from quantlytic.research.trials import trials_on, tried
from quantlytic.research.verdict import verdict_of
from quantlytic.store.control import open_control
from quantlytic.store.control.records import Trial


def trial(
    sharpe: float | None, fast: float = 1.0, *, bars: int = 100, data: str = "d", start: int = 0, end: int = 10
) -> Trial:
    return Trial(
        strategy="s", params={"fast": fast}, data=data, time_ns=0, bars=bars, sharpe=sharpe,
        instruments=("test:A",), start_ns=start, end_ns=end,
    )  # fmt: skip


def test_nothing_on_record_is_one_trial(tmp_path: Path) -> None:
    found = trials_on(tmp_path, make_bars(30), "d")
    assert (found.count, found.sharpe_variance) == (1, None)
    assert tried([]).count == 1


def test_the_same_again_is_one_trial_and_the_newest_counts() -> None:
    found = tried([trial(0.1), trial(0.5), trial(1.5, 2.0)])
    assert found.count == 2
    assert found.sharpe_variance == pytest.approx(np.var([0.5, 1.5], ddof=1))


def test_short_stretches_do_not_spread_the_variance() -> None:
    found = tried([trial(0.5), trial(1.5, 2.0), trial(9.0, 3.0, bars=40), trial(None, 4.0)])
    assert found.count == 4
    assert found.sharpe_variance == pytest.approx(0.5)
    assert tried([trial(1.0)]).sharpe_variance is None


def test_an_overlapping_range_of_the_same_instrument_counts(tmp_path: Path) -> None:
    bars = make_bars(30)
    start, end = int(bars.array["open_time"][0]), int(bars.array["close_time"][-1])
    with open_control(tmp_path) as control:
        control.trials.add([
            trial(0.5, 1.0),
            trial(0.7, 2.0, data="other", start=start + 1, end=end + 9),
            trial(0.9, 3.0, data="later", start=end, end=end + 9),
        ])  # fmt: skip
    assert trials_on(tmp_path, bars, "d").count == 2


def test_the_verdict_on_a_run_counts_them(tmp_path: Path) -> None:
    from tests.research.leaky_rules import Trend

    import quantlytic as ql

    result = ql.backtest(Trend(), make_bars(400, seed=5), compiled=False, fees=ql.Fees(taker_bps=0))
    with open_control(tmp_path) as control:
        control.trials.add([trial(0.1 * k, float(k), data=result.data_hash) for k in range(40)])
    assert verdict_of(result).figures["trials"] == 1
    assert verdict_of(result, tmp_path).figures["trials"] == 40
