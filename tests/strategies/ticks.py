"""Quotes, trades and books that the tests of tick strategies share."""

from __future__ import annotations

import functools
import gzip
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl

from quantlytic import Instrument, Tape, Ticks
from quantlytic.engine.matching.orderbook import LEVEL
from quantlytic.model.quote import QUOTE
from quantlytic.model.trade import TRADE

BTC = Instrument("binance:BTCUSDT", "BTC", "USDT", 0.01, 0.00001)


@functools.cache
def captured(folder: Path, name: str = "binance_spot_btcusdt_20240808", limit: int = 10**9) -> Tape:
    """Quotes and trades as they were received, of the first `limit` messages of a capture."""
    quotes, trades = [], []
    with gzip.open(folder / "raw_ws_binance" / f"{name}.ws.gz") as lines:
        for line, _ in zip(lines, range(limit), strict=False):
            stamp, _, payload = line.partition(b" ")
            message: dict[str, Any] = msgspec.json.decode(payload)
            data, time = message.get("data", {}), int(stamp)
            if message.get("stream", "").endswith("@bookTicker"):
                prices = (float(data[key]) for key in ("b", "B", "a", "A"))
                quotes.append((0, time, time, data["u"], *prices))
            elif message.get("stream", "").endswith("@trade"):
                side = -1 if data["m"] else 1
                trades.append((0, time, time, data["t"], float(data["p"]), float(data["q"]), side))
    return Tape(
        quotes=Ticks(np.array(quotes, QUOTE), (BTC,), "quotes"), trades=Ticks(np.array(trades, TRADE), (BTC,), "trades")
    )


@functools.cache
def booked(folder: Path, messages: int) -> Tape:
    """The book of the first `messages` changes (the whole of it before them), and the trades meanwhile."""
    name = "l2_binance/binance_usdm_btcusdt_20240808"
    whole = pl.read_parquet(folder / f"{name}_snapshot.parquet").with_columns(u=pl.col("last_update_id"))
    deltas = pl.read_parquet(folder / f"{name}_depth.parquet").filter(pl.col("u") > whole["u"][0])
    last = deltas["u"].unique(maintain_order=True)[messages - 1]
    parts = [_levels(whole, snapshot=True), _levels(deltas.filter(pl.col("u") <= last), snapshot=False)]
    parts[0]["event_time"] = parts[1]["event_time"][0]
    levels = np.concatenate(parts)
    prints = pl.read_parquet(folder / f"{name}_trades.parquet").filter(
        pl.col("recv_ns") <= int(levels["event_time"][-1])
    )
    trades = np.zeros(len(prints), TRADE)
    for field, column in (("event_time", "recv_ns"), ("trade_id", "trade_id"), ("price", "price"), ("quantity", "qty")):
        trades[field] = prints[column].to_numpy()
    trades["side"] = np.where(prints["buyer_is_maker"].to_numpy(), -1, 1)
    return Tape(book=Ticks(levels, (BTC,), "book"), trades=Ticks(trades, (BTC,), "trades"))


def _levels(frame: pl.DataFrame, snapshot: bool) -> Any:
    rows = np.zeros(len(frame), LEVEL)
    sequence = frame["u"].to_numpy()
    rows["sequence"], rows["price"], rows["quantity"] = sequence, frame["price"].to_numpy(), frame["qty"].to_numpy()
    rows["event_time"] = frame["recv_ns"].to_numpy()
    rows["side"] = np.where(frame["side"].str.to_lowercase().str.starts_with("b").to_numpy(), 1, -1)
    rows["last"] = np.append(sequence[1:] != sequence[:-1], True)
    rows["snapshot"][0] = snapshot
    return rows
