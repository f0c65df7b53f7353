"""`quantlytic alerts`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from quantlytic.app.commands.alerts import command
from quantlytic.model.errors import InputError
from quantlytic.store.control import open_control
from quantlytic.store.control.address import ALLOW
from quantlytic.store.control.control import Control
from quantlytic.store.control.links import Links
from quantlytic.web.alerts.clerk import Clerk

Alerts = Callable[..., str]


@pytest.fixture
def alerts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Alerts:
    """Runs `quantlytic alerts` in an empty folder and gives back what it prints."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("QUANTLYTIC_HOME", str(tmp_path / "home"))

    def run(*words: str) -> str:
        return str(CliRunner().invoke(command, list(words), catch_exceptions=False).output)

    return run


@pytest.fixture
def control(tmp_path: Path) -> Iterator[Control]:
    with open_control(tmp_path / "home") as control:
        yield control


def listed(alerts: Alerts, *words: str) -> Any:
    return json.loads(alerts(*words, "--json"))


def test_nobody_yet(alerts: Alerts) -> None:
    assert listed(alerts, "list") == []
    assert "no subscribers yet" in alerts("list")
    assert listed(alerts, "history") == []
    assert "nothing was sent yet" in alerts("history")
    assert listed(alerts, "allow") == []
    assert "nobody" in alerts("allow")
    assert listed(alerts, "token") == []


def test_who_is_added_gets_the_mail_to_confirm(alerts: Alerts, control: Control) -> None:
    said = alerts("add", "Ann@Example.com", "--kind", "risk", "--instrument", "yahoo:TSLA", "--strategy", "macd")
    assert "ann@example.com gets a mail to confirm" in said
    assert control.subscribers.list() == []
    while Clerk(control, Links(b"s" * 32, "http://127.0.0.1"), [], lambda: None).work():
        pass
    [row] = listed(alerts, "list")
    assert (row["email"], row["status"], row["kinds"], row["confirmed"]) == (
        "ann@example.com",
        "pending",
        ["risk"],
        None,
    )
    assert (row["instruments"], row["strategies"]) == (["yahoo:TSLA"], ["macd"])
    [message] = listed(alerts, "history", "ann@example.com")
    assert (message["recipient"], message["kind"], message["state"]) == ("ann@example.com", "confirm", "queued")
    assert "ann@example.com" in alerts("list")
    assert "confirm" in alerts("history")


def test_who_agreed_already_is_subscribed_at_once(alerts: Alerts, control: Control) -> None:
    assert "is subscribed" in alerts("add", "ann@example.com", "--confirmed", "--instrument", "yahoo:TSLA")
    assert len(control.subscribers.for_event("signal", "yahoo:TSLA", "sma-cross", is_recommended=True)) == 1
    assert [one.instrument for one in control.wanted.list()] == ["yahoo:TSLA"]
    assert listed(alerts, "list", "--status", "pending") == []
    with pytest.raises(InputError, match="is subscribed already"):
        alerts("add", "ann@example.com", "--confirmed")
    assert "queued for ann@example.com" in alerts("send-test", "ann@example.com")
    [message] = control.messages.due(2**62, 9, "mail")
    assert message.kind == "test"
    assert "queued for desk" in alerts("send-test", "desk", "--channel", "apprise")
    assert [one["recipient"] for one in listed(alerts, "history", "--limit", "1")] == ["desk"]
    assert "is unsubscribed" in alerts("remove", "ann@example.com")
    assert listed(alerts, "list")[0]["status"] == "unsubscribed"
    with pytest.raises(InputError, match="no confirmed subscriber"):
        alerts("send-test", "ann@example.com")
    assert "is forgotten" in alerts("remove", "ann@example.com", "--erase")
    assert listed(alerts, "list") == []


def test_who_is_suppressed_is_not_added_silently(alerts: Alerts, control: Control) -> None:
    alerts("add", "ann@example.com", "--confirmed")
    who = control.subscribers.by_email("ann@example.com")
    assert who is not None
    control.subscribers.suppress(who.subscriber_id)
    with pytest.raises(InputError, match="is suppressed: its mail server refused it for good"):
        alerts("add", "ann@example.com")


def test_rules(alerts: Alerts, control: Control) -> None:
    assert listed(alerts, "allow", "*@Example.com", "bob@x.org", "*@example.com") == ["*@example.com", "bob@x.org"]
    assert listed(alerts, "allow", "--forget", "*@example.com") == ["bob@x.org"]
    assert control.preferences.get(ALLOW) == ["bob@x.org"]
    with pytest.raises(InputError, match="is no rule"):
        alerts("allow", "example.com")


def test_tokens(alerts: Alerts, control: Control) -> None:
    secret = listed(alerts, "token", "desk")["token"]
    assert control.tokens.name_of(secret) == "desk"
    assert alerts("token").strip() == "desk"
    assert secret not in alerts("token")
    assert "good no more" in alerts("token", "desk", "--forget")
    assert control.tokens.name_of(secret) is None
    with pytest.raises(InputError, match="there is no token"):
        alerts("token", "desk", "--forget")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["add", "ann"], "no e-mail address"),
        (["add", "ann@example.com", "--kind", "nope"], "kinds"),
        (["add", "ann@example.com", "--strategy", "nope"], "no strategy 'nope'"),
        (["add", "ann@example.com", "--instrument", "nope"], "'nope' is no instrument"),
        (["remove", "ann@example.com"], "no subscriber"),
        (["history", "ann@example.com"], "no subscriber"),
        (["send-test", "ann@example.com"], "no confirmed subscriber"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_one_line(alerts: Alerts, words: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        alerts(*words)
    assert "\n" not in str(caught.value)
