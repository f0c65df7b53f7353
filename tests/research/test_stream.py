"""Trades from a file, chunk by chunk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from quantlytic import Fees, Session, Strategy, stream_trades
from quantlytic.indicators import EMA
from quantlytic.model.errors import DataError, InputError


class EmaCross(Strategy):
    """Long while the fast average of the trades' prices is above the slow one."""

    def setup(self) -> None:
        self.fast = EMA(20)
        self.slow = EMA(80)

    def on_trade(self, trade: Any, broker: Any) -> None:
        fast, slow = self.fast.update(trade.price), self.slow.update(trade.price)
        if self.slow.ready and broker.open_orders == 0:
            if fast > slow and broker.is_flat:
                broker.target_weight(0.9)
            elif fast < slow and broker.is_long:
                broker.close()


@pytest.mark.parametrize("chunk", [1, 700, 10_000])
def test_real_trades_in_chunks_of_any_size_are_one_run(market_data: Path, tmp_path: Path, chunk: int) -> None:
    frame = pl.read_parquet(market_data / "trades_bitstamp_btcusd_2011_2012.parquet").filter(pl.col("amount") > 0)
    symbol, file = frame["symbol"][0], tmp_path / "trades.parquet"
    frame.write_parquet(file, row_group_size=1_000)
    few = {1: 300}.get(chunk, 10**9)
    (whole,) = stream_trades(file, symbol, quantity="amount")
    first, second = (Session(EmaCross, whole.instruments, 1e4, Fees(25)) for _ in range(2))
    first.run(whole.array[:few])
    chunks = stream_trades(file, symbol, chunk, quantity="amount")
    second.run_chunks(piece for piece, _ in zip(chunks, range(few), strict=False))
    assert first.save() == second.save()
    assert first.digest == second.digest
    if chunk > 1:
        assert len(first.fills) > 20


def test_two_symbols_and_their_sides(tmp_path: Path) -> None:
    file = tmp_path / "t.parquet"
    pl.DataFrame(
        {
            "ts": [1, 2, 3],
            "symbol": ["B", "A", "B"],
            "price": [1.0, 2.0, 3.0],
            "quantity": [1.0] * 3,
            "side": ["buy", "sell", "1"],
        }
    ).write_parquet(file)
    chunks = list(stream_trades(file, chunk=2))
    assert [one.id for one in chunks[0].instruments] == ["file:A", "file:B"]
    assert [chunk.array["instrument"].tolist() for chunk in chunks] == [[1, 0], [1]]
    assert chunks[0].array["side"].tolist() == [1, -1]
    (only,) = stream_trades(file, "A")
    assert only.array["price"].tolist() == [2.0]


@pytest.mark.parametrize(
    ("columns", "error", "message"),
    [
        ({"ts": [1, 2, 1], "price": [1.0] * 3, "quantity": [1.0] * 3}, DataError, r"row 3: ts is earlier"),
        ({"ts": [1, 2, 3], "price": [1.0, 1.0, -1.0], "quantity": [1.0] * 3}, DataError, r"row 3.*price is -1"),
        ({"ts": [1, 2, 3], "price": [1.0] * 3}, DataError, "no column 'quantity'"),
        ({"ts": [1], "price": [1.0], "quantity": [1.0], "symbol": ["A"]}, InputError, "has no symbol 'X'"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, columns: dict[str, Any], error: type[Exception], message: str) -> None:
    file = tmp_path / "t.parquet"
    pl.DataFrame(columns).write_parquet(file)
    with pytest.raises(error, match=message):
        list(stream_trades(file, "X", chunk=2))
    with pytest.raises(InputError, match=r"nothing\.parquet does not exist"):
        next(stream_trades(tmp_path / "nothing.parquet"))
    with pytest.raises(InputError, match="write it as Parquet"):
        next(stream_trades(tmp_path / "t.csv"))
