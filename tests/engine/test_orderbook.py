"""The book as a flat record, against a dict."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.engine.tapes import ONE, level_rows

from quantlytic import Session, Strategy
from quantlytic.engine.data.tape import Ticks
from quantlytic.engine.matching.orderbook import BOOK, BOOK_BYTES, LEVEL, PRICE_LEVEL_BYTES, levels_of
from quantlytic.model.book import BookDelta
from quantlytic.model.errors import InputError


def new_book(depth: int) -> Any:
    book = BOOK.view(np.zeros(BOOK_BYTES + 2 * depth * PRICE_LEVEL_BYTES, np.uint8))
    book.depth = depth
    return book


def sides_of(book: Any) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    return (
        [(book.bid_price(k), book.bid_size(k)) for k in range(book.bids)],
        [(book.ask_price(k), book.ask_size(k)) for k in range(book.asks)],
    )


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from([1, -1]), st.integers(1, 12), st.integers(0, 3)), max_size=80),
    st.integers(1, 14),
)
def test_it_is_a_sorted_dict_that_forgets_the_worst(changes: list[tuple[int, int, int]], depth: int) -> None:
    book = new_book(depth)
    wanted: dict[int, dict[float, float]] = {1: {}, -1: {}}
    for side, price, quantity in changes:
        book.set(side, float(price), float(quantity))
        mine = wanted[side]
        if quantity:
            mine[price] = quantity
        else:
            mine.pop(price, None)
        if len(mine) > depth:
            del mine[min(mine) if side == 1 else max(mine)]
        assert book.quantity_at(side, float(price)) == mine.get(price, 0.0)
    assert sides_of(book) == (sorted(wanted[1].items(), reverse=True), sorted(wanted[-1].items()))


def test_what_a_strategy_reads() -> None:
    book = new_book(5)
    assert math.isnan(book.bid)
    assert math.isnan(book.mid)
    assert book.imbalance(3) == 0.0
    for side, price, quantity in ((1, 9.0, 3.0), (1, 8.0, 1.0), (-1, 10.0, 1.0), (-1, 12.0, 5.0)):
        book.set(side, price, quantity)
    assert (book.bid, book.ask, book.mid, book.spread) == (9.0, 10.0, 9.5, 1.0)
    assert (book.bid_quantity, book.ask_quantity, book.ask_size(1)) == (3.0, 1.0, 5.0)
    assert book.imbalance(1) == 0.5
    assert book.imbalance(2) == -0.2
    assert math.isnan(book.ask_price(2))
    assert book.ask_size(2) == 0.0


class Watch(Strategy):
    """Adds up what it sees of the book."""

    def setup(self) -> None:
        self.calls = 0
        self.sum = 0.0
        self.crossed = 0

    def on_book(self, book: Any, broker: Any) -> None:
        self.calls += 1
        if book.bids > 0 and book.asks > 0:
            self.sum += book.bid * (self.calls % 7) + book.ask_quantity + book.imbalance(5) + book.bid_price(3)
            if book.bid >= book.ask:
                self.crossed += 1


@pytest.mark.parametrize("market", ["spot_btcusdt", "usdm_ethusdt"])
def test_a_real_book_is_that_of_a_dict(market_data: Path, market: str) -> None:
    folder = market_data / "l2_binance"
    snapshot = pl.read_parquet(folder / f"binance_{market}_20240808_snapshot.parquet")
    changes = pl.read_parquet(folder / f"binance_{market}_20240808_depth.parquet")
    last_id = snapshot["last_update_id"][0]
    changes = changes.filter(pl.col("u") > last_id).head(60_000)
    rows = np.zeros(len(snapshot) + len(changes), LEVEL)
    n = len(snapshot)
    for part, frame in ((rows[:n], snapshot), (rows[n:], changes)):
        part["price"], part["quantity"] = frame["price"].to_numpy(), frame["qty"].to_numpy()
        part["side"] = np.where(frame["side"].to_numpy() == "bid", 1, -1)
    assert set(changes["side"].unique()) == {"bid", "ask"}
    rows["sequence"][:n], rows["sequence"][n:] = last_id, changes["u"].to_numpy()
    rows["event_time"][n:] = changes["recv_ns"].to_numpy()
    rows["event_time"][:n] = rows["event_time"][n]
    rows["snapshot"][0] = True
    rows["last"] = np.append(rows["sequence"][1:] != rows["sequence"][:-1], True)

    book: dict[int, dict[float, float]] = {1: {}, -1: {}}
    calls, total = 0, 0.0
    for row in rows:
        mine = book[int(row["side"])]
        if row["quantity"]:
            mine[float(row["price"])] = float(row["quantity"])
        else:
            mine.pop(float(row["price"]), None)
        if row["last"]:
            calls += 1
            if book[1] and book[-1] and calls % 40 == 1:
                bids, asks = sorted(book[1].items(), reverse=True), sorted(book[-1].items())
                total += bids[0][0] + asks[0][1] + bids[3][0] + asks[2][0]

    class Compare(Strategy):
        def setup(self) -> None:
            self.calls = 0
            self.sum = 0.0

        def on_book(self, book: Any, broker: Any) -> None:
            self.calls += 1
            if self.calls % 40 == 1:
                self.sum += book.bid + book.ask_quantity + book.bid_price(3) + book.ask_price(2)

    session = Session(Compare, [ONE], 1e6, book_depth=5_000)
    session.run(Ticks(rows, (ONE,)))
    state = session.state_of(ONE.id)
    assert state["calls"] == calls > 500
    assert state["sum"] == pytest.approx(total, rel=1e-12)
    shallow = Session(Watch, [ONE], 1e6, book_depth=300)
    shallow.run(Ticks(rows, (ONE,)))
    assert shallow.state_of(ONE.id)["crossed"] == 0


def test_deltas_of_the_tape_become_rows() -> None:
    whole = BookDelta("test:S0", 5, 5, 1, 2, (9.0, 8.0), (1.0, 2.0), (10.0,), (3.0,), snapshot=True)
    change = BookDelta("test:S0", 6, 6, 3, 3, (), (), (10.0,), (0.0,))
    rows = levels_of([whole, change], {"test:S0": 0})
    assert rows["last"].tolist() == [False, False, True, True]
    assert rows["snapshot"].tolist() == [True, False, False, False]
    assert rows["price"].tolist() == [9.0, 8.0, 10.0, 10.0]
    with pytest.raises(InputError, match="names other:X"):
        levels_of([BookDelta("other:X", 1, 1, 1, 1, (1.0,), (1.0,), (), ())], {"test:S0": 0})


def test_a_level_that_cannot_be_is_named() -> None:
    rows = level_rows((1, 1, 9.0, 1.0, True), (2, 2, 9.0, 1.0, True))
    with pytest.raises(InputError, match=r"book: row 1 .* has side 2: it is 1 \(bid\) or -1 \(ask\)"):
        Session(Watch, [ONE], 1e6, compiled=False).run(Ticks(rows, (ONE,)))


class ReadsLevels(Strategy):
    """Uses what a book knows besides its best prices."""

    def setup(self) -> None:
        self.seen = 0.0
        self.levels = 0

    def on_book(self, book: Any, broker: Any) -> None:
        self.seen = book.quantity_at(1, book.bid)
        self.levels = book.count(1)


def test_a_strategy_may_ask_for_a_price() -> None:
    rows = level_rows((1, 1, 99.0, 3.0, False), (1, 1, 98.0, 2.0, False), (1, -1, 101.0, 1.0, True))
    session = Session(ReadsLevels, (ONE,), 1e5, book_depth=4)
    session.run(Ticks(rows, (ONE,)))
    assert (session.state_of(ONE.id)["seen"], session.state_of(ONE.id)["levels"]) == (3.0, 2)
