"""Figures as people read them: a real minus sign, thousands apart, "–" for what is undefined."""

from __future__ import annotations

import math

from quantlytic.model.time import iso

NONE = "–"
_UNITS = (("y", 31_557_600), ("d", 86_400), ("h", 3600), ("m", 60), ("s", 1))


def money(value: float | None, *, sign: bool = False) -> str:
    """Two decimals below 100,000, none above."""
    if value is None or not math.isfinite(value):
        return NONE
    return _minus(f"{value:{'+' if sign else ''},.{2 if abs(value) < 100_000 else 0}f}")


def price(value: float) -> str:
    """As many decimals as it has, at most ten digits."""
    return _minus(f"{value:,.10g}")


def quantity(value: float) -> str:
    """Six significant digits."""
    return _minus(f"{value:,.6g}")


def percent(value: float | None, *, sign: bool = False, unit: bool = True) -> str:
    """0.125 -> "12.5 %" (the space does not break). Two decimals below 10 %, one above, none above 1,000 %."""
    if value is None or not math.isfinite(value):
        return NONE
    share = value * 100
    digits = 2 if abs(share) < 9.995 else 1 if abs(share) < 999.95 else 0
    if 99 < abs(share) < 100:  # -99.93 % is not -99.9 %, and still less -100 %
        digits = 2
    return _minus(f"{share:{'+' if sign else ''},.{digits}f}") + ("\u00a0%" if unit else "")


def ratio(value: float | None) -> str:
    """Two decimals; none for large ones."""
    if value is None or not math.isfinite(value):
        return NONE
    return _minus(f"{value:,.{2 if abs(value) < 100 else 0}f}")


def duration(size_ns: int) -> str:
    """The two largest units: "2d 4h", "15m"; below a second in ms."""
    seconds = size_ns // 10**9
    if seconds == 0:
        return f"{size_ns / 1e6:g}ms" if size_ns else "0s"
    parts: list[str] = []
    for name, size in _UNITS:
        if seconds >= size or parts:
            count, seconds = divmod(seconds, size)
            parts.append(f"{count}{name}" if count else "")
    return " ".join(part for part in parts[:2] if part)


def multiple(value: float) -> str:
    """`1,469 times` or `2.5 times`; `4.20 %` where it is less than the whole."""
    return f"{value:,.0f} times" if value >= 10.0 else f"{value:.1f} times" if value > 1.0 else percent(value)


def day(time_ns: float) -> str:
    """`2026-11-21`, UTC."""
    return iso(int(time_ns))[:10]


def minute(time_ns: int) -> str:
    """`2026-11-21 12:00`, UTC; seconds where there are any, no time at midnight."""
    stamp = iso(time_ns)
    if stamp[11:19] == "00:00:00":
        return stamp[:10]
    return f"{stamp[:10]} {stamp[11:16] if stamp[17:19] == '00' else stamp[11:19]}"


def tone(value: float | None) -> str:
    """The class of its colour: "up", "down" or none."""
    return "" if value is None or value == 0 else "up" if value > 0 else "down"


_PERCENTS = (
    "total_return", "cagr", "volatility", "max_drawdown", "exposure", "win_rate", "expectancy", "alpha", "var_95",
    "cvar_95", "ulcer_index", "tracking_error", "time_in_drawdown", "positive_days", "best_day", "worst_day",
    "benchmark_return", "benchmark_cagr", "benchmark_max_drawdown", "avg_mae", "avg_mfe",
    "participation_median", "participation_95", "beyond_volume", "beyond_volume_median",
)  # fmt: skip
_MONEY = (
    "final_equity",
    "costs",
    "avg_trade",
    "capacity",
    "traded_value",
    "avg_win",
    "avg_loss",
    "best_trade",
    "worst_trade",
)


def figure(name: str, value: float | None) -> str:
    """A figure of a run's summary, by its name: percent, money, time, count or ratio."""
    if value is None:
        return NONE
    if name.endswith("_ns"):
        return duration(int(value))
    if name in _PERCENTS:
        return percent(value)
    if name in _MONEY or name.endswith(("_paid", "_fees", "_received")):
        return money(value)
    return f"{value:,}" if isinstance(value, int) else ratio(value)


def _minus(figure: str) -> str:
    return figure.replace("-", "−")
