"""The control store: what is entered comes back, also from other processes; bad databases are one line."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from quantlytic.model.errors import InputError, StoreError
from quantlytic.model.instrument import Instrument
from quantlytic.model.run import Run
from quantlytic.store.control import open_control
from quantlytic.store.control.control import Control
from quantlytic.store.control.records import Trial


@pytest.fixture
def control(tmp_path: Path) -> Iterator[Control]:
    with open_control(tmp_path) as control:
        yield control


def a_run(run_id: str, mode: str = "backtest", **changes: object) -> Run:
    run = Run(
        run_id=run_id, mode=mode, venue="binance", strategy="sma-cross", params={"fast": 3.0, "slow": 0.1 + 0.2},
        instruments=(Instrument("binance:BTCUSDT", "BTC", "USDT", 0.01, 1e-5, 5.0),), bar_size_ns=10**9, cash=1e5,
        fee_bps=10.0, first_bar_offset=7, code_hash="abc",
    )  # fmt: skip
    return msgspec.structs.replace(run, **changes)


def test_a_run_comes_back_as_it_was_entered(control: Control) -> None:
    entered = control.runs.add(a_run("r1"))
    assert entered.status == "running"
    found = control.runs.get("r1")
    assert all(getattr(found, name) == getattr(a_run("r1"), name) for name in Run.__struct_fields__)
    summary = {"sharpe": float("nan"), "final_equity": 0.1 + 0.2, "notes": ["a"]}
    done = control.runs.finish("r1", start_ns=1, end_ns=2**62, digest="d", summary=summary)
    assert (done.start_ns, done.end_ns, done.status, done.digest) == (1, 2**62, "finished", "d")
    assert done.summary == {"sharpe": None, "final_equity": 0.1 + 0.2, "notes": ["a"]}  # JSON has no NaN


def test_runs_are_listed_oldest_first(control: Control) -> None:
    for number, mode in enumerate(("backtest", "paper", "backtest")):
        control.runs.add(a_run(f"r{9 - number}", mode))
    assert [run.run_id for run in control.runs.list()] == ["r9", "r8", "r7"]
    assert [run.run_id for run in control.runs.list("backtest")] == ["r9", "r7"]
    assert control.runs.get("last").run_id == "r7"
    last = control.runs.last("paper")
    assert last is not None
    assert last.run_id == "r8"
    assert control.runs.last("live") is None


def test_a_run_that_is_there_goes_on_unless_it_is_another(control: Control) -> None:
    control.runs.add(a_run("r1"))
    control.runs.finish("r1", status="failed", digest="d")
    again = control.runs.add(a_run("r1"))
    assert (again.status, again.digest) == ("running", "d")
    assert len(control.runs.list()) == 1
    with pytest.raises(InputError, match="run 'r1' exists with other settings"):
        control.runs.add(a_run("r1", cash=5.0))


def test_a_run_that_cannot_be_read_is_one_line(control: Control, tmp_path: Path) -> None:
    control.runs.add(a_run("r1"))
    with closing(sqlite3.connect(tmp_path / "control.db")) as other:
        other.execute("UPDATE runs SET settings = json_set(settings, '$.cash', NULL)")
        other.commit()
    with pytest.raises(StoreError, match=r"run r1 cannot be read .*cash"):
        control.runs.list()


def test_runs_that_are_not_there(control: Control) -> None:
    for run_id, words in (("last", "no run yet"), ("r1", "no run 'r1'")):
        with pytest.raises(InputError, match=words):
            control.runs.get(run_id)
    with pytest.raises(InputError, match="no run 'r1'"):
        control.runs.finish("r1")


def test_every_different_trial_counts(control: Control) -> None:
    def trial(data: str, **params: float) -> Trial:
        return Trial(strategy="sma-cross", params=params, data=data, time_ns=5, bars=9, sharpe=1.5)

    tried = [
        trial("x", fast=1, slow=2),
        trial("x", slow=2, fast=1),
        trial("x", fast=2, slow=2),
        trial("y", fast=1, slow=2),
    ]
    control.trials.add(tried)
    control.trials.add([])
    assert control.trials.list() == tried
    assert control.trials.list("y") == tried[3:]
    assert (control.trials.count("x"), control.trials.count("y"), control.trials.count("z")) == (2, 1, 0)


def test_instruments_are_replaced_by_id(control: Control) -> None:
    first, other = Instrument("box:B", tick_size=0.1), Instrument("binance:A", lot_size=1e-8)
    control.instruments.put([first, other])
    control.instruments.put([Instrument("box:B", tick_size=0.2)])
    control.instruments.put([])
    assert control.instruments.get("box:B") == Instrument("box:B", tick_size=0.2)
    assert control.instruments.get("box:C") is None
    assert [one.id for one in control.instruments.list()] == ["binance:A", "box:B"]
    assert control.instruments.list("binance") == [other]


def test_tokens_are_kept_as_hashes_only(control: Control, tmp_path: Path) -> None:
    control.tokens.add("me", "s3cret-s3cret")
    control.tokens.add("you", "other")
    assert control.tokens.name_of("s3cret-s3cret") == "me"
    assert control.tokens.name_of("S3cret-s3cret") is None
    control.tokens.add("me", "new")
    assert control.tokens.name_of("s3cret-s3cret") is None
    control.tokens.remove("you")
    assert control.tokens.list() == ["me"]
    control.close()
    assert not any(b"s3cret" in path.read_bytes() for path in tmp_path.iterdir())


def test_preferences(control: Control) -> None:
    assert control.preferences.get("theme", "dark") == "dark"
    control.preferences.put("theme", {"name": ["light", 1.5]})
    control.preferences.put("theme", {"name": ["light", 2.5]})
    assert control.preferences.get("theme") == {"name": ["light", 2.5]}


# ---- the database


def test_a_second_opening_needs_no_migration(tmp_path: Path) -> None:
    open_control(tmp_path).close()
    code = (
        "import sys; from pathlib import Path; from quantlytic.store.control import open_control\n"
        "assert 'sqlalchemy' not in sys.modules\n"
        "open_control(Path(sys.argv[1])).close()\n"
        "assert 'alembic' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)


def test_the_migrations_lead_to_what_the_code_uses(tmp_path: Path) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.config import Config
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory

    from quantlytic.store.control.database import Database
    from quantlytic.store.control.schema import HEAD, metadata

    database = Database(tmp_path)
    with database.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    database.close()
    config = Config()
    config.set_main_option("script_location", "quantlytic.store.control:migrations")
    assert ScriptDirectory.from_config(config).get_current_head() == HEAD


def test_many_processes_open_and_write_at_once(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from quantlytic.store.control import open_control\n"
        "control = open_control(Path(sys.argv[1]))\n"
        "for n in range(20): control.preferences.put(f'{sys.argv[2]}-{n}', n)\n"
        "control.close()"
    )
    command = [sys.executable, "-W", "error", "-c", code, str(tmp_path)]
    processes = [subprocess.Popen([*command, str(number)]) for number in range(4)]
    assert [process.wait() for process in processes] == [0] * 4
    with open_control(tmp_path) as control:
        assert all(control.preferences.get(f"{number}-{n}") == n for number in range(4) for n in range(20))


def test_a_store_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    open_control(tmp_path).close()
    with sqlite3.connect(tmp_path / "control.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(StoreError, match="newer Quantlytic: its schema is 9999"):
        open_control(tmp_path)


def test_a_damaged_store_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "control.db").write_bytes(b"this is no database, it is a text of some length" * 50)
    with pytest.raises(StoreError, match=r"control\.db cannot be used: file is not a database") as caught:
        open_control(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be"):
        open_control(tmp_path / "file" / "home")


@pytest.mark.parametrize("url", ["nonsense://user:s3cret@host/db", "postgresql+asyncpgx://u:s3cret@h/d"])
def test_a_url_that_is_none(url: str) -> None:
    with pytest.raises(InputError) as caught:
        open_control(url)
    assert "s3cret" not in str(caught.value)


def test_a_failure_within_a_transaction_leaves_nothing(control: Control, tmp_path: Path) -> None:
    control.instruments.put([Instrument("box:A")])
    broken = Instrument("box:B", base=None)  # type: ignore[arg-type]
    with pytest.raises(StoreError):
        control.instruments.put([Instrument("box:A", tick_size=1.0), broken])
    assert control.instruments.list() == [Instrument("box:A")]
