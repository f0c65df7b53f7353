"""What a process tells about its services: `/health` for a watchdog, `/metrics` for Prometheus."""

from __future__ import annotations

import errno
import json
import secrets
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from quantlytic.model.errors import InputError

STUCK_AFTER_S = 30.0


class Meter:
    """One service's figures. Written by its own thread after each pump, read by any."""

    def __init__(self) -> None:
        self.name = "starting"
        self.events = 0
        self.pumps = 0
        self.last_pump_s = time.monotonic()

    def pumped(self, events: int) -> None:
        """A pump has ended."""
        self.events += events
        self.pumps += 1
        self.last_pump_s = time.monotonic()

    @property
    def age_s(self) -> float:
        """Seconds since the last pump ended: an idle service pumps twice a second, a stuck one not at all."""
        return time.monotonic() - self.last_pump_s


class Monitor:
    """Answers on loopback between `start` and `stop`. `/health` is open; `/metrics` asks for the page's token."""

    def __init__(self, host: str, port: int, token: str, meters: list[Meter]) -> None:
        self._address, self._token, self._meters = (host, port), token, meters
        self._server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://{self._address[0]}:{self._server.server_port}"

    def __enter__(self) -> Self:
        try:
            self._server = ThreadingHTTPServer(self._address, self._handler())
        except OSError as error:
            why = "in use" if error.errno == errno.EADDRINUSE else (error.strerror or str(error))
            raise InputError(
                f"the monitor cannot listen on port {self._address[1]} ({why}); choose another: QUANTLYTIC_MONITOR__PORT"
            ) from None
        threading.Thread(target=self._server.serve_forever, name="monitor", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()

    def health(self) -> dict[str, object]:
        """`status` is ok, or stuck when a service has not come back from its work for half a minute."""
        services = [{"service": m.name, "events": m.events, "age_s": round(m.age_s, 1)} for m in list(self._meters)]
        stuck = any(meter.age_s > STUCK_AFTER_S for meter in list(self._meters))
        return {"status": "stuck" if stuck else "ok", "services": services}

    def metrics(self) -> bytes:
        """Prometheus' text format."""
        from prometheus_client import CollectorRegistry, Gauge, generate_latest

        registry = CollectorRegistry()
        events = Gauge(
            "quantlytic_service_events_total", "Events consumed since the start.", ["service"], registry=registry
        )
        pumps = Gauge("quantlytic_service_pumps_total", "Turns taken since the start.", ["service"], registry=registry)
        age = Gauge(
            "quantlytic_service_age_seconds", "Seconds since the last turn ended.", ["service"], registry=registry
        )
        for meter in list(self._meters):
            events.labels(meter.name).set(meter.events)
            pumps.labels(meter.name).set(meter.pumps)
            age.labels(meter.name).set(meter.age_s)
        return generate_latest(registry)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        monitor = self

        class Handler(BaseHTTPRequestHandler):
            timeout = 10

            def do_GET(self) -> None:
                if self.path == "/health":
                    health = monitor.health()
                    self._answer(
                        200 if health["status"] == "ok" else 503, json.dumps(health).encode(), "application/json"
                    )
                elif self.path != "/metrics":
                    self._answer(404, b"there are /health and /metrics\n", "text/plain")
                elif not secrets.compare_digest(self.headers.get("Authorization", ""), f"Bearer {monitor._token}"):
                    self._answer(401, b"send the page's token: Authorization: Bearer TOKEN\n", "text/plain")
                else:
                    self._answer(200, monitor.metrics(), "text/plain; version=0.0.4; charset=utf-8")

            def _answer(self, status: int, body: bytes, kind: str) -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Requests are not logged."""

        return Handler
