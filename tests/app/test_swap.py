"""`quantlytic swap`, with a run at work beside it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.engine.market import random_bars
from tests.research.paperline import bar_events, paper_run
from tests.services.swapline import changes
from tests.services.test_ending import CODE, RAISES_AT

from quantlytic.app.bootstrap import Bootstrap
from quantlytic.app.commands.swap import command
from quantlytic.app.config import load_settings
from quantlytic.app.presence import Presence
from quantlytic.model.errors import InputError, QuantlyticError, StrategyError
from quantlytic.model.run import Run
from quantlytic.research.runs.beginning import begun_session, start_session
from quantlytic.research.runs.parity import check_parity
from quantlytic.services.executor import PaperExecutor
from quantlytic.services.strategist import Strategist
from quantlytic.services.swaps import Means

RUN = paper_run("sma-cross")
KEEP = ("--position", "keep", "--reason", "it  has\nnot worked")


@pytest.fixture
def bootstrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bootstrap:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("QUANTLYTIC_HOME", str(tmp_path / "home"))
    made = Bootstrap(load_settings())
    made.stores.make_home()
    made.stores.control().runs.add(RUN)
    return made


def swap(*arguments: str) -> Result:
    return CliRunner().invoke(command, [RUN.run_id, *arguments])


@contextmanager
def at_work(bootstrap: Bootstrap, run: Run = RUN) -> Iterator[None]:
    """The run's services, in a thread, over bars that come as long as it lasts."""
    stop, failed = threading.Event(), list[BaseException]()
    presence = Presence(bootstrap.stores.home)
    presence.claim(["strategist"], "quantlytic up")

    def work() -> None:
        stores = bootstrap.stores
        sources = stores.home / "strategies"
        with stores.open_log() as log:
            first, second = (start_session(run, log, None, now_ns=0, sources=sources) for _ in range(2))
            chain = (
                PaperExecutor(log, run, first),
                Strategist(log, run, second, Means(stores.log_handle, None, sources)),
            )
            bars = bar_events(random_bars(3, 3_000, 2))
            writer, at = log.writer("barmaker.box"), log.bounds("bars.box")[1]
            try:
                while not stop.is_set():
                    if not sum(service.pump() for service in chain):
                        at += len(writer.commit({"bars.box": bars[at : at + (1 if at > 200 else 201)]})["bars.box"])
                        stop.wait(0.01)
            except BaseException as error:
                failed.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    ends_s = time.monotonic() + 30
    with bootstrap.stores.open_log() as log:
        while log.bounds(run.decisions_stream)[1] < 200 and not failed and time.monotonic() < ends_s:
            time.sleep(0.02)
    try:
        yield
    finally:
        stop.set()
        thread.join()
        presence.release()
    assert not failed, failed


def test_takes_effect_and_says_so(bootstrap: Bootstrap) -> None:
    with at_work(bootstrap):
        done = swap("sma-cross", "-p", "fast=5", *KEEP)
        assert done.exit_code == 0, done.output
        assert "sma-cross(fast=10, slow=30) gave way to sma-cross(fast=5, slow=30, weight=0.99) at" in done.output
        assert "what was held is kept; warmed with" in done.output
        found = json.loads(swap("bollinger", "--position", "close", "--reason", "b", "--by", "eve", "--json").output)
        assert (found["status"], found["old"], found["new"], found["by"]) == ("done", "sma-cross", "bollinger", "eve")
        assert found["old_params"]["fast"] == 5
        same = swap("bollinger", *KEEP)
        assert isinstance(same.exception, InputError)
        assert "nothing to change" in str(same.exception)
    with bootstrap.stores.open_log() as log:
        first, second = changes(log, RUN)
        assert first.reason == "it has not worked"
        assert second.bars > first.bars > 200
        parity = check_parity(log, RUN, begun_session(RUN, log))
        assert (parity.mismatches, parity.first_mismatch) == (0, None)


OWN = """from quantlytic import Strategy, param


class Mine(Strategy):
    buy: int = param(2, low=1, high=50)

    def on_bar(self, bar, broker):
        if bar.close > bar.open and broker.is_flat:
            broker.target_weight(0.1 * self.buy)
        elif bar.close < bar.open and broker.is_long:
            broker.close()
"""


