"""The alert service over a real control store, asked without a network; its clerk works when a test says so."""

from __future__ import annotations

import asyncio
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from quantlytic.store.control import open_control
from quantlytic.store.control.control import Control
from quantlytic.store.control.links import Links
from quantlytic.store.control.records import LinkNotice, Message, Subscriber
from quantlytic.web.alerts.app import make_alerts_app
from quantlytic.web.alerts.clerk import Clerk
from quantlytic.web.alerts.limits import TokenBuckets
from quantlytic.web.alerts.shield import Shield

SECRET = b"s" * 32
BASE = "http://127.0.0.1"
INSTRUMENTS = ("binance:BTCUSDT", "binance:ETHUSDT", "yahoo:AAPL")
STRATEGIES = ("sma-cross", "macd")
OPERATOR = "operator-operator-operator"


class Http:
    """Asks an application without a network, as the client of that address."""

    def __init__(self, app: Any, client: str = "192.0.2.1") -> None:
        self._loop = asyncio.new_event_loop()
        transport = httpx.ASGITransport(app, client=(client, 5000))
        self._client = httpx.AsyncClient(transport=transport, base_url=BASE)

    def request(self, method: str, path: str, **more: Any) -> httpx.Response:
        return self._loop.run_until_complete(self._client.request(method, path, **more))

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.request("GET", path, **more)

    def post(self, path: str, **more: Any) -> httpx.Response:
        return self.request("POST", path, **more)

    def put(self, path: str, **more: Any) -> httpx.Response:
        return self.request("PUT", path, **more)

    def close(self) -> None:
        self._loop.run_until_complete(self._client.aclose())
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()


class Service:
    """An alert service: `http` asks it, `work` lets the clerk work, `mails` are the messages it queued."""

    def __init__(self, home: Path) -> None:
        self.control: Control = open_control(home)
        self.control.tokens.add("op", OPERATOR)
        self.links = Links(SECRET, BASE)
        self.woken, self.new_instruments = 0, list[str]()
        self.clerk = Clerk(self.control, self.links, ["anyone"], self._wake)
        app = make_alerts_app(
            self.control, secret=SECRET, base_url=BASE, allow=["anyone"], instruments=INSTRUMENTS, strategies=STRATEGIES,
            channels={"desk": "apprise"}, wake=self._wake, on_new_instrument=self.new_instruments.append,
        )  # fmt: skip
        self.app = app
        self.shielded = Shield(app, ["alerts.example.com"], trusted_proxies=["10.0.0.0/8"])
        self.http = Http(self.shielded)  # nothing starts the application, hence not the clerk's thread either

    def _wake(self) -> None:
        self.woken += 1

    def work(self) -> list[Message]:
        """The messages that the clerk queues now, oldest first."""
        before = {one.message_id for one in self.control.messages.history(None, 10_000)}
        while self.clerk.work():
            pass
        after = self.control.messages.history(None, 10_000)
        return [one for one in reversed(after) if one.message_id not in before]

    def sign_up(self, email: str = "ann@example.com", **choices: object) -> str:
        """Sign up by the API, and return the token of the mailed link."""
        answer = self.http.post("/api/subscriptions", json={"email": email, **choices})
        assert answer.status_code == 202, answer.text
        [message] = self.work()
        return token_of(message)

    def subscribe(self, email: str = "ann@example.com", **choices: object) -> Subscriber:
        """Sign up and confirm."""
        assert self.http.post("/api/confirm", json={"token": self.sign_up(email, **choices)}).status_code == 200
        found = self.control.subscribers.by_email(email)
        assert found is not None
        return found

    def ask_without_limit(self) -> None:
        """From a new address, to a shield that lets through as much as anybody likes."""
        shield = Shield(self.app, ())
        shield._mails = TokenBuckets(1_000_000, 1.0)
        self.http.close()
        self.http = Http(shield)

    def token(self, purpose: str, who: Subscriber) -> str:
        return self.links.token(purpose, who.subscriber_id, time.time_ns())

    def status(self, email: str = "ann@example.com") -> str:
        found = self.control.subscribers.by_email(email)
        return found.status if found else "unknown"


def token_of(message: Message) -> str:
    """The token of the link in a message's payload."""
    notice = msgspec.json.decode(message.payload, type=LinkNotice)
    match = re.fullmatch(rf"{BASE}/{message.kind}\?token=([A-Za-z0-9_-]+)", notice.url)
    assert match, notice
    return match[1]


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture(scope="session")
def empty_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home folder with an empty control store: copied, it need not be made anew for each test."""
    home = tmp_path_factory.mktemp("empty")
    open_control(home).close()
    return home


@pytest.fixture
def service(tmp_path: Path, empty_home: Path) -> Iterator[Service]:
    shutil.copytree(empty_home, tmp_path, dirs_exist_ok=True)
    service = Service(tmp_path)
    yield service
    service.http.close()
    service.control.close()
