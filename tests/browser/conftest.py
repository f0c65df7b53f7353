"""Chromium, and a page whose market can be started and stopped."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.web.paper_tape import PaperTape

from quantlytic.model.time import NS_PER_S
from quantlytic.store.log.sqlite import SqliteLog
from quantlytic.web.server import WebServer

TOKEN = "a-token-that-is-long-enough"
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
STEP_S = 0.05


class Scene:
    """A server over a real log, and a thread that makes a market of about 300 messages a second while it runs."""

    def __init__(self, home: Path, bars: int) -> None:
        self.home = home
        self._log = SqliteLog(home / "log")
        self.tape = PaperTape(self._log, home / "outbox")
        if bars:
            self.tape.history(time.time_ns(), bars)
        self.server = self._make_server(port=0)
        self._thread: threading.Thread | None = None
        self._running = threading.Event()

    def _make_server(self, port: int) -> WebServer:
        server = WebServer(
            lambda: SqliteLog(self.home / "log"), venue="box", outbox=self.home / "outbox", token=TOKEN, port=port,
            bar_sizes=["1s"], list_runs=lambda: [self.tape.run], warmup_bars=12, kind_of=lambda _: "lightgbm",
        )  # fmt: skip
        server.start()
        return server

    def restart_server(self, between: Callable[[], None]) -> None:
        """Stop, do something, and come back at the same address."""
        port = int(self.server.address.rsplit(":", 1)[1].strip("/"))
        self.server.stop()
        between()
        self.server = self._make_server(port)

    def start_market(self) -> None:
        self._running.set()
        self._thread = threading.Thread(target=self._trade)
        self._thread.start()

    def stop_market(self) -> float:
        """Stops it; returns the (monotonic) time of its last message, s."""
        self._running.clear()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        return time.monotonic()

    def _trade(self) -> None:
        second, trades = time.time_ns() // NS_PER_S, []
        while self._running.is_set():
            now = time.time_ns()
            if now // NS_PER_S != second:
                self.tape.close_bars(second * NS_PER_S, trades)
                second, trades = now // NS_PER_S, []
            trades += self.tape.market(now, int(300 * STEP_S))
            time.sleep(STEP_S)

    def close(self) -> None:
        self.stop_market()
        self.server.stop()
        self.tape.close()
        self._log.close()


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    scene = Scene(tmp_path, bars=240)
    yield scene
    scene.close()


@pytest.fixture
def empty_scene(tmp_path: Path) -> Iterator[Scene]:
    scene = Scene(tmp_path, bars=0)
    yield scene
    scene.close()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """The browser; skips with a reason where it or its driver is missing. It ends with the module: one driver at a time."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs the package playwright")
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


class Tab:
    """A page that keeps an account of what it asked for and what went wrong in it."""

    def __init__(self, browser: Any, width: int = 1440, height: int = 1000, scheme: str = "light") -> None:
        self.context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
        self.page = self.context.new_page()
        self.errors: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("websocket", lambda socket: self.requests.append(socket.url))


@pytest.fixture
def open_tab(chromium: Any) -> Iterator[Callable[..., Tab]]:
    """Opens tabs; at the end none may have logged an error or spoken to another host."""
    tabs: list[Tab] = []

    def make(**options: Any) -> Tab:
        tabs.append(Tab(chromium, **options))
        return tabs[-1]

    yield make
    for tab in tabs:
        tab.context.close()
        assert tab.errors == []
        foreign = [url for url in tab.requests if "//127.0.0.1:" not in url and not url.startswith("data:")]
        assert foreign == []


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where screenshots go; pytest keeps the folders of the last three sessions."""
    return tmp_path_factory.mktemp("pictures")
