"""`quantlytic doctor`: what would happen to decisions, and what stands in the way."""

from __future__ import annotations

import os
import socket
import time
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from tests.app.conftest import Command, answer
from tests.engine.market import random_bars
from tests.research.paperline import bar_events
from tests.services.swapline import means, pump
from tests.services.test_ending import faulty

from quantlytic.app.bootstrap import Bootstrap
from quantlytic.app.config import load_settings
from quantlytic.app.presence import Presence
from quantlytic.app.wiring.runs import TWINS
from quantlytic.research.runs.beginning import begun_session
from quantlytic.store.control import open_control
from quantlytic.store.control.records import HELD, Message
from quantlytic.trading.heartbeat import Heartbeat
from quantlytic.trading.latch import Latch


def findings(quantlytic: Command, code: int = 0) -> dict[str, tuple[str, str]]:
    return {
        one["what"]: (one["state"], one["detail"]) for one in answer(quantlytic("doctor", "--json"), code)["findings"]
    }


def test_mode_account_and_latch(quantlytic: Command, tmp_path: Path) -> None:
    found = findings(quantlytic)
    assert found["mode"] == ("ok", "paper: trades with the simulated broker")
    assert found["account"][1].startswith("main: max_order_notional 5,000, max_position_notional 10,000, ")
    assert found["latch"] == ("ok", "open: account main may trade")
    assert "heartbeat" not in found
    Latch(tmp_path / "home" / "halts", "main").engage("kill", "ann@lab", "pressed", time.time_ns())
    state, detail = findings(quantlytic)["latch"]
    assert (state, detail) == (
        "warn", "SHUT (kill) by ann@lab: pressed; quantlytic kill --release --account main",
    )  # fmt: skip


def test_what_runs_and_how_old_its_last_sign_of_life_is(quantlytic: Command, tmp_path: Path) -> None:
    presence = Presence(tmp_path / "home")
    presence.claim(["notifier", "recorder"], "quantlytic run recorder notifier")
    beat = Heartbeat(tmp_path / "home" / "halts", "main")
    beat.beat(time.time_ns())
    found = findings(quantlytic)
    assert found["running"][1].startswith(f"`quantlytic run recorder notifier` (process {os.getpid()} on ")
    assert found["running"][1].endswith("UTC): notifier, recorder")
    assert found["heartbeat"][0] == "ok"
    beat.beat(time.time_ns() - 60_000_000_000)
    state, detail = findings(quantlytic)["heartbeat"]
    assert state == "warn"
    assert detail.startswith("the live executor's last sign of life is 60.")
    presence.release()


@pytest.mark.parametrize(
    ("name", "value", "what", "said"),
    [
        ("ACCOUNT__LIMITS", '{"every": {"max_order_notionel": 1}}', "account", "max_order_notionel"),
        ("ACCOUNT__DEADMAN", '{"heartbeat_s": "soon"}', "account", "heartbeat_s"),
    ],
)
def test_settings_of_the_account_are_checked_in_every_mode(
    quantlytic: Command, monkeypatch: pytest.MonkeyPatch, name: str, value: str, what: str, said: str
) -> None:
    monkeypatch.setenv(f"QUANTLYTIC_{name}", value)
    state, detail = findings(quantlytic, code=1)[what]
    assert state == "fail"
    assert said in detail
    code, _, err = quantlytic("run", "notifier")
    assert (code, said in err) == (2, True), err


