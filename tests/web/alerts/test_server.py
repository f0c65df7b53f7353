"""The server: a real one, on a real port."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.web.alerts.conftest import SECRET

from quantlytic.model.errors import InputError
from quantlytic.store.control import open_control
from quantlytic.store.control.control import Control
from quantlytic.web.alerts.server import AlertsServer


def make(control: Control, **more: Any) -> AlertsServer:
    given = {
        "secret": SECRET,
        "allow": ["anyone"],
        "instruments": ["box:BTCUSDT"],
        "strategies": ["sma-cross"],
        "port": 0,
    }
    return AlertsServer(control, **given | more)


def test_serves_and_works_until_it_is_stopped(tmp_path: Path) -> None:
    with open_control(tmp_path) as control:
        with make(control) as server:
            assert server.base_url == server.address.rstrip("/")
            assert httpx.get(server.address + "health").json() == {"status": "live"}
            answer = httpx.post(server.address + "api/subscriptions", json={"email": "ann@example.com"})
            assert answer.status_code == 202
            assert "server" not in answer.headers
            until = time.monotonic() + 10.0
            while not control.messages.due(2**62, 9):
                assert time.monotonic() < until
                time.sleep(0.01)
            assert server.base_url.encode() in control.messages.due(2**62, 9)[0].payload
        server.stop()
        with pytest.raises(httpx.ConnectError):
            httpx.get(server.address)


def test_forwarded_addresses_are_not_believed_unless_told(tmp_path: Path) -> None:
    with open_control(tmp_path) as control, make(control) as server:
        statuses = [
            httpx.post(
                server.address + "api/mine/link",
                json={"email": "a@x.com"},
                headers={"X-Forwarded-For": f"10.0.0.{number}"},
            ).status_code
            for number in range(11)
        ]
        assert statuses == [202] * 10 + [429]


def test_its_public_name_is_answered(tmp_path: Path) -> None:
    with open_control(tmp_path) as control, make(control, base_url="https://alerts.example.com/") as server:
        assert server.base_url == "https://alerts.example.com"
        for host, status in (("alerts.example.com", 200), ("evil.example", 403)):
            assert httpx.get(server.address + "health", headers={"Host": host}).status_code == status


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"secret": b"short"}, "at least 32 random bytes"),
        ({"base_url": "nonsense"}, "no address of the alert pages"),
        ({"allow": ["example.com"]}, "no rule of who may sign up"),
        ({"trusted_proxies": ["10.0.0.0/99"]}, r"trusted_proxies of \[alerts\]: '10.0.0.0/99' does not appear to be"),
        ({"host": "192.0.2.1"}, "mend QUANTLYTIC_ALERTS__HOST"),
    ],
)
def test_bad_settings_are_one_line_and_leave_no_port_taken(tmp_path: Path, more: dict[str, Any], words: str) -> None:
    with open_control(tmp_path) as control:
        with pytest.raises(InputError, match=words) as caught:
            make(control, **more)
        assert "\n" not in str(caught.value)


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with open_control(tmp_path) as control, make(control) as server:
        port = int(server.address.rstrip("/").rpartition(":")[2])
        with pytest.raises(
            InputError, match=r"is in use by another program; choose another with QUANTLYTIC_ALERTS__PORT"
        ):
            make(control, port=port)
