"""Indicators for strategies and arrays: `from quantlytic.indicators import SMA`."""

from quantlytic.engine.indicators.aroon import Aroon
from quantlytic.engine.indicators.atr import ATR, NATR, TrueRange
from quantlytic.engine.indicators.bollinger import BollingerBands
from quantlytic.engine.indicators.cci import CCI, AvgDev
from quantlytic.engine.indicators.channels import AccelerationBands, ChandelierExit, DonchianChannel, KeltnerChannel
from quantlytic.engine.indicators.directional import ADX, ADXR, DirectionalMovement
from quantlytic.engine.indicators.ema import DEMA, EMA, RMA, T3, TEMA, ZLEMA
from quantlytic.engine.indicators.indicator import Indicator
from quantlytic.engine.indicators.kama import KAMA, EfficiencyRatio
from quantlytic.engine.indicators.macd import APO, MACD, PPO, MACDExt, MACDFix
from quantlytic.engine.indicators.moneyflow import CMF, MFI, EaseOfMovement, ForceIndex, RelativeVolume
from quantlytic.engine.indicators.oscillators import (
    BOP,
    TRIX,
    TSI,
    AwesomeOscillator,
    CoppockCurve,
    DetrendedPrice,
    ElderRay,
    FisherTransform,
    UltimateOscillator,
    Vortex,
)
from quantlytic.engine.indicators.price import AvgPrice, HeikinAshi, MedPrice, TypPrice, WclPrice
from quantlytic.engine.indicators.rank import ConnorsRSI, PercentRank
from quantlytic.engine.indicators.realised import GarmanKlass, Parkinson, RealisedVolatility, RogersSatchell, YangZhang
from quantlytic.engine.indicators.roc import ROC, ROCP, ROCR, Momentum
from quantlytic.engine.indicators.rsi import CMO, RSI
from quantlytic.engine.indicators.sar import SAR, SARExt
from quantlytic.engine.indicators.sma import SMA
from quantlytic.engine.indicators.spread import ChaikinVolatility, Choppiness, Ichimoku, MassIndex, UlcerIndex
from quantlytic.engine.indicators.stddev import StdDev, Var, ZScore
from quantlytic.engine.indicators.stochastic import Stochastic, StochasticFast, StochasticRSI, WilliamsR
from quantlytic.engine.indicators.supertrend import Supertrend
from quantlytic.engine.indicators.volume import AD, ADOSC, OBV, PVT
from quantlytic.engine.indicators.vwap import VWAP, VWMA, RollingVWAP, SessionVWAP
from quantlytic.engine.indicators.window import ArgMax, ArgMin, Lag, Max, Min, Sum
from quantlytic.engine.indicators.wma import ALMA, HMA, TRIMA, WMA, MidPoint, MidPrice

__all__ = [
    "AD",
    "ADOSC",
    "ADX",
    "ADXR",
    "ALMA",
    "APO",
    "ATR",
    "BOP",
    "CCI",
    "CMF",
    "CMO",
    "DEMA",
    "EMA",
    "HMA",
    "KAMA",
    "MACD",
    "MFI",
    "NATR",
    "OBV",
    "PPO",
    "PVT",
    "RMA",
    "ROC",
    "ROCP",
    "ROCR",
    "RSI",
    "SAR",
    "SMA",
    "T3",
    "TEMA",
    "TRIMA",
    "TRIX",
    "TSI",
    "VWAP",
    "VWMA",
    "WMA",
    "ZLEMA",
    "AccelerationBands",
    "ArgMax",
    "ArgMin",
    "Aroon",
    "AvgDev",
    "AvgPrice",
    "AwesomeOscillator",
    "BollingerBands",
    "ChaikinVolatility",
    "ChandelierExit",
    "Choppiness",
    "ConnorsRSI",
    "CoppockCurve",
    "DetrendedPrice",
    "DirectionalMovement",
    "DonchianChannel",
    "EaseOfMovement",
    "EfficiencyRatio",
    "ElderRay",
    "FisherTransform",
    "ForceIndex",
    "GarmanKlass",
    "HeikinAshi",
    "Ichimoku",
    "Indicator",
    "KeltnerChannel",
    "Lag",
    "MACDExt",
    "MACDFix",
    "MassIndex",
    "Max",
    "MedPrice",
    "MidPoint",
    "MidPrice",
    "Min",
    "Momentum",
    "Parkinson",
    "PercentRank",
    "RealisedVolatility",
    "RelativeVolume",
    "RogersSatchell",
    "RollingVWAP",
    "SARExt",
    "SessionVWAP",
    "StdDev",
    "Stochastic",
    "StochasticFast",
    "StochasticRSI",
    "Sum",
    "Supertrend",
    "TrueRange",
    "TypPrice",
    "UlcerIndex",
    "UltimateOscillator",
    "Var",
    "Vortex",
    "WclPrice",
    "WilliamsR",
    "YangZhang",
    "ZScore",
]
