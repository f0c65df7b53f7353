"""The same run in a harder market: dearer and slower. An edge that lives on one assumption dies here.

Each scenario changes one assumption of the run's own `Market`, the last one several at once.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from quantlytic.engine.data.bars import Bars
from quantlytic.engine.market.fees import Fees
from quantlytic.engine.market.latency import Latency
from quantlytic.engine.market.market import Market, market_of
from quantlytic.engine.market.slippage import FixedSlippage, NoSlippage
from quantlytic.engine.session import Session
from quantlytic.engine.strategy import Strategy
from quantlytic.model.errors import InputError
from quantlytic.research.figures.metrics import equity_metrics
from quantlytic.store.barfile import most_frequent


@dataclass(frozen=True)
class Stressed:
    """One scenario's figures. `kept`: its return over the base's, None where the base earned nothing."""

    name: str
    market: Market
    total_return: float
    sharpe_per_bar: float | None
    max_drawdown: float | None
    fills: int
    kept: float | None

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON; without the market."""
        return {one.name: getattr(self, one.name) for one in dataclasses.fields(self) if one.name != "market"}


@dataclass(frozen=True)
class Stress:
    """`rows`: the base first. `break_even_bps`: how many basis points more each unit traded may cost before the base's profit
    is gone (at its own trades; 0 where it has none to lose); None without trades."""

    rows: list[Stressed]
    break_even_bps: float | None

    @property
    def survives(self) -> bool:
        """Whether every scenario earned."""
        return all(one.total_return > 0.0 for one in self.rows)

    @property
    def sentence(self) -> str:
        """In plain words."""
        base, *others = self.rows
        if self.break_even_bps is None:
            return "It never traded."
        if base.total_return <= 0.0:
            return "It loses before any stress."
        lost = [one.name for one in others if one.total_return <= 0.0]
        edge = f"costs may rise by {self.break_even_bps:.3g} bps of each trade's value before the profit is gone"
        if not lost:
            return f"It earns in every scenario; {edge}."
        return f"It loses with {', '.join(lost)}; {edge}."


def stress(
    strategy: Strategy | type[Strategy],
    bars: Bars,
    cash: float = 1_000_000.0,
    fees: Fees = Fees(),  # noqa: B008 - immutable
    *,
    market: Market | None = None,
    allow_short: bool = False,
    slippage_bps: float = 5.0,
    compiled: bool = True,
) -> Stress:
    """Run the strategy in its own market and in harder ones: fees twice and thrice, `slippage_bps` on what takes liquidity,
    orders that arrive one bar late, and fees twice with both.

    `fees` and `allow_short` are shortcuts for a `market`. A scenario that is no harder (fees of 0 twice) is left out.
    """
    if not isinstance(bars, Bars) or not len(bars):
        raise InputError("a stress test needs bars: what load_bars returns, or Bars.of(...) makes; there must be some")
    base = market_of(market, fees, allow_short)
    rows: list[Stressed] = []
    break_even: float | None = None
    for name, one in scenarios(base, bars, slippage_bps):
        session = Session(strategy, bars.instruments, cash, market=one, compiled=compiled)
        session.run(bars)
        figures = equity_metrics(bars.array["close_time"], session.equity, cash)
        gain = float(session.equity[-1]) / cash - 1.0
        if not rows:
            traded = math.fsum(session.fills["quantity"] * session.fills["price"])
            break_even = max(gain, 0.0) * cash / traded * 1e4 if traded > 0.0 else None
        first = rows[0].total_return if rows else gain
        depth = figures["max_drawdown"]
        rows.append(
            Stressed(
                name,
                one,
                gain,
                figures["sharpe_per_bar"],
                depth,
                len(session.fills),
                gain / first if first > 0.0 else None,
            )
        )
    return Stress(rows, break_even)


def scenarios(base: Market, bars: Bars, slippage_bps: float = 5.0) -> list[tuple[str, Market]]:
    """(name, market), the base first."""
    bar_ns = int(most_frequent(np.asarray(bars.array["close_time"] - bars.array["open_time"])))
    latency = base.latency
    lags = tuple(lag + bar_ns for lag in latency.lags_ns)
    late = Latency(lags_ns=lags, seed=latency.seed) if lags else Latency(latency.ns + bar_ns)
    dear = [(f"fees x{times}", dataclasses.replace(base, fees=_times(base.fees, times))) for times in (2, 3)]
    hardest = _slipping(dataclasses.replace(base, fees=_times(base.fees, 2), latency=late), slippage_bps)
    return [
        ("as it is", base),
        *(one for one in dear if one[1] != base),
        (f"slippage +{slippage_bps:g} bps", _slipping(base, slippage_bps)),
        ("orders one bar late", dataclasses.replace(base, latency=late)),
        ("all at once", hardest),
    ]


def _slipping(market: Market, bps: float) -> Market:
    """Taking liquidity costs so much more: as slippage, or, beside a model that has a mind of its own, as a fee."""
    slippage = market.slippage
    if isinstance(slippage, NoSlippage | FixedSlippage):
        return dataclasses.replace(market, slippage=FixedSlippage(getattr(slippage, "bps", 0.0) + bps))
    fees = market.fees
    maker = fees.taker_bps if fees.maker_bps is None else fees.maker_bps
    tiers = tuple((traded, taker + bps, resting) for traded, taker, resting in fees.tiers)
    return dataclasses.replace(
        market, fees=dataclasses.replace(fees, taker_bps=fees.taker_bps + bps, maker_bps=maker, tiers=tiers)
    )


def _times(fees: Fees, factor: int) -> Fees:
    """Everything the fees are made of, so many times; rebates stay as they are."""
    tiers = tuple((traded, _worse(taker, factor), _worse(maker, factor)) for traded, taker, maker in fees.tiers)
    return Fees(
        taker_bps=_worse(fees.taker_bps, factor),
        maker_bps=None if fees.maker_bps is None else _worse(fees.maker_bps, factor),
        per_order=_worse(fees.per_order, factor),
        per_unit=_worse(fees.per_unit, factor),
        minimum=_worse(fees.minimum, factor),
        tiers=tiers,
    )


def _worse(rate: float, factor: int) -> float:
    return max(factor * rate, rate)
