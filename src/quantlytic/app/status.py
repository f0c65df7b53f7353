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
    """Renders the state that `state()` gives: as one line for a log, as a table for a terminal. Several `runs` are counted
    and added up in the line, and have a row each in the table."""

    def __init__(self, state: Callable[[], dict[str, Any]], *runs: Run) -> None:
        self._state, self._runs = state, runs
        every = [instrument for run in runs for instrument in run.instruments]
        self._units = {instrument.id: instrument.base or instrument.symbol for instrument in every}
        self._each = " each" if len(self._units) > 1 else ""  # bars are counted by instrument

    def line(self) -> str:
        """Feed, lag, bars, equity, positions and counts in one line."""
        state = self._state()
        feed, run = state["feed"], self._sum(state)
        counts = run.get("counts") or {}
        refused = _refused(run)
        held = ", ".join(self._held(row) for row in run.get("positions", []) if row["quantity"]) or "flat"
        several = f"{len(self._runs)} runs  " if len(self._runs) > 1 else ""
        return (
            f"{datetime.now(UTC):%H:%M:%S}Z  {feed['state']}  {_rates(feed)}  lag {_ms(feed['lag_p50_ms'])}  {several}"
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
        table = Table.grid(padding=(0, 2))
        colour = {"live": "green", "stale": "red"}.get(feed["state"], "yellow")
        table.add_row("feed", f"[{colour}]{feed['state']}[/]", _rates(feed), f"lag {_ms(feed['lag_p50_ms'])}")  # fmt: skip
        for one in self._runs:
            its = self._of(state, one)
            counts = its.get("counts") or {}
            done = f"equity {_money(its.get('equity'))}, {counts.get('fills', 0)} fills"
            table.add_row(one.mode, one.strategy, done, f"bars {counts.get('bars', 0)}{self._each}")
        for row in self._sum(state).get("positions", []):
            table.add_row("position", _symbol(row), self._held(row), f"open P&L {_money(row['unrealised'])}")
        for row in run.get("signals", [])[-SIGNALS_SHOWN:]:
            time = datetime.fromtimestamp(row["time_ms"] / 1000, UTC)
            table.add_row("signal", _symbol(row), row["side"], f"at {_money(row['price'])}, {time:%H:%M:%S}Z")
        said = [f"[yellow]orders[/]    {escape(refused)}"] if (refused := _refused(run)) else []
        said += [f"[yellow]warning[/]   {escape(warning)}" for warning in state["warnings"]]
        return Constrain(Group(table, *said), width - MARGIN)

    def _of(self, state: dict[str, Any], run: Run) -> dict[str, Any]:
        """What is known of a run; of a single one all that the page shows."""
        found: dict[str, Any] = state["run"] if len(self._runs) == 1 else state.get("totals", {}).get(run.run_id)
        return found or {}

    def _sum(self, state: dict[str, Any]) -> dict[str, Any]:
        """All runs as one: counts, equity and positions added up, bars those of the furthest. Reasons of refusals are those of
        the run that the page shows."""
        found = [self._of(state, run) for run in self._runs]
        if len(found) == 1:
            return found[0]
        counts: dict[str, int] = {}
        positions: dict[str, dict[str, Any]] = {}
        for one in found:
            for name, count in (one.get("counts") or {}).items():
                counts[name] = max(counts.get(name, 0), count) if name == "bars" else counts.get(name, 0) + count
            for row in one.get("positions", []):
                total = positions.setdefault(row["instrument"], row | {"quantity": 0.0, "unrealised": 0.0})
                total["quantity"] += row["quantity"]
                total["unrealised"] += row["unrealised"] or 0.0
        known = [one["equity"] for one in found if one.get("equity") is not None]
        orders = (state["run"] or {}).get("orders", [])
        return {
            "counts": counts, "positions": list(positions.values()), "equity": sum(known) if known else None, "orders": orders,
        }  # fmt: skip

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
