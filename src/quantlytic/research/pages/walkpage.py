"""A walk-forward as one HTML page: the verdict, the out-of-sample equity, and what each fold chose and earned."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from quantlytic.engine.data.bars import Bars
from quantlytic.research import text
from quantlytic.research.honesty.verdict import Verdict
from quantlytic.research.pages.htmlpage import asset, template, write_page
from quantlytic.research.search.foldresult import FoldResult
from quantlytic.store.control.records import Trial

Figures = dict[str, float | int | None]

_WIDTH, _HEIGHT, _POINTS = 1000.0, 260.0, 800


class Walked(Protocol):
    """What the page is made of; `walkforward.WalkForward` is one."""

    @property
    def name(self) -> str: ...
    @property
    def bars(self) -> Bars: ...
    @property
    def cash(self) -> float: ...
    @property
    def anchored(self) -> bool: ...
    @property
    def folds(self) -> list[FoldResult]: ...
    @property
    def times(self) -> NDArray[np.int64]: ...
    @property
    def equity(self) -> NDArray[np.float64]: ...
    @property
    def trials(self) -> list[Trial]: ...
    @property
    def metrics(self) -> Figures: ...
    @property
    def efficiency(self) -> float | None: ...
    @property
    def degradation(self) -> float | None: ...
    @property
    def profitable(self) -> float: ...
    @property
    def verdict(self) -> Verdict: ...


def write_walk(found: Walked, path: Path) -> Path:
    """Write the page to `path`, whole or not at all. Raises InputError when it cannot be written there."""
    return write_page(page_html(found), path, "page")


def page_html(found: Walked) -> str:
    """The page as text: the same walk-forward gives the same bytes."""
    figures = found.metrics
    names = [one.symbol or one.id for one in found.bars.instruments]
    varied = _varied(found.folds)
    what = names[0] if len(names) == 1 else f"{len(names)} instruments"
    return template("walkforward.html").render(
        title=f"Walk-forward of {found.name.rpartition(':')[2]} on {what}",
        period=f"{text.day(int(found.times[0]))} to {text.day(int(found.times[-1]))}",
        kind="anchored" if found.anchored else "rolling",
        found=found,
        verdict=found.verdict,
        tiles=[
            ("Out of sample", text.percent(figures["total_return"], sign=True), "total return"),
            ("Return a year", text.percent(figures["cagr"], sign=True), "compound"),
            ("Sharpe", text.ratio(figures["sharpe"]), f"{_signed(found.degradation)} against in sample"),
            ("Max drawdown", text.percent(figures["max_drawdown"]), "out of sample"),
            ("Efficiency", text.ratio(found.efficiency), "growth out of sample over in sample"),
            ("Folds that earned", text.percent(found.profitable), f"of {len(found.folds)}"),
        ],
        varied=varied,
        folds=[_fold(one, varied) for one in found.folds],
        curve=_curve(found),
        edges=_edges(found),
        top=text.money(float(max(found.equity.max(), found.cash))),
        bottom=text.money(float(min(found.equity.min(), found.cash))),
        trials=f"{len(found.trials) - 1:,}",
        css=asset("report.css"),
    )


def _signed(value: float | None) -> str:
    return text.NONE if value is None else ("+" if value > 0 else "") + text.ratio(value)


def _varied(folds: list[FoldResult]) -> list[str]:
    """The parameters to show: those that changed, or all where none did."""
    chosen = [one.params for one in folds if one.params is not None]
    names = list(chosen[0]) if chosen else []
    return [name for name in names if len({params[name] for params in chosen}) > 1] or names


def _fold(one: FoldResult, varied: list[str]) -> dict[str, Any]:
    inside = None if one.in_sample_growth is None else one.in_sample_growth - 1.0
    return {
        "start": text.day(one.fold.train_end),
        "end": text.day(one.fold.test_end),
        "params": [text.NONE if one.params is None else f"{one.params[name]:g}" for name in varied],
        "in_sharpe": text.ratio(one.in_sample_sharpe),
        "in_return": text.percent(inside, sign=True),
        "sharpe": text.ratio(one.sharpe),
        "growth": text.percent(one.growth - 1.0, sign=True),
        "tone": text.tone(one.growth - 1.0),
        "fills": f"{one.fills:,}",
    }


def _curve(found: Walked) -> str:
    """The equity as the points of an SVG line."""
    at = np.unique(np.linspace(0, len(found.equity) - 1, min(_POINTS, len(found.equity))).astype(int))
    x, y = _place(found, found.times[at]), _level(found, found.equity[at])
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))


def _edges(found: Walked) -> list[str]:
    """Where folds begin, but for the first."""
    starts = np.array([one.fold.train_end for one in found.folds[1:]], np.int64)
    return [f"{one:.1f}" for one in _place(found, starts)]


def _place(found: Walked, times: Any) -> Any:
    first, last = int(found.times[0]), int(found.times[-1])
    return (times - first) / max(last - first, 1) * _WIDTH


def _level(found: Walked, values: Any) -> Any:
    low, high = float(min(found.equity.min(), found.cash)), float(max(found.equity.max(), found.cash))
    return _HEIGHT - (values - low) / ((high - low) or 1.0) * _HEIGHT