def test_live_says_where_orders_go(quantlytic: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUANTLYTIC_MODE", "live")
    assert (
        findings(quantlytic)["mode"][1] == "live: orders go to box, account main; its name is asked for at each start"
    )
    monkeypatch.setenv("QUANTLYTIC_ACCOUNT__CONFIRM", "mine")
    assert findings(quantlytic, code=1)["mode"][0] == "fail"


def test_strategies_are_those_that_run(quantlytic: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "strategy sma-cross," in findings(quantlytic)["settings"][1]
    monkeypatch.setenv("QUANTLYTIC_STRATEGIES", '[{"name": "bollinger"}, {"name": "grid"}]')
    assert "strategies bollinger, grid," in findings(quantlytic)["settings"][1]


def test_a_port_that_our_own_line_uses_is_no_trouble(
    quantlytic: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        monkeypatch.setenv("QUANTLYTIC_WEB__PORT", str(port))
        assert findings(quantlytic)["page"] == (
            "warn",
            f"port {port} is in use: quantlytic is running, or choose another",
        )
        presence = Presence(tmp_path / "home")
        presence.claim(["recorder"], "quantlytic run recorder")
        assert findings(quantlytic)["page"][0] == "warn", "that one has no page"
        presence.release()
        presence.claim(["recorder"], "quantlytic up")
        state, detail = findings(quantlytic)["page"]
        presence.release()
        assert (state, detail.startswith(f"port {port} is in use while `quantlytic up` (process ")) == ("ok", True)


def test_mails_that_are_held_back_are_counted(quantlytic: Command, tmp_path: Path) -> None:
    quantlytic("alerts", "allow", "ann@example.com")
    assert findings(quantlytic)["mails"] == ("ok", "held back: 0")
    with closing(open_control(tmp_path / "home")) as control:
        for k in range(3):
            message = Message(
                message_id=str(k), recipient="you", channel="mail", kind="signal", cause=str(k), subject="BUY",
                payload=b"", created_ns=0,
            )  # fmt: skip
            control.messages.put([message])
            control.messages.retry(message.message_id, 1, f"{HELD}: more than 60 within the hour" if k else "no route")
    state, detail = findings(quantlytic)["mails"]
    assert (state, detail.partition(":")[0]) == ("warn", "held back")
    assert "held back: 2 (2 to you): more than notify.per_hour (60) within the hour" in detail


LINE = '[[forecasts]]\nline = "hours"\nbar = "1h"\n'
MINE = """from quantlytic import Strategy


class Mine(Strategy):
    def on_bar(self, bar, broker):
        pass
"""


def test_what_up_would_refuse_of_the_settings_is_told_one_by_one(quantlytic: Command, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    wanted = [
        'name = "sma-cros"', 'name = "ml-signal"', 'name = "sma-cross"\nparams = { quick = 3 }',
        'name = "sma-cross"\nparams = { fast = 0 }', 'name = "mine.py:Mine"', 'name = "mine.py:Mine"', 'name = "none.py:None"',
    ]  # fmt: skip
    text = f'{LINE}spec = "away.toml"\n' + "".join(f"[[strategies]]\n{one}\n" for one in wanted)
    (tmp_path / "quantlytic.toml").write_text(text)
    found = answer(quantlytic("doctor", "--json"), 1)["findings"]
    settings = [(one["state"], one["detail"]) for one in found if one["what"] == "settings"]
    said = ["away.toml", "did you mean sma-cross", "ml-signal decides on forecasts", "quick", "fast", TWINS, "none.py"]
    assert len(settings) == len(said), settings
    for (state, detail), words in zip(settings, said, strict=True):
        assert (state, words in detail, "\n" in detail) == ("fail", True, False), detail
    assert not (tmp_path / "home").exists(), "it only looks"


def test_a_line_that_nobody_has_trained_yet_is_no_fault(quantlytic: Command, tmp_path: Path) -> None:
    strategy = '[[strategies]]\nname = "ml-signal"\nbar = "1h"\nforecasts = "hours"\n'
    (tmp_path / "quantlytic.toml").write_text(LINE + strategy)
    assert findings(quantlytic)["settings"][0] == "ok"
    assert not (tmp_path / "home").exists(), "it only looks"


def test_a_strategy_that_raised_is_no_silent_failure(
    quantlytic: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, _ = faulty(tmp_path)
    other = msgspec.structs.replace(run, run_id="paper-other", params={"weight": 0.2})
    monkeypatch.setenv("QUANTLYTIC_STRATEGY__NAME", run.strategy)
    monkeypatch.setenv("QUANTLYTIC_STRATEGY__PARAMS", '{"weight": 0.3}')
    monkeypatch.setenv("QUANTLYTIC_STRATEGY__BAR", "1m")
    bootstrap = Bootstrap(load_settings())
    bootstrap.stores.make_home()
    runs = bootstrap.stores.control().runs
    with bootstrap.stores.open_log() as log:
        log.writer("barmaker.box").commit({"bars.box": bar_events(random_bars(3, 60, 2))})
        for one in (other, run):
            runs.add(one)
            assert "strategy" not in findings(quantlytic)
            for service in pump(
                log, one, lambda one=one: begun_session(one, log, compiled=False), means(tmp_path / "home" / "log")
            ):
                service.close()
    state, detail = findings(quantlytic, 1)["strategy"]
    assert state == "fail"
    assert detail.startswith(f"{run.run_id} holds 500.597 box:A, ")
    swap = f"; `quantlytic swap {run.run_id} STRATEGY --position keep|close --reason ...` has"
    for words in (f"{run.strategy} raised at 1970-01-01T00:23:00", swap, "IndexError"):
        assert words in detail, detail
    runs.add(msgspec.structs.replace(run, run_id="paper-mended", first_bar_offset=60, code_hash="mended"))
    assert "strategy" not in findings(quantlytic), "a later run has replaced it"
