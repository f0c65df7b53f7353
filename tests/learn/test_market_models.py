"""On recorded markets, five of them, pooled and each: every kind trains, is tuned, passes the gate and is served."""

from __future__ import annotations

from pathlib import Path

import pytest

from quantlytic.learn.registry.registry import Registry
from quantlytic.learn.registry.runtime import ServedModel
from quantlytic.learn.training.spec import parse_spec
from quantlytic.learn.training.train import train

FEATURES = "".join(
    f'[[features]]\nname = "{name}"\nkind = "{kind}"\nparams = {{{params}}}\n'
    for name, kind, params in (
        ("return_1", "return", "bars = 1"),
        ("return_24", "return", "bars = 24"),
        ("rsi", "rsi", "period = 14"),
        ("hour_sin", "hour_sin", ""),
        ("hour_cos", "hour_cos", ""),
    )
)
SEARCHED = {
    "logistic": ("", "c = {low = 0.001, high = 10.0, log = true}"),
    "knn": ("rows = 5000", "neighbours = {low = 50, high = 400}"),
    "lightgbm": ("rounds = 30", "num_leaves = {low = 4, high = 31, log = true}"),
    "hist-gradient-boosting": ("rounds = 30", "max_leaf_nodes = {low = 4, high = 31, log = true}"),
    "random-forest": ("trees = 20", "max_depth = {low = 2, high = 8}"),
    "mlp": ("epochs = 3", "hidden = {choices = [8, 16]}"),
}


def spec_of(file: Path, kind: str, start: str, pooled: bool) -> str:
    params, axis = SEARCHED[kind]
    return (
        f'name = "hour"\n[data]\nsource = "{file}"\nbar_size = "1h"\nstart = "{start}"\ngaps = "restart"\n'
        f"pooled = {str(pooled).lower()}\n{FEATURES}[label]\nhorizon = 4\n[split]\nfolds = 2\n"
        f'[model]\nkind = "{kind}"\nparams = {{{params}}}\n[search]\ntrials = 2\n[search.params]\n{axis}\n'
    )


def check(market_data: Path, home: Path, kind: str, start: str, pooled: bool) -> None:
    file = market_data / "binance_spot_1h_staticklines.parquet"
    registry = Registry(home / "lake")
    spec = parse_spec(spec_of(file, kind, start, pooled))
    found = list(train(spec, folder=file.parent, home=home, registry=registry, now_ns=1))
    assert len(found) == (1 if pooled else 5)
    for one in found:
        assert one.gate.worst <= 1e-6
        ServedModel(registry.get(one.manifest.model_id)).golden()
        assert 0.5 < (one.manifest.scores["log_loss"] or 0) < 0.9  # little data: how good is not the question
        registry.promote(one.manifest.model_id, f"{one.manifest.line}/champion", "first", "test", 1)
    assert len(registry.aliases()) == len(found)


def test_lightgbm_on_a_month(market_data: Path, tmp_path: Path) -> None:
    check(market_data, tmp_path, "lightgbm", "2026-04-01", pooled=True)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("pooled", [True, False])
@pytest.mark.parametrize("kind", SEARCHED)
def test_every_kind_on_four_months(market_data: Path, tmp_path: Path, kind: str, pooled: bool) -> None:
    check(market_data, tmp_path, kind, "2026-01-01", pooled)
