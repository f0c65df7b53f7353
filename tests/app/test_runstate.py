"""How a run stands, as seen from outside; which one is the last."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from tests.engine.market import random_bars
from tests.research.paperline import bar_events, paper_run
from tests.services.swapline import means, pump
from tests.services.test_ending import faulty

from quantlytic.app.bootstrap import Bootstrap
from quantlytic.app.config import load_settings
from quantlytic.app.presence import Presence
from quantlytic.app.runstate import state_of
from quantlytic.model.run import Run
from quantlytic.research.runs.beginning import begun_session
from quantlytic.store.log.port import Log

OLD = msgspec.structs.replace(paper_run("sma-cross"), run_id="paper-old")
NEWER = msgspec.structs.replace(paper_run("sma-cross"), run_id="paper-newer", first_bar_offset=60)
REFUSED = msgspec.structs.replace(paper_run("bollinger"), run_id="paper-refused", first_bar_offset=80)


@pytest.fixture
def bootstrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bootstrap:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("QUANTLYTIC_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("QUANTLYTIC_STRATEGY__BAR", "1m")
    monkeypatch.setenv("QUANTLYTIC_STRATEGY__PARAMS", '{"fast": 10, "slow": 30}')
    made = Bootstrap(load_settings())
    made.stores.make_home()
    return made


@pytest.fixture
def log(bootstrap: Bootstrap) -> Iterator[Log]:
    with bootstrap.stores.open_log() as log:
        log.writer("barmaker.box").commit({"bars.box": bar_events(random_bars(3, 80, 2))})
        yield log


def play(bootstrap: Bootstrap, log: Log, run: Run) -> None:
    """Over all bars that there are."""
    bootstrap.stores.control().runs.add(run)
    for service in pump(
        log, run, lambda: begun_session(run, log, compiled=False), means(bootstrap.stores.home / "log")
    ):
        service.close()


def stands(bootstrap: Bootstrap, log: Log, *runs: Run) -> list[str]:
    return [state_of(run, log, bootstrap.settings, Presence(bootstrap.stores.home)) for run in runs]


def test_running_ended_not_begun(bootstrap: Bootstrap, log: Log) -> None:
    presence = Presence(bootstrap.stores.home)
    play(bootstrap, log, OLD)
    assert stands(bootstrap, log, OLD, REFUSED) == ["ended", "not begun"]
    presence.claim(["strategist"], "quantlytic up")
    assert stands(bootstrap, log, OLD) == ["running"]
    log.writer("barmaker.box").commit({"bars.box": bar_events(random_bars(3, 60, 2))})
    play(bootstrap, log, NEWER)
    assert stands(bootstrap, log, OLD, NEWER, REFUSED) == ["ended", "running", "not begun"]
    presence.release()
    assert stands(bootstrap, log, NEWER) == ["ended"]


def test_one_whose_strategy_has_raised_has_died(bootstrap: Bootstrap, log: Log, tmp_path: Path) -> None:
    run, _ = faulty(tmp_path)
    play(bootstrap, log, run)
    presence = Presence(bootstrap.stores.home)
    presence.claim(["strategist"], "quantlytic up")
    assert stands(bootstrap, log, run) == ["died"]
    presence.release()


def test_the_last_one_is_the_one_that_was_at_work_last(bootstrap: Bootstrap, log: Log) -> None:
    play(bootstrap, log, OLD)
    bootstrap.stores.control().runs.add(NEWER)
    bootstrap.stores.control().runs.add(REFUSED)
    assert bootstrap.runs.find("last").run_id == "paper-old"
    assert bootstrap.runs.find("paper-refused").run_id == "paper-refused"
