from __future__ import annotations

import socket
import threading
import time
from pathlib import Path

import httpx
import pytest
from tests.web.conftest import TOKEN

from quantlytic.model.errors import InputError
from quantlytic.store.log.sqlite import SqliteLog
from quantlytic.web.server import WebServer


def make(tmp_path: Path, port: int = 0, **kwargs: str) -> WebServer:
    return WebServer(
        lambda: SqliteLog(tmp_path / "log"), venue="box", outbox=tmp_path / "outbox", token=TOKEN, port=port, **kwargs
    )  # type: ignore[arg-type]


def test_starts_stops_and_leaves_nothing_behind(tmp_path: Path) -> None:
    before = threading.active_count()
    server = make(tmp_path)
    server.start()
    port = int(server.address.rsplit(":", 1)[1].strip("/"))
    assert server.url == f"http://127.0.0.1:{port}/?token={TOKEN}"
    assert httpx.get(server.address + "health").json() == {"status": "waiting", "feed_age_s": None}
    server.stop()
    server.stop()
    assert threading.active_count() <= before + 1  # sqlite or anyio may keep one worker
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", port))


def test_a_port_in_use_is_one_clear_line(tmp_path: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        with pytest.raises(InputError) as caught:
            make(tmp_path, port).start()
    message = str(caught.value)
    assert f"port {port} on 127.0.0.1 is in use" in message
    assert "QUANTLYTIC_WEB__PORT" in message
    assert "\n" not in message


def test_a_host_that_is_not_ours(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot listen on 192\.0\.2\.1"):
        make(tmp_path, host="192.0.2.1").start()


def test_a_short_token_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="too short"):
        WebServer(lambda: SqliteLog(tmp_path), venue="box", outbox=tmp_path, token="abc")


def test_stopping_does_not_wait_for_open_pages(tmp_path: Path) -> None:
    from websockets.sync.client import connect

    server = make(tmp_path)
    server.start()
    address = server.address.replace("http", "ws") + "stream"
    with connect(address, additional_headers={"Authorization": f"Bearer {TOKEN}"}) as page:
        assert page.recv()
        began = time.monotonic()
        server.stop()
        assert time.monotonic() - began < 5.0
