"""A finished run entered without SQLAlchemy is the one that the repositories read."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from quantlytic.model.errors import StoreError
from quantlytic.model.instrument import Instrument
from quantlytic.model.run import Run
from quantlytic.store.control import open_control, schema
from quantlytic.store.control.finished import REVISION, enter_finished, trials_like
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


def test_trials_on_overlapping_data_count_together(tmp_path: Path) -> None:
    def trial(data: str, names: tuple[str, ...], start_ns: int, end_ns: int, fast: float, **more: object) -> Trial:
        return Trial(
            strategy="s", params={"fast": fast}, data=data, time_ns=1, instruments=names, start_ns=start_ns,
            end_ns=end_ns, **more,
        )  # fmt: skip

    mine = trial("d", ("file:A_1", "file:B"), 100, 200, 1.0)
    others = [
        trial("d", (), 0, 0, 2.0, kind="sweep"),  # the same data, whatever else
        trial("e", ("file:B",), 150, 300, 1.0),  # one instrument of it, a range that overlaps
        trial("f", ("file:B",), 200, 300, 1.0),  # the range ends where the other begins
        trial("g", ("file:AX1",), 100, 200, 1.0),  # `_` is no wildcard
        trial("h", ("file:A_1",), 0, 101, 1.0),
        trial("h", ("file:A_1",), 0, 101, 1.0, sharpe=2.0),  # the same once more: the newer one counts
    ]
    with open_control(tmp_path) as control:
        control.trials.add([mine, *others])
        expected = [mine, others[0], others[1], others[5]]
        assert control.trials.like(mine) == expected
    assert trials_like(tmp_path, mine) == expected


def test_a_run_that_failed_is_no_trial_until_it_does_not(tmp_path: Path) -> None:
    given = {"start_ns": 1, "end_ns": 2, "digest": "aa", "summary": {}}
    enter_finished(tmp_path, RUN, None, **given, status="failed")
    with open_control(tmp_path) as control:
        assert control.runs.get("bt-1").status == "failed"
        assert control.trials.list() == []
    enter(tmp_path)
    enter(tmp_path)
    with open_control(tmp_path) as control:
        assert control.runs.get("bt-1").status == "finished"
        assert len(control.trials.list()) == 1


def test_a_store_of_the_first_revision_is_brought_up_to_date(tmp_path: Path) -> None:
    config = Config()
    config.set_main_option("script_location", "quantlytic.store.control:migrations")
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'control.db'}")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.execute(
            sa.text(
                "INSERT INTO trials (strategy, params, data, time_ns, run_id, bars) VALUES ('s', '{}', 'd', 7, '', 3)"
            )
        )
    engine.dispose()
    found = trials_like(tmp_path, TRIAL)
    assert [(one.kind, one.instruments, one.start_ns) for one in found] == [("backtest", (), None)]
