"""A day by hand: the range, the breakout, the way out."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from tests.engine.market import BTC

from quantlytic import Session
from quantlytic.model.bar import BAR
from quantlytic.strategies.opening_range_breakout import OpeningRangeBreakout

HOUR_NS = 3_600_000_000_000
MONDAY = 4 * 24 * HOUR_NS  # 1970-01-05


def run(closes: list[float], hours: list[int], size_hours: int = 1, **params: Any) -> Session:
    """Bars without range beyond open and close, that open at these hours since a Monday."""
    bars = np.zeros(len(closes), BAR)
    for k, (close, hour) in enumerate(zip(closes, hours, strict=True)):
        opened = closes[k - 1] if k else close
        opens = MONDAY + hour * HOUR_NS
        prices = (opened, max(opened, close), min(opened, close), close)
        bars[k] = (0, opens, opens + size_hours * HOUR_NS, *prices, 1.0, 0.0, 0, math.nan)
    session = Session(OpeningRangeBreakout(range_bars=2, **params), [BTC], 1e4, compiled=False, allow_short=True)
    session.run(bars)
    return session


def orders(session: Session) -> list[tuple[int, int]]:
    return [(int(row["bar_offset"]), int(row["side"])) for row in session.orders]


def test_one_entry_a_day_and_out_at_its_end() -> None:
    closes = [100, 101, 101, 102, 99, 103, *[103] * 18, 103, 104, 105, 105]
    session = run([float(close) for close in closes], list(range(28)))
    # in above 101 at bar 3, out below 100 at bar 4, not in again at bar 5; the next day's range is 103 to 104
    assert orders(session) == [(3, 1), (4, -1), (26, 1)]


def test_out_at_the_close_of_the_last_bar_or_else_at_the_first_of_the_next_day() -> None:
    rising = [100.0, 101.0, 102.0, *[103.0] * 21, 103.0, 103.0]
    assert orders(run(rising, list(range(26)))) == [(2, 1), (23, -1)]
    gone = [*range(20), 24, 25]  # the day's last bars are missing
    assert orders(run([100.0, 101.0, 102.0, *[103.0] * 19], gone)) == [(2, 1), (20, -1)]


def test_short_below_the_range_if_it_may() -> None:
    falling = [100.0, 99.0, 98.0, 98.0, 101.0, 101.0]
    assert orders(run(falling, list(range(6)), short=True)) == [(2, -1), (4, 1)]
    assert orders(run(falling, list(range(6)))) == [(4, 1)]


def test_long_bars_make_long_days() -> None:
    """Of daily bars a day is a week, from Monday on."""
    closes = [100.0, 101.0, 102.0, 103.0, 103.0, 103.0, 103.0, 103.0, 103.0]
    assert orders(run(closes, [24 * k for k in range(9)], size_hours=24)) == [(2, 1), (6, -1)]
