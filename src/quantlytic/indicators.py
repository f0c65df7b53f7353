"""Indicators for strategies and arrays: `from quantlytic.indicators import SMA`."""

from quantlytic.engine.indicators.atr import ATR
from quantlytic.engine.indicators.ema import EMA
from quantlytic.engine.indicators.indicator import Indicator
from quantlytic.engine.indicators.rsi import RSI
from quantlytic.engine.indicators.sma import SMA

__all__ = ["ATR", "EMA", "RSI", "SMA", "Indicator"]
