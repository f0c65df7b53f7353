"""The page's first part: what following the forecasts would have earned after costs, and whether that is real."""

from __future__ import annotations

from typing import Any

import numpy as np

from quantlytic.learn.training.backtest import TrainedBacktest
from quantlytic.model.time import iso
from quantlytic.research import text
from quantlytic.research.figures.curve import Curve
from quantlytic.research.pages.reportparts import evidence

_POINTS = 240
_WIDE, _TALL = 800.0, 150.0


def traded_part(traded: TrainedBacktest, counted: bool, report: str) -> dict[str, Any]:
    """What the template shows. `counted`: the trial ledger was asked; `report`: the address of the back-test's own page, "" for
    none."""
    result, figures = traded.result, traded.result.metrics
    summary = result.summary()
    gain, hold = summary["total_return"], figures["benchmark_return"]
    several = "the instruments in equal parts" if len(result.bars.instruments) > 1 else "it"
    told = (
        f"Following its forecasts would have turned {text.money(result.cash)} into {text.money(summary['final_equity'])} "
        f"({text.percent(gain, sign=True)}), after {result.market.fees.taker_bps:g} bps a fill; buying {several} and holding, "
        f"{text.percent(hold, sign=True)}."
    )
    if not summary["fills"]:
        told += " It never traded: no forecast was worth what a way in and out costs."
    tiles = [
        ("Total return", text.percent(gain, sign=True), text.tone(gain)),
        ("Sharpe", text.ratio(figures["sharpe"]), ""),
        ("Max drawdown", text.percent(figures["max_drawdown"]), ""),
        ("Round trips", f"{figures['round_trips']:,}", ""),
        ("Costs", text.money(figures["costs"]), ""),
        ("Exposure", text.percent(figures["exposure"]), ""),
    ]
    return {
        "label": traded.verdict.label,
        "why": traded.verdict.sentence.partition(": ")[2] or traded.verdict.sentence,
        "told": told,
        "evidence": evidence(traded.verdict, figures, counted),
        "sentences": traded.sentences,
        "tiles": tiles,
        "report": report,
        **_picture(result.curve, result.benchmark, result.cash),
    }


def _picture(equity: Curve, hold: Curve, cash: float) -> dict[str, Any]:
    """Both curves as shares of the cash, on one scale of logarithms."""
    times = np.linspace(int(equity.times[0]), int(equity.times[-1]), _POINTS).astype(np.int64)
    lines = [np.maximum(one.at(times) / cash, 1e-3) for one in (equity, hold)]
    low, high = min(float(one.min()) for one in lines), max(float(one.max()) for one in lines)
    span = float(np.log(high / low)) or 1.0
    across = np.linspace(0.0, _WIDE, _POINTS)

    def points(values: Any) -> str:
        up = _TALL - _TALL * np.log(values / low) / span
        return " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(across, up, strict=True))

    return {
        "curve": points(lines[0]),
        "hold": points(lines[1]),
        "wide": int(_WIDE),
        "tall": int(_TALL),
        "even": f"{_TALL + _TALL * np.log(low) / span:.1f}",
        "low": text.percent(low - 1.0, sign=True),
        "high": text.percent(high - 1.0, sign=True),
        "from": iso(int(times[0]))[:10],
        "to": iso(int(times[-1]))[:10],
    }
