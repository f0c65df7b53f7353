"""The example specs, through the command line: each trains, is tuned, passes the gate, and is promoted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.app.conftest import Command, answer

from quantlytic.engine.data.bars import Bars
from quantlytic.learn.registry.registry import Registry
from quantlytic.learn.registry.runtime import ServedModel
from quantlytic.research.data.history import load_bars
from quantlytic.store.barwriter import write_bars

SPECS = Path(__file__).parents[2] / "examples" / "specs"
NAMES = ("logistic", "knn", "lightgbm", "mlp", "keras", "river")
QUICK = [("logistic", True), ("knn", True), ("lightgbm", False), ("mlp", True), ("river", False)]
SMALLER = {
    "rows = 5000": "rows = 1000",
    "rounds = 100": "rounds = 10",
    "epochs = 5": "epochs = 2",
    "epochs = 4": "epochs = 2",
}


def test_there_is_one_of_each() -> None:
    assert sorted(path.stem for path in SPECS.glob("*.toml")) == sorted(NAMES)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("name", "pooled"),
    [
        pytest.param(name, pooled, marks=[pytest.mark.slow] * ((name, pooled) not in QUICK))
        for name in NAMES
        for pooled in (True, False)
    ],
)
def test_trains_passes_the_gate_and_is_promoted(
    quantlytic: Command, market_data: Path, tmp_path: Path, name: str, pooled: bool
) -> None:
    """On five weeks of two markets, two trials of two folds."""
    text = (SPECS / f"{name}.toml").read_text()
    for old, new in SMALLER.items():
        text = text.replace(old, new)
    trials = next(line for line in text.splitlines() if line.startswith("trials = "))
    text = text.replace(trials, "trials = 2").replace("folds = 4", "folds = 2")
    assert "pooled = true " in text
    text = text.replace("pooled = true ", f"pooled = {str(pooled).lower()} ").replace("high = 800", "high = 100")
    (tmp_path / "spec.toml").write_text(text)
    file = market_data / "binance_spot_1h_staticklines.parquet"
    span = ("1h", "2026-03-25", "2026-05-01")
    bars = Bars.merge([load_bars(file, symbol, *span) for symbol in ("BTCUSDT", "DOGEUSDT")])
    write_bars(tmp_path / "bars.parquet", bars.array, bars.instruments)
    code, out, told = quantlytic("train", "spec.toml", "--json")
    assert code == 0, told
    found = [json.loads(line) for line in out.splitlines()]
    assert len(found) == (1 if pooled else 2)
    registry = Registry(tmp_path / "home" / "lake")
    for one in found:
        assert (one["kept"], one["trials"]) == (True, 2)
        assert one["gate"]["worst"] <= 1e-6
        assert one["gate"]["rows"] >= 100_000
        alias = f"{one['line']}/champion"
        answer(quantlytic("models", "promote", one["model_id"], alias, "--reason", "the first", "--json"))
        ServedModel(registry.get(registry.alias(alias) or "")).golden()
        assert "</html>" in Path(one["report"]).read_text()
    assert quantlytic("models", "verify", "--json")[0] == 0