def test_a_file_of_ones_own_is_changed_and_put_in_again(bootstrap: Bootstrap, tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(OWN)
    with at_work(bootstrap):
        assert swap("mine.py:Mine", "-p", "buy=3", *KEEP).exit_code == 0
        path.write_text(OWN.replace("bar.close < bar.open", "bar.close < bar.low * 1.01"))
        assert swap("mine.py:Mine", *KEEP).exit_code == 0
        path.write_text(OWN.replace("self.buy", "self.bye"))
        broken = swap("mine.py:Mine", *KEEP)
        assert isinstance(broken.exception, StrategyError)
        assert "bye" in str(broken.exception)
    path.unlink()
    with bootstrap.stores.open_log() as log:
        found = [(one.new, one.new_params, one.refusal) for one in changes(log, RUN)]
        assert found == [("mine.py:Mine", '{"buy":3.0}', "")] * 2, "the broken one was never asked for"
        parity = check_parity(log, RUN, begun_session(RUN, log))
        assert (parity.mismatches, parity.first_mismatch) == (0, None)
    with at_work(bootstrap):  # a new process goes on with what is in force
        assert swap("sma-cross", *KEEP).exit_code == 0


def test_a_request_waits_for_the_run_to_go_on_and_is_answered_once(bootstrap: Bootstrap) -> None:
    began_s = time.monotonic()
    waiting = swap("bollinger", *KEEP, "--wait", "300", "--json")
    assert time.monotonic() - began_s < 60, "nobody is there to wait for"
    assert json.loads(waiting.output.splitlines()[0])["status"] == "waiting"
    assert type(waiting.exception) is QuantlyticError
    assert str(waiting.exception).startswith(f"nobody runs {RUN.run_id} now: it stays asked for")
    for _ in range(2):
        with at_work(bootstrap):
            wait_for_change(bootstrap)
    with bootstrap.stores.open_log() as log:
        assert [one.new for one in changes(log, RUN)] == ["bollinger"]


def wait_for_change(bootstrap: Bootstrap, run: Run = RUN, count: int = 1) -> None:
    ends_s = time.monotonic() + 30
    with bootstrap.stores.open_log() as log:
        while len(changes(log, run)) < count:
            assert time.monotonic() < ends_s
            time.sleep(0.05)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nonsense", *KEEP), "no strategy 'nonsense'"),
        (("sma-cross", "-p", "fast=0", *KEEP), "fast"),
        (("equal-weight", *KEEP), "on_slice"),
        (("ml-signal", *KEEP), "forecasts"),
        (("none.py:Mine", *KEEP), "none.py cannot be read"),
        (("bollinger", "--position", "keep", "--reason", " "), "reason"),
    ],
)
def test_what_cannot_be_is_refused_before_it_is_asked_for(
    arguments: tuple[str, ...], said: str, bootstrap: Bootstrap
) -> None:
    refused = swap(*arguments)
    assert isinstance(refused.exception, InputError), refused.output
    assert said in str(refused.exception)
    with bootstrap.stores.open_log() as log:
        assert log.bounds(RUN.commands_stream) == (0, 0)


def test_a_file_that_is_too_long_is_refused_at_once(bootstrap: Bootstrap, tmp_path: Path) -> None:
    (tmp_path / "long.py").write_text("# no data in here\n" * 20_000)
    refused = swap("long.py:Mine", *KEEP)
    assert isinstance(refused.exception, InputError)
    assert str(refused.exception) == (
        "long.py:Mine: the file is 352 KiB long, and at most 256 are kept with a run: shorten it"
    )


def test_position_and_reason_have_to_be_said(bootstrap: Bootstrap) -> None:
    assert "--position" in swap("bollinger", "--reason", "x").output
    assert "--reason" in swap("bollinger", "--position", "keep").output
    assert isinstance(CliRunner().invoke(command, ["nobody", "bollinger", *KEEP]).exception, InputError)


def test_what_a_run_holds_whose_strategy_has_raised_is_not_left_behind_by_a_mended_one(
    bootstrap: Bootstrap, tmp_path: Path
) -> None:
    path, symbols = tmp_path / "faulty.py", [one.symbol for one in RUN.instruments]
    path.write_text(faulty_code())
    bootstrap.stores.control().instruments.put(RUN.instruments)

    def begun(cash: float = 100_000.0) -> Run:
        strategy = {"name": "faulty.py:Faulty", "bar": "1m", "cash": cash}
        return Bootstrap(load_settings(venue={"name": "box", "symbols": symbols}, strategy=strategy)).runs.first()

    run = begun()
    with at_work(bootstrap, run):
        wait_for_change(bootstrap, run)
    assert begun() == run, "as it is, it goes on without a strategy"
    path.write_text(faulty_code(mended=True))
    for _ in range(2):
        with pytest.raises(
            InputError, match=rf"{run.run_id} holds [\d.]+ A, [\d.]+ B since .*swap {run.run_id} faulty"
        ):
            begun()
    assert begun(cash=5e4).run_id != run.run_id
    waiting = CliRunner().invoke(command, [run.run_id, "faulty.py:Faulty", *KEEP])
    assert "nobody runs" in str(waiting.exception)
    assert begun() == run, "it is asked to go on with the mended one"
    with at_work(bootstrap, run):
        wait_for_change(bootstrap, run, 2)
    assert begun() == run
    entered = bootstrap.stores.control().runs.list("paper")
    assert [one.run_id for one in entered if one.cash == 1e5] == [RUN.run_id, run.run_id]


def faulty_code(*, mended: bool = False) -> str:
    code = CODE.format(most=RAISES_AT)
    return code.replace("self.weight = [0.3][self.bars]", "pass") if mended else code


def test_no_run_is_entered_where_one_of_the_strategies_is_refused(bootstrap: Bootstrap) -> None:
    bootstrap.stores.control().instruments.put(RUN.instruments)
    strategies = [{"name": "sma-cross", "bar": "1m"}, {"name": "sma-cross", "params": {"fast": 0}, "bar": "1m"}]
    settings = load_settings(
        venue={"name": "box", "symbols": [one.symbol for one in RUN.instruments]}, strategies=strategies
    )
    with pytest.raises(InputError, match="fast"):
        Bootstrap(settings).runs.all()
    assert [one.run_id for one in bootstrap.stores.control().runs.list("paper")] == [RUN.run_id]
