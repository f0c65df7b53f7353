"""Writes the tables of docs/strategies.md: `python -m tests.strategies.strategy_table`."""

from __future__ import annotations

from pathlib import Path

from quantlytic.strategies.catalogue import Entry, entries

PAGE = Path(__file__).resolve().parents[2] / "docs" / "strategies.md"
MARK = "<!-- What follows is made by: python -m tests.strategies.strategy_table -->\n"
FAMILIES = {
    "yardstick": "The yardstick",
    "trend": "Trend",
    "breakout": "Breakout",
    "reversion": "Reversion",
    "pattern": "Patterns",
    "volume": "Volume",
    "risk": "Risk",
    "schedule": "Schedules",
    "portfolio": "Portfolios",
    "ticks": "Quotes and books",
    "forecast": "Forecasts",
}


def tables() -> str:
    found: dict[str, list[str]] = {family: [] for family in FAMILIES}
    for entry in entries():
        found[entry.family].append(row(entry))
    head = "| name | idea | parameters: default (range) | source |\n|---|---|---|---|\n"
    return "\n".join(f"## {FAMILIES[family]}\n\n{head}{''.join(rows)}" for family, rows in found.items() if rows)


def row(entry: Entry) -> str:
    cells = [f"`{entry.name}`", entry.idea, ", ".join(params(entry)), entry.source.strip(" .")]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def params(entry: Entry) -> list[str]:
    found = []
    for name, spec in entry.params.items():
        default = str(spec.default).lower()
        ends = "" if spec.low is None or spec.high is None else f" ({spec.low:g} to {spec.high:g})"
        found.append(f"`{name}` {default}{ends}")
    return found


if __name__ == "__main__":
    head, _, _ = PAGE.read_text().partition(MARK)
    PAGE.write_text(head + MARK + "\n" + tables())
