"""Indicators for strategies and arrays: `from quantlytic.indicators import SMA`."""

from quantlytic.engine.indicators.atr import ATR, NATR, TrueRange
from quantlytic.engine.indicators.bollinger import BollingerBands
from quantlytic.engine.indicators.channels import AccelerationBands, ChandelierExit, DonchianChannel, KeltnerChannel
from quantlytic.engine.indicators.directional import ADX, ADXR, DirectionalMovement
from quantlytic.engine.indicators.ema import DEMA, EMA, RMA, T3, TEMA, ZLEMA
from quantlytic.engine.indicators.indicator import Indicator
from quantlytic.engine.indicators.kama import KAMA, EfficiencyRatio
from quantlytic.engine.indicators.macd import MACD, MACDExt, MACDFix
from quantlytic.engine.indicators.roc import ROC, ROCP, ROCR, Momentum
from quantlytic.engine.indicators.rsi import CMO, RSI
from quantlytic.engine.indicators.sma import SMA
from quantlytic.engine.indicators.stddev import StdDev, Var, ZScore
from quantlytic.engine.indicators.stochastic import Stochastic, StochasticFast, StochasticRSI, WilliamsR
from quantlytic.engine.indicators.supertrend import Supertrend
from quantlytic.engine.indicators.volume import AD, ADOSC, OBV, PVT
from quantlytic.engine.indicators.vwap import VWAP, VWMA, RollingVWAP, SessionVWAP
from quantlytic.engine.indicators.window import ArgMax, ArgMin, Lag, Max, Min, Sum

__all__ = [
    "AD",
    "ADOSC",
    "ADX",
    "ADXR",
    "ATR",
    "CMO",
    "DEMA",
    "EMA",
    "KAMA",
    "MACD",
    "NATR",
    "OBV",
    "PVT",
    "RMA",
    "ROC",
    "ROCP",
    "ROCR",
    "RSI",
    "SMA",
    "T3",
    "TEMA",
    "VWAP",
    "VWMA",
    "ZLEMA",
    "AccelerationBands",
    "ArgMax",
    "ArgMin",
    "BollingerBands",
    "ChandelierExit",
    "DirectionalMovement",
    "DonchianChannel",
    "EfficiencyRatio",
    "Indicator",
    "KeltnerChannel",
    "Lag",
    "MACDExt",
    "MACDFix",
    "Max",
    "Min",
    "Momentum",
    "RollingVWAP",
    "SessionVWAP",
    "StdDev",
    "Stochastic",
    "StochasticFast",
    "StochasticRSI",
    "Sum",
    "Supertrend",
    "TrueRange",
    "Var",
    "WilliamsR",
    "ZScore",
]
