"""The figures of a sweep as people read them."""

from __future__ import annotations

from quantlytic.research import text

_PERCENT = {"total_return", "cagr", "volatility", "max_drawdown", "exposure", "win_rate"}
_MONEY = {"final_equity", "fees_paid", "traded_value", "avg_trade", "best_trade", "worst_trade"}
_LABELS = {"cagr": "return a year", "avg_trade": "average trade", "avg_holding_ns": "average holding"}


def figure(metric: str, value: float | int | None) -> str:
    """A metric as people read it."""
    if metric in _PERCENT:
        return text.percent(value)
    if metric in _MONEY:
        return text.money(value)
    if value is None:
        return text.NONE
    if metric == "avg_holding_ns":
        return text.duration(int(value))
    return f"{value:,}" if isinstance(value, int) else text.ratio(value)


def label(metric: str) -> str:
    """A metric's name for people."""
    return _LABELS.get(metric, metric.replace("_", " "))
