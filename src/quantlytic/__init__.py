"""Quantlytic records the market, asks whether a rule would have worked, and acts on the answer.

    import quantlytic as ql
    bars = ql.load_bars("bars.parquet", symbol="BTCUSDT")
    result = ql.backtest(MyStrategy(fast=50), bars, cash=1e6, fees=ql.Fees(taker_bps=10))

Names are imported when they are first used, so `import quantlytic` is quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quantlytic.engine.data.bars import Bars as Bars
    from quantlytic.engine.data.currency import Rates as Rates
    from quantlytic.engine.data.currency import convert_bars as convert_bars
    from quantlytic.engine.data.tape import Tape as Tape
    from quantlytic.engine.data.tape import Ticks as Ticks
    from quantlytic.engine.fork import fork as fork
    from quantlytic.engine.market.fees import Fees as Fees
    from quantlytic.engine.market.latency import Latency as Latency
    from quantlytic.engine.market.margin import Margin as Margin
    from quantlytic.engine.market.market import Market as Market
    from quantlytic.engine.market.slippage import FixedSlippage as FixedSlippage
    from quantlytic.engine.market.slippage import NoSlippage as NoSlippage
    from quantlytic.engine.market.slippage import SpreadSlippage as SpreadSlippage
    from quantlytic.engine.market.slippage import SquareRootImpact as SquareRootImpact
    from quantlytic.engine.market.slippage import VolumeShareSlippage as VolumeShareSlippage
    from quantlytic.engine.param import param as param
    from quantlytic.engine.plain import PythonStrategy as PythonStrategy
    from quantlytic.engine.session import Session as Session
    from quantlytic.engine.strategy import Strategy as Strategy
    from quantlytic.indicators import ATR as ATR
    from quantlytic.indicators import EMA as EMA
    from quantlytic.indicators import RSI as RSI
    from quantlytic.indicators import SMA as SMA
    from quantlytic.indicators import Indicator as Indicator
    from quantlytic.model.instrument import Instrument as Instrument
    from quantlytic.model.order import OrderStatus as OrderStatus
    from quantlytic.model.order import OrderType as OrderType
    from quantlytic.model.order import Reason as Reason
    from quantlytic.model.order import TimeInForce as TimeInForce
    from quantlytic.model.side import Side as Side
    from quantlytic.research.advice.recommend import recommend as recommend
    from quantlytic.research.data.demo import demo_bars as demo_bars
    from quantlytic.research.data.demoticks import demo_quotes as demo_quotes
    from quantlytic.research.data.demoticks import demo_trades as demo_trades
    from quantlytic.research.data.equities import load_equities as load_equities
    from quantlytic.research.data.equities import load_equity as load_equity
    from quantlytic.research.data.history import lake as lake
    from quantlytic.research.data.history import load_bars as load_bars
    from quantlytic.research.data.history import stream_trades as stream_trades
    from quantlytic.research.honesty.lookahead import detect_lookahead as detect_lookahead
    from quantlytic.research.honesty.stress import stress as stress
    from quantlytic.research.honesty.verdict import verdict as verdict
    from quantlytic.research.runs.run import backtest as backtest
    from quantlytic.research.search.sweep import sweep as sweep
    from quantlytic.research.search.walkforward import walk_forward as walk_forward

_HOMES = {
    "ATR": "quantlytic.indicators",
    "backtest": "quantlytic.research.runs.run",
    "Bars": "quantlytic.engine.data.bars",
    "convert_bars": "quantlytic.engine.data.currency",
    "demo_bars": "quantlytic.research.data.demo",
    "demo_quotes": "quantlytic.research.data.demoticks",
    "demo_trades": "quantlytic.research.data.demoticks",
    "detect_lookahead": "quantlytic.research.honesty.lookahead",
    "EMA": "quantlytic.indicators",
    "Fees": "quantlytic.engine.market.fees",
    "FixedSlippage": "quantlytic.engine.market.slippage",
    "fork": "quantlytic.engine.fork",
    "Indicator": "quantlytic.indicators",
    "Instrument": "quantlytic.model.instrument",
    "lake": "quantlytic.research.data.history",
    "Latency": "quantlytic.engine.market.latency",
    "load_bars": "quantlytic.research.data.history",
    "load_equities": "quantlytic.research.data.equities",
    "load_equity": "quantlytic.research.data.equities",
    "Margin": "quantlytic.engine.market.margin",
    "Market": "quantlytic.engine.market.market",
    "NoSlippage": "quantlytic.engine.market.slippage",
    "OrderStatus": "quantlytic.model.order",
    "OrderType": "quantlytic.model.order",
    "param": "quantlytic.engine.param",
    "PythonStrategy": "quantlytic.engine.plain",
    "Rates": "quantlytic.engine.data.currency",
    "Reason": "quantlytic.model.order",
    "recommend": "quantlytic.research.advice.recommend",
    "RSI": "quantlytic.indicators",
    "Session": "quantlytic.engine.session",
    "Side": "quantlytic.model.side",
    "SMA": "quantlytic.indicators",
    "SpreadSlippage": "quantlytic.engine.market.slippage",
    "SquareRootImpact": "quantlytic.engine.market.slippage",
    "Strategy": "quantlytic.engine.strategy",
    "stream_trades": "quantlytic.research.data.history",
    "stress": "quantlytic.research.honesty.stress",
    "sweep": "quantlytic.research.search.sweep",
    "Tape": "quantlytic.engine.data.tape",
    "Ticks": "quantlytic.engine.data.tape",
    "TimeInForce": "quantlytic.model.order",
    "verdict": "quantlytic.research.honesty.verdict",
    "VolumeShareSlippage": "quantlytic.engine.market.slippage",
    "walk_forward": "quantlytic.research.search.walkforward",
}

__all__ = [*_HOMES]  # noqa: PLE0604 - the names are those of _HOMES


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'quantlytic' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
