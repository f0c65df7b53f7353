"""What the documentation says is tried out."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import quantlytic as ql
from quantlytic.app.cli import COMMANDS
from quantlytic.app.config import Settings
from quantlytic.model.instrument import Instrument

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
DOCS = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])


def test_the_readme_strategy_is_the_built_in_one(tmp_path: Path) -> None:
    """The class in the README runs from a file, and does what `sma-cross` does."""
    from quantlytic.strategies.catalogue import find

    block = re.search(r"```python\n(from quantlytic import Strategy.*?)```", README, re.S)
    assert block
    path = tmp_path / "my_strategy.py"
    path.write_text(block[1])
    closes = 100 * np.exp(np.cumsum(np.random.default_rng(3).normal(0, 0.01, 2_000)))
    times = np.arange(2_000) * 60_000_000_000
    bars = ql.Bars.of(
        Instrument("file:X"), open_time=times, close_time=times + 60_000_000_000,
        open=closes, high=closes, low=closes, close=closes, volume=np.ones(2_000),
    )  # fmt: skip
    mine = ql.backtest(find(f"{path}:SmaCross")(fast=5, slow=20), bars, cash=1e5)
    builtin = ql.backtest(find("sma-cross")(fast=5, slow=20), bars, cash=1e5)
    assert len(mine.fills) > 10
    assert mine.digest == builtin.digest


@pytest.mark.parametrize("path", DOCS, ids=lambda p: p.name)
def test_commands_and_targets_in_the_docs_exist(path: Path) -> None:
    text = path.read_text()
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.M))
    for target in re.findall(
        r"\bmake ([a-z][a-z-]+)", "\n".join(re.findall(r"```.*?```|`[^`]+`|^    .*$", text, re.S | re.M))
    ):
        assert target in targets, f"{path.name} speaks of make {target}"
    for command in re.findall(r"`(?:\.venv/bin/)?quantlytic ([a-z]+)", text):
        assert command in COMMANDS, f"{path.name} speaks of quantlytic {command}"


@pytest.mark.parametrize("path", DOCS, ids=lambda p: p.name)
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", path.read_text()):
        if "://" not in target:
            assert (path.parent / target).exists(), f"{path.name} links to {target}"


def test_every_setting_is_documented() -> None:
    text = (ROOT / "docs" / "settings.md").read_text()
    for name, field in Settings.model_fields.items():
        section = field.annotation
        for inner in getattr(section, "model_fields", {}):
            variable = f"QUANTLYTIC_{name}__{inner}".upper()
            assert variable in text, f"docs/settings.md does not speak of {variable}"


def test_the_rooms_of_the_architecture_exist() -> None:
    text = (ROOT / "docs" / "ARCHITECTURE.md").read_text()
    for room in re.findall(r"^\| `(\w+)/` \|", text, re.M):
        assert (ROOT / "src" / "quantlytic" / room).is_dir(), room


@pytest.mark.parametrize("name", ["Trend", "Breakout"])
def test_the_strategies_of_the_guide_run(name: str, tmp_path: Path) -> None:
    from quantlytic.strategies.catalogue import find

    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "strategy.md").read_text(), re.S)
    path = tmp_path / "guide.py"
    path.write_text(next(block for block in blocks if f"class {name}(" in block))
    bars = ql.demo_bars(3_000)
    result = ql.backtest(find(f"{path}:{name}"), bars, cash=1e6, allow_gaps=True)
    assert len(result.fills) > 10


def test_the_guide_lists_the_broker_and_the_handlers() -> None:
    from quantlytic.engine.broker import Broker
    from quantlytic.engine.strategy import HANDLERS

    text = (ROOT / "docs" / "strategy.md").read_text()
    for name in [*HANDLERS, *(name for name in dir(Broker) if not name.startswith("_"))]:
        assert re.search(rf"[`(.]{name}\b", text), f"docs/strategy.md does not speak of {name}"
