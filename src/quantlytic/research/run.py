"""One backtest: a strategy over bars, and everything to know about it."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlytic.engine.bars import Bars
from quantlytic.engine.fees import Fees
from quantlytic.engine.session import Session
from quantlytic.engine.strategy import Strategy
from quantlytic.model.errors import InputError
from quantlytic.model.order import OrderStatus, Reason
from quantlytic.model.time import iso
from quantlytic.research.metrics import YEAR_NS, equity_metrics, trade_metrics
from quantlytic.research.positions import exposure
from quantlytic.research.roundtrips import round_trips
from quantlytic.store.barfile import count_holes
from quantlytic.strategies.catalogue import source_hash

_HASHED_ROWS = 4096  # part of what the data hash is over: columns are hashed by chunks of rows


def backtest(
    strategy: Strategy | type[Strategy],
    bars: Bars,
    cash: float = 1_000_000.0,
    fees: Fees = Fees(),  # noqa: B008 - immutable
    *,
    compiled: bool = True,
    allow_short: bool = False,
    name: str | None = None,
) -> Result:
    """Run a strategy over bars, on one account that starts with `cash` in the quote currency and holds nothing.

    It decides at a bar's close, on equity marked there; market orders fill at the next bar's open, limits by its high
    and low. `compiled=False` runs the same class in plain Python, for a debugger, to the same bytes. `name` is what the
    run calls the strategy, its class's name unless given.

    Raises InputError for no bars or no cash, StrategyError when the strategy does not compile or raises.
    """
    if not isinstance(bars, Bars):
        raise InputError("bars are what load_bars returns, or Bars.of(...) makes")
    if not len(bars):
        raise InputError(f"{bars.label or 'bars'}: no bars to run over")
    begun = time.perf_counter()
    session = Session(strategy, bars.instruments, cash, fees, compiled=compiled, allow_short=allow_short)
    session.run(bars)
    elapsed_s = time.perf_counter() - begun
    return Result(
        strategy=session.strategy,
        name=name or type(session.strategy).__name__,
        bars=bars,
        cash=float(cash),
        fees=fees,
        compiled=compiled,
        allow_short=allow_short,
        equity=session.equity,
        fills=session.fills,
        digest=session.digest,
        elapsed_s=elapsed_s,
        rejections=_rejections(session),
    )


def _rejections(session: Session) -> dict[str, int]:
    """How many orders the broker refused, by reason, most frequent first."""
    updates = session.updates
    reasons = updates["reason"][updates["status"] == OrderStatus.REJECTED].tolist()
    return {Reason(reason).text: count for reason, count in Counter(reasons).most_common()}


@dataclass(frozen=True)
class Result:
    """What a backtest did: `equity` at the close of each bar (f8[bars]), `fills` (dtype FILL), and what follows.

    `digest` is the SHA-256 over fills and equity: equal digests, equal runs. `run_id` is made from what went in
    (strategy, its source, parameters, data, cash, fees), so the same question has the same id.
    """

    strategy: Strategy
    name: str
    bars: Bars
    cash: float
    fees: Fees
    compiled: bool
    allow_short: bool
    equity: NDArray[np.float64]
    fills: NDArray[Any]
    digest: str
    elapsed_s: float
    rejections: dict[str, int] = field(default_factory=dict)

    @cached_property
    def round_trips(self) -> NDArray[Any]:
        """Entries with their exits, first in, first out: rows of dtype ROUND_TRIP, by exit."""
        return round_trips(self.fills)

    @cached_property
    def holes(self) -> int:
        """Bars that are missing in the data."""
        return count_holes(self.bars.array)

    @cached_property
    def metrics(self) -> dict[str, float | int | None]:
        """Every figure by name; None where it is undefined. See docs/backtest.md for what each means."""
        times = self.bars.array["close_time"]
        figures = equity_metrics(times, self.equity, self.cash) | trade_metrics(self.fills, self.round_trips)
        years = (int(times[-1]) - int(times[0])) / YEAR_NS
        mean_equity = float(self.equity.mean())
        traded = figures["traded_value"]
        assert traded is not None
        figures["turnover"] = traded / mean_equity / years if mean_equity > 0 and years > 0 else None
        figures["exposure"] = exposure(times, self.fills)
        return figures

    @cached_property
    def code_hash(self) -> str:
        """SHA-256 of the file that defines the strategy ("" for one typed into a shell)."""
        return source_hash(type(self.strategy))

    @cached_property
    def data_hash(self) -> str:
        """SHA-256 over the instruments' ids and the bars' columns."""
        digest = hashlib.sha256("\n".join(one.id for one in self.bars.instruments).encode())
        array = self.bars.array
        for start in range(0, len(array), _HASHED_ROWS):
            chunk = array[start : start + _HASHED_ROWS]
            for column in chunk.dtype.names or ():
                digest.update(np.ascontiguousarray(chunk[column]).data)
        return digest.hexdigest()

    @cached_property
    def run_id(self) -> str:
        """`bt-` and 12 hex digits."""
        parts = [
            self.name, type(self.strategy).__qualname__, self.code_hash, self.strategy.params, self.data_hash,
            self.cash, self.fees.taker_bps, self.fees.maker_bps, self.allow_short,
        ]  # fmt: skip
        return "bt-" + hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]

    @property
    def mode(self) -> str:
        return "compiled" if self.compiled else "debug"

    @property
    def assumptions(self) -> list[str]:
        """What was assumed, in plain sentences."""
        maker = "" if self.fees.maker_bps is None else f" ({self.fees.maker_bps:g} bps for limit orders that rested)"
        short = "Short positions are allowed, fully backed by cash." if self.allow_short else "No short positions."
        return [
            "The strategy decides at a bar's close, on equity marked at that close.",
            "Market orders fill whole at the open of the instrument's next bar.",
            "Limit orders fill when the next bars' high or low reach them, at their price or the open if it is better.",
            f"Every fill costs {self.fees.taker_bps:g} bps of its value{maker}; there is no slippage or market impact.",
            f"One account starts with {self.cash:,.10g} in cash, earns no interest and cannot borrow. {short}",
            "Nothing is rounded unless an instrument states a tick or lot size.",
            "What is still held at the end is valued at the last close, not sold.",
        ]

    def summary(self) -> dict[str, Any]:
        """The run in one flat record, ready for JSON: fixed names, None where a figure is undefined."""
        array, figures = self.bars.array, self.metrics
        return {
            "run_id": self.run_id,
            "strategy": self.name,
            "params": self.strategy.params,
            "bars": len(array),
            "start": iso(int(array["open_time"].min())),
            "end": iso(int(array["close_time"][-1])),
            "final_equity": _number(float(self.equity[-1])),
            **{
                name: figures[name]
                for name in ("fills", "round_trips", "fees_paid", "sharpe", "sortino", "max_drawdown")
            },
            "elapsed_s": round(self.elapsed_s, 6),
            "digest": self.digest,
            "mode": self.mode,
            "instruments": [one.id for one in self.bars.instruments],
            "cash": self.cash,
            "fee_bps": self.fees.taker_bps,
            "holes": self.holes,
            "rejected": sum(self.rejections.values()),
            "rejections": self.rejections,
            **{name: value for name, value in figures.items() if name not in _FIXED},
            "versions": versions(),
        }

    def manifest(self) -> dict[str, Any]:
        """What it takes to run it again and to know it is the same: code, data, parameters, assumptions, versions."""
        array = self.bars.array
        return {
            "run_id": self.run_id,
            "strategy": {
                "name": self.name,
                "class": f"{type(self.strategy).__module__}.{type(self.strategy).__qualname__}",
                "code_sha256": self.code_hash,
                "params": self.strategy.params,
            },
            "data": {
                "label": self.bars.label,
                "sha256": self.data_hash,
                "instruments": [one.id for one in self.bars.instruments],
                "bars": len(array),
                "holes": self.holes,
                "start": iso(int(array["open_time"].min())),
                "end": iso(int(array["close_time"][-1])),
            },
            "account": {
                "cash": self.cash,
                "taker_bps": self.fees.taker_bps,
                "maker_bps": self.fees.maker_bps,
                "allow_short": self.allow_short,
            },
            "assumptions": self.assumptions,
            "digest": self.digest,
            "versions": versions(),
        }

    def plot(self, path: str | os.PathLike[str] | None = None, *, show: bool = False) -> Path:
        """Write the report, one HTML file that needs no network (`RUN_ID.html` unless told), and return its path.

        `show=True` opens it in the browser.
        """
        from quantlytic.research.report import write_report  # its template engine takes a while to import

        written = write_report(self, Path(path) if path is not None else Path(f"{self.run_id}.html"))
        if show:
            import webbrowser

            webbrowser.open(written.resolve().as_uri())
        return written


_FIXED = {"fills", "round_trips", "fees_paid", "sharpe", "sortino", "max_drawdown"}


def versions() -> dict[str, str]:
    """Of everything that a result could depend on."""
    import platform
    from importlib.metadata import version

    return {"python": platform.python_version()} | {name: version(name) for name in ("quantlytic", "numpy", "numba")}


def _number(value: float) -> float | None:
    return value if np.isfinite(value) else None
