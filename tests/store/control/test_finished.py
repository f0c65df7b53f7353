"""A finished run entered without SQLAlchemy is the one that the repositories read."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import msgspec
import pytest

from quantlytic.model.errors import StoreError
from quantlytic.model.instrument import Instrument
from quantlytic.model.run import Run
from quantlytic.store.control import open_control, schema
from quantlytic.store.control.finished import REVISION, enter_finished
from quantlytic.store.control.records import Trial

RUN = Run(
    run_id="bt-1", mode="backtest", venue="file", strategy="sma-cross", params={"slow": 9.0, "fast": 5.0},
    instruments=(Instrument("file:X"),), bar_size_ns=60, cash=1e6, fee_bps=10.0, first_bar_offset=0, code_hash="c",
)  # fmt: skip
TRIAL = Trial(strategy="sma-cross", params=RUN.params, data="d", time_ns=7, run_id="bt-1", bars=3, sharpe=None)


def enter(home: Path, run: Run = RUN, digest: str = "aa") -> None:
    trial = msgspec.structs.replace(TRIAL, run_id=run.run_id)
    enter_finished(home, run, trial, start_ns=1, end_ns=2, digest=digest, summary={"sharpe": None, "fills": 3})


def test_revision_is_the_schemas() -> None:
    assert REVISION == schema.HEAD


def test_reads_back_as_what_the_repositories_write(tmp_path: Path) -> None:
    enter(tmp_path / "a")
    enter(tmp_path / "a")
    with open_control(tmp_path / "b") as control:
        control.runs.add(RUN)
        control.runs.finish("bt-1", start_ns=1, end_ns=2, digest="aa", summary={"sharpe": None, "fills": 3})
        control.trials.add([TRIAL])
        expected = control.runs.list(), control.trials.list(), control.trials.count("d")
    with open_control(tmp_path / "a") as control:
        assert (control.runs.list(), control.trials.list(), control.trials.count("d")) == expected


def test_same_id_gets_the_new_result_and_others_keep_their_order(tmp_path: Path) -> None:
    enter(tmp_path)
    enter(tmp_path, msgspec.structs.replace(RUN, run_id="bt-2"))
    enter(tmp_path, digest="bb")
    with open_control(tmp_path) as control:
        assert [(run.run_id, run.digest) for run in control.runs.list()] == [("bt-1", "bb"), ("bt-2", "aa")]
        assert len(control.trials.list()) == 2


def test_older_or_damaged_store_is_not_written_blindly(tmp_path: Path) -> None:
    enter(tmp_path)
    connection = sqlite3.connect(tmp_path / "control.db")
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    connection.close()
    with pytest.raises(StoreError, match="newer"):
        enter(tmp_path)
    (tmp_path / "control.db").write_bytes(b"x" * 5000)
    with pytest.raises(StoreError):
        enter(tmp_path)
