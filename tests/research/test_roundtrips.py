"""Round trips: pairs first in, first out, whose P&L adds up to what the account gained."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from quantlytic.model.bar import blank_bars
from quantlytic.model.fill import FILL
from quantlytic.research.figures.roundtrips import round_trips


def fills(*rows: tuple[float, float], fee: float = 0.0, instrument: int = 0) -> np.ndarray:
    """Fills of (signed quantity, price), one a minute; `fee` is a share of the value."""
    table = np.zeros(len(rows), FILL)
    for at, (quantity, price) in enumerate(rows):
        table[at]["instrument"], table[at]["event_time"] = instrument, at * 60
        table[at]["side"], table[at]["quantity"] = np.sign(quantity), abs(quantity)
        table[at]["price"], table[at]["fee"] = price, abs(quantity) * price * fee
    return table


def test_no_fills_no_round_trips() -> None:
    assert len(round_trips(fills())) == 0
    assert len(round_trips(fills((1, 100)))) == 0


def test_long_and_short() -> None:
    trips = round_trips(fills((2, 100), (-2, 110), (-3, 120), (3, 90), fee=0.001))
    assert trips["side"].tolist() == [1, -1]
    assert trips["entry_time"].tolist() == [0, 120]
    assert trips["exit_time"].tolist() == [60, 180]
    assert np.allclose(trips["fees"], [0.42, 0.63])
    assert np.allclose(trips["pnl"], [20 - 0.42, 90 - 0.63])


def test_first_in_first_out_with_partial_fills() -> None:
    trips = round_trips(fills((1, 100), (2, 110), (-1.5, 120), (-1, 130), (-0.5, 140)))
    assert trips["entry_fill"].tolist() == [0, 1, 1, 1]
    assert trips["exit_fill"].tolist() == [2, 2, 3, 4]
    assert trips["quantity"].tolist() == [1, 0.5, 1, 0.5]
    assert trips["pnl"].tolist() == [20, 5, 20, 15]


def test_a_flip_closes_and_opens() -> None:
    trips = round_trips(fills((1, 100), (-3, 110), (2, 105)))
    assert trips["side"].tolist() == [1, -1]
    assert trips["quantity"].tolist() == [1, 2]
    assert trips["pnl"].tolist() == [10, 10]


def test_instruments_do_not_mix() -> None:
    both = np.concatenate([fills((1, 100), (-1, 101)), fills((-5, 10), (5, 9), instrument=1)])[[0, 2, 1, 3]]
    trips = round_trips(both)
    assert trips["instrument"].tolist() == [0, 1]
    assert trips["pnl"].tolist() == [1, 5]


def test_rests_of_rounding_open_nothing() -> None:
    parts = [(0.1, 100.0)] * 3
    trips = round_trips(fills(*parts, (-(0.1 + 0.1 + 0.1), 110.0), (0.7, 100), (-0.7, 101)))
    assert trips["entry_fill"].tolist() == [0, 1, 2, 4]
    assert math.isclose(trips["pnl"].sum(), 3.7)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 2),
            st.floats(-50, 50).filter(lambda q: abs(q) > 1e-3),
            st.floats(0.01, 1e5),
        ),
        max_size=60,
    ),
    st.floats(0, 0.01),
)
def test_pnl_adds_up_to_the_gain_of_the_account(trades: list[tuple[int, float, float]], fee: float) -> None:
    # close everything at the end, as one order an instrument
    for instrument in range(3):
        left = math.fsum(quantity for name, quantity, _ in trades if name == instrument)
        if abs(left) > 1e-3:
            trades = [*trades, (instrument, -left, 50.0)]
        elif left:
            return
    table = fills(*((quantity, price) for _, quantity, price in trades), fee=fee)
    table["instrument"] = [instrument for instrument, _, _ in trades]
    trips = round_trips(table)
    gain = math.fsum(-q * p - abs(q) * p * fee for _, q, p in trades)
    value = math.fsum(abs(q) * p for _, q, p in trades) + 1
    assert abs(math.fsum(trips["pnl"]) - gain) <= 1e-8 * value
    assert math.isclose(math.fsum(trips["quantity"]) * 2, math.fsum(table["quantity"]), rel_tol=1e-7, abs_tol=1e-9)
    assert (trips["entry_fill"] < trips["exit_fill"]).all()
    assert (np.diff(trips["exit_fill"]) >= 0).all()
    assert (trips["quantity"] > 0).all()


def test_excursions_by_hand() -> None:
    bars = blank_bars(6)
    bars["low"], bars["high"] = [90, 98, 95, 97, 80, 80], [120, 103, 108, 104, 130, 130]
    table = fills((2, 100), (-2, 101), (-1, 101), (1, 99))
    table["bar_offset"] = [1, 4, 4, 4]  # in at the second bar, out at the fifth; then in and out within one bar
    trips = round_trips(table, bars)
    assert trips["mae"].tolist() == [-10, 0]  # 2 x (95 - 100); the bar of the exit is not looked into
    assert trips["mfe"].tolist() == [16, 2]
    assert np.isnan(round_trips(table)["mae"]).all()


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_excursions_are_those_of_every_bar_held(seed: int) -> None:
    random = np.random.default_rng(seed)
    bars = blank_bars(80)
    bars["instrument"] = random.integers(0, 2, 80)
    bars["low"], bars["high"] = random.uniform(90, 100, 80), random.uniform(100, 110, 80)
    count = 20
    table = fills(*((random.choice([-1.0, 1.0]) * random.integers(1, 4), 100.0 + at % 7) for at in range(count)))
    table["bar_offset"] = np.sort(random.integers(0, 80, count))
    table["instrument"] = bars["instrument"][table["bar_offset"]]
    for trip in round_trips(table, bars):
        first, last = table["bar_offset"][[trip["entry_fill"], trip["exit_fill"]]]
        held = bars[first:last][bars["instrument"][first:last] == trip["instrument"]]
        prices = np.concatenate((held["low"], held["high"], [trip["exit_price"]]))
        gains = trip["side"] * trip["quantity"] * (prices - trip["entry_price"])
        assert np.isclose(trip["mae"], min(gains.min(), 0))
        assert np.isclose(trip["mfe"], max(gains.max(), 0))
