"""Writes the tables of docs/indicators.md from the classes: `python -m tests.engine.indicator_table`."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import quantlytic.indicators as public
from quantlytic.indicators import Indicator

PAGE = Path(__file__).resolve().parents[2] / "docs" / "indicators.md"
MARK = "<!-- What follows is made by: python -m tests.engine.indicator_table -->\n"
FAMILIES = {
    "Averages": ("sma", "ema", "wma", "kama"),
    "Momentum": ("macd", "rsi", "roc", "stochastic", "oscillators", "aroon", "cci", "directional", "rank"),
    "Bands, channels and stops": ("bollinger", "channels", "supertrend", "sar", "ichimoku"),
    "Volatility": ("atr", "stddev", "realised", "spread"),
    "Volume": ("volume", "moneyflow", "vwap"),
    "Prices": ("price",),
    "Windows": ("window",),
    "Cycles": ("cycle",),
    "Statistics": (),
    "Candle patterns": ("candles",),
}


def tables() -> str:
    found: dict[str, list[str]] = {family: [] for family in FAMILIES}
    for name in sorted(public.__all__, key=str.lower):
        cls = getattr(public, name)
        if isinstance(cls, type) and issubclass(cls, Indicator) and cls is not Indicator:
            found[family_of(cls)].append(row(cls))
    head = (
        "| name | `update` takes | parameters | results | NaN | definition | source |\n|---|---|---|---|---|---|---|\n"
    )
    return "\n".join(f"## {family}\n\n{head}{''.join(rows)}" for family, rows in found.items() if rows)


def family_of(cls: type) -> str:
    parts = cls.__module__.split(".")
    return next((family for family, modules in FAMILIES.items() if set(modules) & set(parts)), "Statistics")


def row(cls: Any) -> str:
    inputs = [name for name in inspect.signature(cls.update).parameters if name != "self"]
    params = [str(p).split(":")[0].split("=")[0] + default(p) for p in inspect.signature(cls).parameters.values()]
    doc = cls.__doc__ if cls.__doc__ else ""
    text, _, source = " ".join(doc.split()).partition("Source:")
    results = "" if cls.outputs == ("value",) else code(cls.outputs)
    cells = [f"`{cls.__name__}`", code(inputs), code(params), results, cls.on_nan, text.strip(), source.strip(" .")]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def default(param: inspect.Parameter) -> str:
    return "" if param.default is inspect.Parameter.empty else f"={param.default}"


def code(names: Any) -> str:
    return f"`{', '.join(names)}`" if names else ""


if __name__ == "__main__":
    head, _, _ = PAGE.read_text().partition(MARK)
    PAGE.write_text(head + MARK + "\n" + tables())
