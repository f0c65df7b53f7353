"""Bars by activity from a file of trades."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from quantlytic.engine.data.bars import Bars
from quantlytic.engine.data.infobars import BarRule, bars_from_trades
from quantlytic.model.errors import DataError
from quantlytic.model.instrument import Instrument
from quantlytic.model.trade import TRADE
from quantlytic.store.tradefile import read_trades


@dataclass(frozen=True)
class TradeBars:
    """The bars that `trades` trades made; `left_over` of these are in bars that have not ended."""

    bars: Bars
    trades: int
    left_over: int


def make_bars(path: Path, rule: BarRule, symbol: str | None = None, quantity: str = "quantity") -> TradeBars:
    """The bars of a file's trades by a rule. `symbol` picks one; `quantity` names the column of quantities.

    Raises InputError and DataError as `store.tradefile.read_trades` does, DataError when not one bar ended.
    """
    frame = read_trades(path, symbol, side_needed=False, quantity=quantity).sort("event_time", maintain_order=True)
    names = frame["symbol"].unique().sort().to_list()
    trades = np.zeros(frame.height, TRADE)
    trades["instrument"] = frame["symbol"].cast(pl.Enum(names)).to_physical().to_numpy()
    for name in ("event_time", "trade_id", "price", "quantity", "side"):
        trades[name] = frame[name].to_numpy()
    trades["receive_time"] = trades["event_time"]
    array = bars_from_trades(trades, rule, len(names))
    if not len(array):
        raise DataError(
            f"{path}: {frame.height:,} trades do not end one {rule.kind} bar of {rule.size:g}: take a smaller size"
        )
    bars = Bars(
        array, tuple(Instrument(f"file:{name}") for name in names), f"{path.name}, {rule.kind} bars of {rule.size:g}"
    )
    return TradeBars(bars, frame.height, frame.height - int(array["trades"].sum()))
