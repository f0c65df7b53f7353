"""Parts of a report that are tables and small drawings, made ready for its template."""

from __future__ import annotations

from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from quantlytic.engine.data.bars import Bars
from quantlytic.research import text
from quantlytic.research.data.unadjusted import told
from quantlytic.research.figures.metrics import Figures
from quantlytic.research.figures.trades import COSTS
from quantlytic.research.honesty.verdict import Verdict
from quantlytic.research.runs.outcome import Outcome

_CAUSES = {
    "fees_paid": "Fees", "slippage_paid": "Slippage", "funding_paid": "Funding", "borrow_paid": "Borrowing",
    "liquidation_fees": "Liquidation", "dividends_received": "Dividends received", "interest_received": "Interest received",
}  # fmt: skip
_HOLES_SHOWN = 12
_STEPS_SHOWN = 3
_BINS = 41
_DOTS = 600
_REASONS = {
    "insufficient-cash": "more than the cash there was",
    "short-not-allowed": "a sale of more than was held",
    "insufficient-collateral": "a short without the cash to back it",
    "min-notional": "below the instrument's smallest order",
    "too-many-open-orders": "too many orders open at once",
    "not-filled-at-once": "could not be filled at once",
    "invalid-quantity": "a quantity that is zero, negative or no number",
    "invalid-price": "a price that is zero, negative or no number",
    "invalid-order": "an order that contradicts itself",
}


def evidence(verdict: Verdict, figures: Figures, counted: bool) -> str:
    """What the verdict rests on, in a sentence or two. `counted`: the trial ledger was asked."""
    told, of = verdict.figures, verdict.figures.get
    trials = int(told.get("trials") or 1)
    best, needed = of("expected_max_sharpe"), of("min_track_record_years")
    if not counted:
        parts = ["How much else was tried on this data is not known: the run was not entered in the trial ledger."]
    elif trials == 1:
        parts = ["It is the only trial on this data on record."]
    else:
        parts = [f"{trials:,} different trials on this data are on record."]
        if best:
            parts.append(
                f"The best of as many without any skill would show a Sharpe of about {text.ratio(best)}; "
                f"this one has {text.ratio(figures['sharpe'])}."
            )
    if needed is not None and verdict.label not in ("loses", "likely real") and needed < 1000:
        parts.append(f"A Sharpe like this takes {needed:,.1f} years to be told from luck.")
    return " ".join(parts)


def costs(figures: Figures) -> list[dict[str, str]]:
    """The costs by cause, and what was received; each with the length of its bar in percent of the largest."""
    rows = [(name, figures.get(name) or 0.0) for name in _CAUSES]
    largest = max((abs(value) for _, value in rows), default=0.0)
    traded, total = figures["traded_value"] or 0.0, figures["costs"] or 0.0
    return [
        {
            "name": _CAUSES[name],
            "value": text.money(value),
            "bps": text.ratio(value / traded * 1e4) if traded else text.NONE,
            "share": text.percent(value / total) if name in COSTS and total > 0 else text.NONE,
            "width": f"{abs(value) / largest * 100:.1f}" if largest else "0",
            "tone": "up" if name not in COSTS or value < 0 else "down",
        }
        for name, value in rows
        if value or name in ("fees_paid", "slippage_paid")
    ]


def against(figures: Figures) -> list[tuple[str, str, str]]:
    """(figure, the run's, the benchmark's)."""
    f = figures
    return [
        ("Total return", text.percent(f["total_return"], sign=True), text.percent(f["benchmark_return"], sign=True)),
        ("Return a year", text.percent(f["cagr"], sign=True), text.percent(f["benchmark_cagr"], sign=True)),
        ("Sharpe", text.ratio(f["sharpe"]), text.ratio(f["benchmark_sharpe"])),
        ("Max drawdown", text.percent(f["max_drawdown"]), text.percent(f["benchmark_max_drawdown"])),
    ]


def more_figures(figures: Figures, reasons: dict[str, str]) -> list[dict[str, Any]]:
    """The rest of the figures, in groups; what is undefined for want of data says why."""
    groups = {
        "Against the benchmark": ("alpha", "beta", "correlation", "information_ratio", "tracking_error"),
        "Tails, of daily returns": ("var_95", "cvar_95", "tail_ratio", "skew", "kurtosis", "best_day", "worst_day"),
        "Pain": ("ulcer_index", "time_in_drawdown", "longest_drawdown_ns", "omega", "calmar"),
        "Trades": (
            "expectancy", "payoff_ratio", "avg_win", "avg_loss", "best_trade", "worst_trade", "longest_win_streak",
            "longest_loss_streak", "avg_holding_ns", "longest_holding_ns", "avg_mae", "avg_mfe",
        ),
        "Size": (
            "traded_value", "turnover", "capacity", "participation_median", "participation_95", "beyond_volume",
        ),
    }  # fmt: skip
    return [
        {
            "name": group,
            "rows": [(_NAMES[name], text.figure(name, figures[name]), reasons.get(name, "")) for name in names],
        }
        for group, names in groups.items()
    ]


