"""The live status in the terminal: the page's own view, in a few lines."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from quantlytic.model.run import Run

if TYPE_CHECKING:
    from rich.table import Table

SIGNALS_SHOWN = 3


class Status:
    """Renders the state that `state()` gives: as one line for a log, as a table for a terminal."""

    def __init__(self, state: Callable[[], dict[str, Any]], run: Run) -> None:
        self._state, self._run = state, run

    def line(self) -> str:
        """Feed, lag, bars, equity, positions and counts in one line."""
        state = self._state()
        feed, run = state["feed"], state["run"] or {}
        counts = run.get("counts") or {}
        held = ", ".join(_position(row) for row in run.get("positions", []) if row["quantity"]) or "flat"
        return (
            f"{datetime.now(UTC):%H:%M:%S}Z  {feed['state']}  {_rates(feed)}  lag {_ms(feed['lag_p50_ms'])}  "
            f"bars {counts.get('bars', 0)}  signals {counts.get('signals', 0)}  fills {counts.get('fills', 0)}  "
            f"equity {_money(run.get('equity'))}  {held}"
        )

    def table(self) -> Table:
        """The same as a small table, with the last signals and what is wrong."""
        from rich.table import Table

        state = self._state()
        feed, run = state["feed"], state["run"] or {}
        counts = run.get("counts") or {}
        table = Table.grid(padding=(0, 2))
        colour = {"live": "green", "stale": "red"}.get(feed["state"], "yellow")
        table.add_row("feed", f"[{colour}]{feed['state']}[/]", _rates(feed), f"lag {_ms(feed['lag_p50_ms'])} p50, "
                      f"{_ms(feed['lag_p99_ms'])} p99")  # fmt: skip
        table.add_row(self._run.mode, f"{self._run.strategy}", f"equity {_money(run.get('equity'))}",
                      "bars {bars}  orders {orders}  fills {fills}".format(**counts) if counts else "")  # fmt: skip
        for row in run.get("positions", []):
            table.add_row("position", row["instrument"], _position(row), f"open P&L {_money(row['unrealised'])}")
        for row in run.get("signals", [])[-SIGNALS_SHOWN:]:
            time = datetime.fromtimestamp(row["time_ms"] / 1000, UTC)
            table.add_row("signal", row["instrument"], row["side"], f"at {_money(row['price'])}, {time:%H:%M:%S}Z")
        for warning in state["warnings"]:
            table.add_row("[yellow]warning[/]", warning)
        return table


def _rates(feed: dict[str, Any]) -> str:
    rates = feed["rates"]
    return f"{rates['trades']:.0f} trades/s, {rates['quotes']:.0f} quotes/s, {rates['book']:.0f} book/s"


def _position(row: dict[str, Any]) -> str:
    return f"{row['quantity']:.6g} {row['instrument'].partition(':')[2]}"


def _money(value: float | None) -> str:
    return "-" if value is None else f"{value:,.2f}"


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} ms"
