"""The live status in the terminal: the page's own view, in a few lines."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from quantlytic.app.refusals import refusals
from quantlytic.model.run import Run

if TYPE_CHECKING:
    from rich.constrain import Constrain

SIGNALS_SHOWN = 3
MARGIN = 3  # columns kept free: a terminal echoes ^C there, and a line broken by that would not be wiped away


class Status:
    """Renders the state that `state()` gives: as one line for a log, as a table for a terminal."""

    def __init__(self, state: Callable[[], dict[str, Any]], run: Run) -> None:
        self._state, self._run = state, run
        self._units = {instrument.id: instrument.base or instrument.symbol for instrument in run.instruments}
        self._each = " each" if len(run.instruments) > 1 else ""  # bars are counted by instrument

    def line(self) -> str:
        """Feed, lag, bars, equity, positions and counts in one line."""
        state = self._state()
        feed, run = state["feed"], state["run"] or {}
        counts = run.get("counts") or {}
        refused = _refused(run)
        held = ", ".join(self._held(row) for row in run.get("positions", []) if row["quantity"]) or "flat"
        return (
            f"{datetime.now(UTC):%H:%M:%S}Z  {feed['state']}  {_rates(feed)}  lag {_ms(feed['lag_p50_ms'])}  "
            f"bars {counts.get('bars', 0)}{self._each}  signals {counts.get('signals', 0)}  fills {counts.get('fills', 0)}  "
            f"{refused}{'  ' if refused else ''}equity {_money(run.get('equity'))}  {held}"
        )

    def table(self, width: int) -> Constrain:
        """The same as a small table in a terminal of so many columns, with the last signals and what is wrong."""
        from rich.console import Group
        from rich.constrain import Constrain
        from rich.markup import escape
        from rich.table import Table

        state = self._state()
        feed, run = state["feed"], state["run"] or {}
        counts = run.get("counts") or {}
        table = Table.grid(padding=(0, 2))
        colour = {"live": "green", "stale": "red"}.get(feed["state"], "yellow")
        table.add_row("feed", f"[{colour}]{feed['state']}[/]", _rates(feed), f"lag {_ms(feed['lag_p50_ms'])}")  # fmt: skip
        done = f"equity {_money(run.get('equity'))}, {counts.get('fills', 0)} fills"
        table.add_row(self._run.mode, self._run.strategy, done, f"bars {counts.get('bars', 0)}{self._each}")
        for row in run.get("positions", []):
            table.add_row("position", _symbol(row), self._held(row), f"open P&L {_money(row['unrealised'])}")
        for row in run.get("signals", [])[-SIGNALS_SHOWN:]:
            time = datetime.fromtimestamp(row["time_ms"] / 1000, UTC)
            table.add_row("signal", _symbol(row), row["side"], f"at {_money(row['price'])}, {time:%H:%M:%S}Z")
        said = [f"[yellow]orders[/]    {escape(refused)}"] if (refused := _refused(run)) else []
        said += [f"[yellow]warning[/]   {escape(warning)}" for warning in state["warnings"]]
        return Constrain(Group(table, *said), width - MARGIN)

    def _held(self, row: dict[str, Any]) -> str:
        return f"{row['quantity']:.6g} {self._units.get(row['instrument'], '')}" if row["quantity"] else "flat"


def _refused(run: dict[str, Any]) -> str:
    reasons = [row["reason"] for row in run.get("orders", []) if row.get("status") == "REJECTED"]
    return refusals((run.get("counts") or {}).get("rejected", 0), reasons)


def _rates(feed: dict[str, Any]) -> str:
    rates = feed["rates"]
    return f"{rates['trades']:.0f} trades {rates['quotes']:.0f} quotes {rates['book']:.0f} book/s"


def _symbol(row: dict[str, Any]) -> str:
    return str(row["instrument"].partition(":")[2])


def _money(value: float | None) -> str:
    return "-" if value is None else f"{value:,.2f}"


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} ms"
