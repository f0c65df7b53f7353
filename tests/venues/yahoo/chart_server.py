"""A local server that answers as Yahoo's chart API does, and a session that takes yfinance there instead of to Yahoo."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit, urlunsplit

import requests
from requests.adapters import HTTPAdapter


class Charts:
    """What the server says: `charts` by ticker, as Yahoo's JSON; `status` and `body` instead of it where set. `asked`: paths."""

    def __init__(self) -> None:
        self.charts: dict[str, dict[str, Any]] = {}
        self.status, self.body = 200, b""
        self.asked: list[str] = []

    def answer(self, path: str) -> tuple[int, bytes]:
        parts = urlsplit(path)
        self.asked.append(path)
        if parts.path.endswith("/getcrumb"):
            return 200, b"crumb"
        if parts.path.startswith("/v10/finance/quoteSummary/"):
            error = {"code": "Not Found", "description": "Quote not found for symbol"}
            return 404, json.dumps({"quoteSummary": {"result": None, "error": error}}).encode()
        if not parts.path.startswith("/v8/finance/chart/"):
            return 200, b"<html></html>"
        if self.body or self.status != 200:
            return self.status, self.body
        symbol = parts.path.rpartition("/")[2]
        if symbol not in self.charts:
            error = {"code": "Not Found", "description": "No data found, symbol may be delisted"}
            return 404, json.dumps({"chart": {"result": None, "error": error}}).encode()
        query = parse_qs(parts.query)
        first, last = (int(query[name][0]) if name in query else None for name in ("period1", "period2"))
        return 200, json.dumps({"chart": {"result": [cut(self.charts[symbol], first, last)], "error": None}}).encode()


def cut(chart: dict[str, Any], first: int | None, last: int | None) -> dict[str, Any]:
    """The rows within the period asked for, as Yahoo does it; of events all that fall into it."""

    def inside(time: int) -> bool:
        return (first is None or time >= first) and (last is None or time < last)

    kept = [at for at, time in enumerate(chart["timestamp"]) if inside(time)]
    quote = {name: [values[at] for at in kept] for name, values in chart["indicators"]["quote"][0].items()}
    adjusted = [chart["indicators"]["adjclose"][0]["adjclose"][at] for at in kept]
    events = {
        kind: {key: event for key, event in found.items() if inside(event["date"])}
        for kind, found in chart.get("events", {}).items()
    }
    return {
        "meta": chart["meta"],
        "timestamp": [chart["timestamp"][at] for at in kept],
        "events": {kind: found for kind, found in events.items() if found},
        "indicators": {"quote": [quote], "adjclose": [{"adjclose": adjusted}]},
    }


class _Redirected(HTTPAdapter):
    """Sends whatever is meant for Yahoo to the local server."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self._port = port

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        assert request.url is not None
        parts = urlsplit(request.url)
        assert parts.hostname is not None
        assert parts.hostname.endswith("yahoo.com")
        request.url = urlunsplit(("http", f"127.0.0.1:{self._port}", parts.path, parts.query, ""))
        return super().send(request, *args, **kwargs)


def session_to(port: int) -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    for scheme in ("http://", "https://"):
        session.mount(scheme, _Redirected(port))
    return session


@contextmanager
def serving(charts: Charts) -> Iterator[int]:
    """The server's port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = charts.answer(self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
