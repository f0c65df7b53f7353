"""One process, two workers of joblib, or a Dask cluster: the same model, to the byte."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.learn.own_models import SOURCE
from tests.learn.test_train import SEARCH, SPEC, trained

from quantlytic.research.data.demo import demo_bars
from quantlytic.store.barwriter import write_bars

KINDS = {
    "lightgbm": ("rounds = 20", "num_leaves = {low = 2, high = 31}"),
    "logistic": ("", "c = {low = 0.001, high = 10.0, log = true}"),
    "mlp": ("epochs = 2", "hidden = {low = 4, high = 16}"),
    "keras": ("epochs = 2", "hidden = {low = 4, high = 16}"),
    "torch": ("epochs = 2", "hidden = {low = 4, high = 16}"),
    "river-logistic": ("", "learning_rate = {low = 0.001, high = 0.1, log = true}"),
    "river-tree": ("grace_period = 50", "tau = {low = 0.05, high = 0.5}"),
    "mine.py:Piped": ("", "C = {low = 0.001, high = 10.0, log = true}"),
}


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0", silence_logs=40
    ) as cluster:
        yield cluster.scheduler_address


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_serially_on_two_workers_and_on_dask(tmp_path: Path, scheduler: str, kind: str) -> None:
    if kind in ("keras", "torch"):
        pytest.importorskip(kind)
    bars = demo_bars(600, seed=3, instruments=2)
    write_bars(tmp_path / "bars.parquet", bars.array, bars.instruments)
    (tmp_path / "mine.py").write_text(SOURCE)
    params, axis = KINDS[kind]
    text = SPEC.replace('kind = "logistic"', f'kind = "{kind}"\nparams = {{{params}}}')
    text += SEARCH.replace("trials = 6", "trials = 4").replace("c = {low = 0.001, high = 10.0, log = true}", axis)
    (serial,) = trained(tmp_path, text, "serial")
    (parallel,) = trained(tmp_path, text, "parallel", jobs=2)
    (dask,) = trained(tmp_path, text, "dask", dask=scheduler)
    assert len(serial.trials) == 4
    assert serial.manifest.model_id == parallel.manifest.model_id == dask.manifest.model_id
