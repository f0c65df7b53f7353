"""The red button's routes: who may press it, what is refused, one at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.web.conftest import TOKEN, wait_until

from quantlytic.model.errors import InputError, StoreError
from quantlytic.store.log.sqlite import SqliteLog
from quantlytic.web.halt import HaltDesk
from quantlytic.web.server import WebServer

BEARER = {"Authorization": f"Bearer {TOKEN}"}
http = httpx.Client(verify=False)  # one for all: each new one would read the machine's certificates


class Account:
    """Stands for the account: remembers what was asked of it."""

    def __init__(self) -> None:
        self.halted, self.mode = False, "live"
        self.kills: list[tuple[bool, str]] = []
        self.go_on = threading.Event()
        self.go_on.set()
        self.broken = False

    def kill(self, flatten: bool, typed: str) -> dict[str, Any]:
        if flatten and typed != "main":
            raise InputError("to sell everything, type the account's name: 'main'")
        if self.broken:
            raise StoreError("the latch cannot be written")
        self.halted = True
        self.kills.append((flatten, typed))
        self.go_on.wait(20)
        return {"is_verified": True, "lines": ["VERIFIED"]}

    def release(self, typed: str) -> dict[str, Any]:
        if typed != "main":
            raise InputError("its name has to be typed: 'main'")
        self.halted = False
        return self.state()

    def state(self) -> dict[str, Any]:
        return {"account": "main", "mode": self.mode, "halted": self.halted}


@pytest.fixture(scope="module", autouse=True)
def closed_at_the_end() -> Iterator[None]:
    yield
    http.close()


@pytest.fixture(scope="module")
def only() -> Account:
    return Account()


@pytest.fixture
def account(only: Account, server: WebServer) -> Account:
    """The account as it was in the beginning."""
    only.__init__()  # type: ignore[misc]
    http.post(f"{server.address}api/release", json={"typed": "main"}, headers=BEARER)
    return only


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, only: Account) -> Iterator[WebServer]:
    home = tmp_path_factory.mktemp("home")
    desk = HaltDesk(only.kill, only.release, only.state)
    with WebServer(
        lambda: SqliteLog(home / "log"), venue="box", outbox=home / "outbox", token=TOKEN, port=0, halt=desk
    ) as made:
        yield made


def post(server: WebServer, path: str, body: Any, **headers: str) -> httpx.Response:
    return http.post(f"{server.address}api/{path}", json=body, headers=BEARER | headers, timeout=30)


def state(server: WebServer) -> Any:
    return http.get(server.address + "api/halt", headers=BEARER).json()


def test_killed_seen_and_released(server: WebServer, account: Account) -> None:
    assert state(server) == {
        "account": "main",
        "mode": "live",
        "halted": False,
        "is_working": False,
        "report": None,
        "held": [],
    }
    answer = post(server, "kill", {"flatten": False})
    assert answer.status_code == 200
    assert answer.json()["halted"] is True
    assert state(server)["report"]["lines"] == ["VERIFIED"]
    assert post(server, "kill", {"flatten": True, "typed": "main"}).status_code == 200
    assert account.kills == [(False, ""), (True, "main")]
    refused = post(server, "release", {"typed": "Main"})
    assert (refused.status_code, "main" in refused.json()["error"]) == (422, True)
    assert state(server)["halted"] is True
    assert post(server, "release", {"typed": "main"}).json()["halted"] is False
    assert state(server)["report"] is None


def test_a_wrong_name_sells_nothing(server: WebServer, account: Account) -> None:
    for typed in ("", "yes", "MAIN"):
        assert post(server, "kill", {"flatten": True, "typed": typed}).status_code == 422
    assert account.kills == []
    assert state(server)["is_working"] is False


def test_strangers_other_sites_and_programs_without_a_token_cannot_press_it(
    server: WebServer, account: Account
) -> None:
    cookie = {"Cookie": "; ".join(f"{name}={value}" for name, value in httpx.get(server.url).cookies.items())}
    foreign = {"Origin": "http://evil.example"}
    for path, body in (("kill", {}), ("release", {"typed": "main"})):
        url = f"{server.address}api/{path}"
        assert http.post(url, json=body).status_code in (401, 403)
        assert http.post(url, json=body, headers=foreign | cookie).status_code == 403
        assert http.post(url, json=body, headers=BEARER | foreign).status_code == 403
        assert http.post(url, json=body, headers=cookie).status_code == 403  # a form of a browser names its origin
        assert http.get(url, headers=BEARER).status_code == 405
    assert http.get(server.address + "api/halt").status_code == 401
    assert account.kills == []


def test_the_pages_own_cookie_and_origin_are_enough(server: WebServer, account: Account) -> None:
    client = httpx.Client(base_url=server.address, follow_redirects=True)
    page = client.get(server.url).text
    assert 'id="stop"' in page
    assert client.post("api/kill", json={}, headers={"Origin": server.address.rstrip("/")}).status_code == 200
    assert account.kills == [(False, "")]
    client.close()


@pytest.mark.parametrize(
    ("body", "code"),
    [(b"", 400), (b"{", 400), (b"[]", 400), (b'{"flaten": true}', 400), (b'{"flatten": "yes"}', 400),
     (b'{"typed": 1}', 400), (b"\xff", 400), (b" " * 5000, 413)],
)  # fmt: skip
def test_what_cannot_be_read_does_nothing(server: WebServer, account: Account, body: bytes, code: int) -> None:
    answer = http.post(server.address + "api/kill", content=body, headers=BEARER)
    assert answer.status_code == code
    assert "error" in answer.json()
    assert account.kills == []


def test_one_at_a_time_and_the_result_is_there_after_a_lost_connection(server: WebServer, account: Account) -> None:
    account.go_on.clear()
    with pytest.raises(httpx.ReadTimeout):
        http.post(server.address + "api/kill", json={}, headers=BEARER, timeout=0.3)
    assert state(server)["is_working"] is True
    again = post(server, "kill", {})
    assert (again.status_code, "under way" in again.json()["error"]) == (422, True)
    account.go_on.set()
    wait_until(lambda: not state(server)["is_working"])
    assert state(server)["report"]["is_verified"] is True
    assert account.kills == [(False, "")]


def test_what_fails_is_told_in_one_line(server: WebServer, account: Account) -> None:
    account.broken = True
    answer = post(server, "kill", {})
    assert (answer.status_code, answer.json()) == (503, {"error": "the latch cannot be written"})
    assert state(server)["is_working"] is False


def test_without_an_account_there_is_no_button(tmp_path: Path) -> None:
    with WebServer(
        lambda: SqliteLog(tmp_path / "log"), venue="box", outbox=tmp_path / "outbox", token=TOKEN, port=0
    ) as server:
        assert 'id="stop"' not in http.get(server.address, headers=BEARER).text
        assert http.get(server.address + "api/halt", headers=BEARER).status_code == 404
        assert post(server, "kill", {}).status_code in (404, 405)


def test_in_other_modes_the_latch_is_shown_and_nothing_is_stopped(account: Account, server: WebServer) -> None:
    account.mode, account.halted = "paper", True
    seen = http.get(f"{server.address}api/halt", headers=BEARER).json()
    assert (seen["mode"], seen["halted"], seen["held"]) == ("paper", True, [])
    refused = http.post(f"{server.address}api/kill", json={}, headers=BEARER)
    assert refused.status_code == 422
    assert "in mode paper no order goes to a venue" in refused.json()["error"]
    assert account.kills == []
    released = http.post(f"{server.address}api/release", json={"typed": "main"}, headers=BEARER).json()
    assert released["halted"] is False