_NAMES = {
    "alpha": "Alpha, a year", "beta": "Beta", "correlation": "Correlation", "information_ratio": "Information ratio",
    "tracking_error": "Tracking error", "var_95": "Value at risk, 95 %", "cvar_95": "Mean beyond it (CVaR)",
    "tail_ratio": "Tail ratio", "skew": "Skewness", "kurtosis": "Excess kurtosis", "best_day": "Best day",
    "worst_day": "Worst day", "ulcer_index": "Ulcer index", "time_in_drawdown": "Time in drawdown",
    "longest_drawdown_ns": "Longest drawdown", "omega": "Omega", "calmar": "Calmar", "expectancy": "Expectancy a trade",
    "payoff_ratio": "Payoff ratio", "avg_win": "Average win", "avg_loss": "Average loss", "best_trade": "Best trade",
    "worst_trade": "Worst trade", "longest_win_streak": "Wins in a row", "longest_loss_streak": "Losses in a row",
    "avg_holding_ns": "Average holding", "longest_holding_ns": "Longest holding", "avg_mae": "Average adverse excursion",
    "avg_mfe": "Average favourable excursion", "traded_value": "Value traded", "turnover": "Turnover, times equity a year",
    "capacity": "Capacity (estimate)", "participation_median": "Fill over its bar's volume, median",
    "participation_95": "Fill over its bar's volume, 95 %", "beyond_volume": "Value in fills beyond the bar's volume",
}  # fmt: skip


def rejections(counts: dict[str, int]) -> list[tuple[str, str, str]]:
    """(reason, what it means, how many orders)."""
    return [(name.replace("-", " "), _REASONS.get(name, ""), f"{count:,}") for name, count in counts.items()]


def unadjusted(rows: NDArray[Any], bars: Bars) -> str:
    """What looks like splits in the prices, in a sentence; "" for none."""
    if not len(rows):
        return ""
    shown = "; ".join(told(row, bars) for row in rows[:_STEPS_SHOWN])
    more = f"; and {len(rows) - _STEPS_SHOWN:,} more" if len(rows) > _STEPS_SHOWN else ""
    return (
        f"Prices step as at a split, and no corporate actions were given: {shown}{more}. "
        "If these are splits, gains and losses there are not real."
    )


def holes(rows: NDArray[Any], bars: Bars) -> dict[str, Any]:
    """What is missing in the data: in a sentence, and the longest holes."""
    count = int(rows["missing"].sum())
    what = "1 bar is" if count == 1 else f"{count:,} bars are"
    longest = rows[np.argsort(-rows["missing"], kind="stable")[:_HOLES_SHOWN]]
    return {
        "count": count,
        "sentence": f"{what} missing in the data. Holes are never filled: nothing is decided and nothing fills in them.",
        "rows": [
            {
                "instrument": bars.instruments[int(row["instrument"])].symbol
                or bars.instruments[int(row["instrument"])].id,
                "start": text.minute(int(row["start"])),
                "end": text.minute(int(row["end"])),
                "missing": f"{int(row['missing']):,}",
            }
            for row in longest
        ],
        "more": max(len(rows) - _HOLES_SHOWN, 0),
    }


# ---- drawings: SVG of fixed size, in the page's colours


def trade_histogram(result: Outcome) -> Markup | None:
    """How many round trips returned how much; None for fewer than ten."""
    trips = result.round_trips
    if len(trips) < 10:
        return None
    returns = trips["pnl"] / (trips["quantity"] * trips["entry_price"]) * 100
    reach = float(np.percentile(np.abs(returns), 98)) or 1.0
    edges = np.linspace(-reach, reach, _BINS + 1)
    counts, _ = np.histogram(np.clip(returns, -reach, reach), edges)
    tall, step = counts.max(), 400 / _BINS
    bars = Markup("").join(
        Markup('<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>').format(
            "up" if edges[at] + edges[at + 1] > 0 else "down", at * step + 0.5, 150 - count / tall * 140, step - 1,
            count / tall * 140,
        )
        for at, count in enumerate(counts.tolist())
        if count
    )  # fmt: skip
    label = f"Histogram of the returns of {len(returns):,} round trips, from {-reach:.2f} to {reach:.2f} percent"
    return _drawing(label, bars, f"−{reach:.2g} %", f"+{reach:.2g} %")


def excursions(result: Outcome) -> Markup | None:
    """Each round trip by its worst loss while held (right: deeper) and what it ended with; None for fewer than ten."""
    trips = result.round_trips
    if len(trips) < 10 or not np.isfinite(trips["mae"]).all():
        return None
    if len(trips) > _DOTS:
        trips = trips[np.linspace(0, len(trips) - 1, _DOTS).astype(int)]
    value = trips["quantity"] * trips["entry_price"]
    worst, ended = -trips["mae"] / value * 100, trips["pnl"] / value * 100
    wide, tall = (float(np.percentile(np.abs(one), 98)) or 1.0 for one in (worst, ended))
    x = np.clip(worst / wide, 0, 1) * 396 + 2
    y = 80 - np.clip(ended / tall, -1, 1) * 76
    dots = Markup(
        "".join(
            f'<circle class="{"up" if gain > 0 else "down"}" cx="{left:.1f}" cy="{top:.1f}" r="2.4"/>'
            for left, top, gain in zip(x.tolist(), y.tolist(), ended.tolist(), strict=True)
        )
    )
    label = f"{len(trips):,} round trips by their worst open loss, to {wide:.2f} percent, and their result, to {tall:.2f} percent"
    return _drawing(label, dots, "0 %", f"{wide:.2g} % open loss", middle=80)


def _drawing(label: str, shapes: Markup, left: str, right: str, middle: int | None = None) -> Markup:
    base = 150 if middle is None else middle
    return Markup(
        '<svg class="drawing" viewBox="0 0 400 178" role="img" aria-label="{}"><line x1="0" x2="400" y1="{}" y2="{}"/>{}'
        '<text x="0" y="174">{}</text><text x="400" y="174" text-anchor="end">{}</text></svg>'
    ).format(label, base, base, shapes, left, right)
