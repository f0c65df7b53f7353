"""An application served on an address, in a thread of its own."""

from __future__ import annotations

import errno
import socket
import threading
import time

import uvicorn
from starlette.types import ASGIApp

from quantlytic.model.errors import InputError, StoreError

_START_S = 20.0


class Serving:
    """Takes an address at once (port 0: a free one), serves an application there from `start` to `stop`.

    `section` names the settings in errors, such as "web". Raises InputError, in one line, when the address cannot be taken.
    """

    def __init__(self, host: str, port: int, section: str) -> None:
        self._listener = _listen(host, port, section)
        self._section = section
        self.host, self.port = host, int(self._listener.getsockname()[1])
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def address(self) -> str:
        """`http://host:port/`."""
        return address_of(self.host, self.port)

    def start(self, app: ASGIApp) -> None:
        """Serve; returns when requests are answered. Raises StoreError when the application does not start."""
        config = uvicorn.Config(
            app, log_level="warning", access_log=False, server_header=False, proxy_headers=False, lifespan="on",
            ws="websockets-sansio", ws_max_size=4096, ws_per_message_deflate=False, timeout_graceful_shutdown=2,
        )  # fmt: skip
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._serve, name=f"{self._section}-server", daemon=True)
        self._thread.start()
        until = time.monotonic() + _START_S
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > until:
                self.stop()
                raise StoreError(f"the page's server at {self.address} did not start; see the log above")
            time.sleep(0.01)

    def stop(self) -> None:
        """End: connections are told, the port is free. Twice is as good as once."""
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join(timeout=10)
        self._listener.close()

    def _serve(self) -> None:
        assert self._server is not None
        with self._listener:
            self._server.run(sockets=[self._listener])


def address_of(host: str, port: int) -> str:
    """`http://host:port/`, an IPv6 address in brackets."""
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def _listen(host: str, port: int, section: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # named, or asyncio leaves Nagle on
    variable = f"QUANTLYTIC_{section.upper()}"
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        how = f"choose another with {variable}__PORT=8790, or port under [{section}] in quantlytic.toml (0: a free one)"
        if error.errno == errno.EADDRINUSE:
            raise InputError(f"port {port} on {host} is in use by another program; {how}") from None
        if error.errno == errno.EACCES:
            raise InputError(f"port {port} on {host} may not be used by this user; {how}") from None
        why = error.strerror or error
        raise InputError(f"cannot listen on {host}:{port}: {why}; mend {variable}__HOST") from None
    return listener
