from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from quantlytic.model.bar import Bar
from quantlytic.web.candles import CandleRow, CandleSeries

S = 1_000_000_000


def bar(second: int, close: float = 10.0) -> Bar:
    return Bar("box:A", second * S, (second + 1) * S, 10.0, 12.0, 9.0, close, 3.0)


def test_a_bar_replaces_what_trades_drew() -> None:
    series = CandleSeries(S)
    series.add_trade(5 * S + 1, 11.0, 1.0)
    series.add_trade(5 * S + 2, 13.0, 2.0)
    assert series.rows() == [(5000.0, 11.0, 13.0, 11.0, 13.0, 3.0, 0)]
    series.add_bar(bar(5), offset=0)
    assert series.rows() == [(5000.0, 10.0, 12.0, 9.0, 10.0, 3.0, 1)]
    series.add_trade(5 * S + 3, 99.0, 1.0)  # late: the bar is closed
    series.add_trade(4 * S, 99.0, 1.0)
    assert series.rows() == [(5000.0, 10.0, 12.0, 9.0, 10.0, 3.0, 1)]
    assert series.bars == 1


def test_a_drain_tells_only_what_changed() -> None:
    series = CandleSeries(S)
    series.add_bar(bar(1), 0)
    series.add_bar(bar(2), 1)
    assert [row[0] for row in series.drain()[1]] == [1000.0, 2000.0]
    series.add_trade(3 * S, 10.0, 1.0)
    assert series.drain() == (False, [(3000.0, 10.0, 10.0, 10.0, 10.0, 1.0, 0)])
    assert series.drain() == (False, [])


def test_a_candle_the_bar_maker_left_out_is_removed_on_the_page_too() -> None:
    series = CandleSeries(S)
    series.add_trade(3 * S, 10.0, 1.0)
    series.add_trade(4 * S, 10.0, 1.0)
    series.drain()
    series.add_bar(bar(4), 0)
    replace, rows = series.drain()
    assert replace
    assert [row[0] for row in rows] == [4000.0]


def test_fills_find_their_bar_by_its_offset() -> None:
    series = CandleSeries(S, capacity=3)
    for k in range(5):
        series.add_bar(bar(k), offset=10 + k)
    assert series.bar_time(14) == 4 * S
    assert series.bar_time(10) is None  # no longer held
    assert len(series) == 3


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 40), st.floats(1, 100)), max_size=120))
def test_what_was_drained_adds_up_to_the_rows(steps: list[tuple[bool, int, float]]) -> None:
    series, page = CandleSeries(S, capacity=10), dict[float, CandleRow]()
    for k, (is_bar, second, price) in enumerate(steps):
        if is_bar:
            series.add_bar(bar(second, price), k)
        else:
            series.add_trade(second * S + k, price, 1.0)
        if k % 3 == 0:
            replace, rows = series.drain()
            page = {} if replace else page
            page |= {row[0]: row for row in rows}
    replace, rows = series.drain()
    page = {} if replace else page
    page |= {row[0]: row for row in rows}
    times = [row[0] for row in series.rows()]
    assert times == sorted(set(times))
    assert len(times) <= 10
    assert series.rows() == [page[time] for time in times]
