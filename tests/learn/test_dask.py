"""A Dask cluster gives the model that one process gives."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.learn.test_train import SEARCH, SPEC, trained

from quantlytic.research.data.demo import demo_bars
from quantlytic.store.barwriter import write_bars


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")
def test_serially_on_two_workers_and_on_dask(tmp_path: Path) -> None:
    from distributed import LocalCluster

    bars = demo_bars(600, seed=3, instruments=2)
    write_bars(tmp_path / "bars.parquet", bars.array, bars.instruments)
    text = SPEC.replace('kind = "logistic"', 'kind = "lightgbm"\nparams = {rounds = 20}') + SEARCH.replace(
        "c = {low = 0.001, high = 10.0, log = true}", "num_leaves = {low = 2, high = 31}"
    )
    (serial,) = trained(tmp_path, text, "serial")
    (parallel,) = trained(tmp_path, text, "parallel", jobs=2)
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0", silence_logs=40
    ) as cluster:
        (dask,) = trained(tmp_path, text, "dask", dask=cluster.scheduler_address)
    assert serial.manifest.model_id == parallel.manifest.model_id == dask.manifest.model_id
