"""What trades brought and cost, in the account's currency."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlytic.model.cashflow import CashFlowKind
from quantlytic.research.figures.metrics import Figures, finite

_FLOW_COSTS = {
    "funding_paid": CashFlowKind.FUNDING,
    "borrow_paid": CashFlowKind.BORROW,
    "liquidation_fees": CashFlowKind.LIQUIDATION_FEE,
}
_FLOW_INCOME = {"dividends_received": CashFlowKind.DIVIDEND, "interest_received": CashFlowKind.INTEREST}
COSTS = ("fees_paid", "slippage_paid", *_FLOW_COSTS)


def trade_metrics(fills: NDArray[Any], round_trips: NDArray[Any]) -> Figures:
    """Counts, and what round trips brought after fees. Arrays of FILL, ROUND_TRIP.

    `expectancy` is the result of all round trips over the value of their entries: a rule that rebalances has many small ones,
    which must not outweigh the large. `avg_mae` and `avg_mfe` are the worst losses and best gains seen while they were held,
    as shares of that value too (None where no bars were given).
    """
    pnl = round_trips["pnl"]
    count = len(pnl)
    wins, losses = pnl[pnl > 0], pnl[pnl < 0]
    held = round_trips["exit_time"] - round_trips["entry_time"]
    value = round_trips["quantity"] * round_trips["entry_price"]

    def share(amounts: NDArray[np.float64]) -> float | None:
        return _sum(amounts) / _sum(value) if count else None

    return finite(
        {
            "fills": len(fills),
            "traded_value": _traded(fills),
            "round_trips": count,
            "win_rate": len(wins) / count if count else None,
            "profit_factor": _ratio(_sum(wins), -_sum(losses)),
            "payoff_ratio": _ratio(_mean(wins), -(_mean(losses) or 0.0)),
            "expectancy": share(pnl),
            "avg_trade": _mean(pnl),
            "avg_win": _mean(wins),
            "avg_loss": _mean(losses),
            "best_trade": float(pnl.max()) if count else None,
            "worst_trade": float(pnl.min()) if count else None,
            "longest_win_streak": _streak(pnl > 0),
            "longest_loss_streak": _streak(pnl < 0),
            "avg_holding_ns": int(held.mean()) if count else None,
            "median_holding_ns": int(np.median(held)) if count else None,
            "longest_holding_ns": int(held.max()) if count else None,
            "avg_mae": share(round_trips["mae"]),
            "avg_mfe": share(round_trips["mfe"]),
        }
    )


def cost_metrics(fills: NDArray[Any], flows: NDArray[Any]) -> Figures:
    """What was paid, by cause, and what was received besides trades: FILL and CASH_FLOW rows.

    `costs` is their sum without what was received; `cost_bps` is it over the value traded, in basis points. Slippage is
    part of the fills' prices already. Funding and borrowing may be negative: received on balance.
    """
    figures: Figures = {"fees_paid": _sum(fills["fee"]), "slippage_paid": _sum(fills["slippage"])}
    for name, kind in _FLOW_COSTS.items():
        figures[name] = 0.0 - math.fsum(flows["amount"][flows["kind"] == kind])
    costs, traded = math.fsum(figures[name] or 0.0 for name in COSTS), _traded(fills)
    figures |= {"costs": costs, "cost_bps": costs / traded * 1e4 if traded > 0 else None}
    for name, kind in _FLOW_INCOME.items():
        figures[name] = math.fsum(flows["amount"][flows["kind"] == kind])
    return finite(figures)


def _traded(fills: NDArray[Any]) -> float:
    with np.errstate(over="ignore"):
        return _sum(fills["quantity"] * fills["price"])


def _sum(values: NDArray[np.float64]) -> float:
    """Rounded once; NaN where it is beyond what a float holds."""
    try:
        return math.fsum(values)
    except (OverflowError, ValueError):
        return math.nan


def _mean(values: NDArray[np.float64]) -> float | None:
    return _sum(values) / len(values) if len(values) else None


def _ratio(over: float | None, under: float) -> float | None:
    return None if over is None or under <= 0 else over / under


def _streak(hits: NDArray[np.bool_]) -> int:
    """The longest unbroken run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], hits, [False])).astype(np.int8)))
    return int((edges[1::2] - edges[::2]).max()) if len(edges) else 0
