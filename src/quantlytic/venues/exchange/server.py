"""The exchange in a box as a server: one thread, one port, REST and WebSocket."""

from __future__ import annotations

import asyncio
import errno
import secrets
import socket
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import msgspec
import uvicorn
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from quantlytic.model.errors import InputError, QuantlyticError, VenueError
from quantlytic.venues.exchange.box import Box
from quantlytic.venues.exchange.config import ExchangeConfig
from quantlytic.venues.exchange.faults import Faults
from quantlytic.venues.exchange.replay import ReplayMarket

LOOPBACK = ("127.0.0.1", "::1", "localhost")


class ExchangeServer:
    """An exchange that runs in a thread of its own between `start()` and `stop()`; also a context manager.

    `rest_url` is `http://host:port`, `stream_url` is `ws://host:port` (clients add `/ws/...` or `/stream?streams=...`).
    `faults` may be changed at any time, from any thread. `control_token` opens /box/faults to other processes.
    """

    def __init__(self, config: ExchangeConfig | None = None) -> None:
        self.config = config or ExchangeConfig()
        self.faults = Faults(self.config.fault_seed, **self.config.faults)
        self.control_token = secrets.token_urlsafe(24)
        self.failure: QuantlyticError | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._uvicorn: uvicorn.Server | None = None
        self._box: Box | None = None
        self._listening = threading.Event()
        self._port = 0

    @property
    def rest_url(self) -> str:
        """Where REST is, without a path."""
        return f"http://{self.config.host}:{self._port}"

    @property
    def stream_url(self) -> str:
        """Where WebSockets are, without a path."""
        return f"ws://{self.config.host}:{self._port}"

    def keys(self, account: str = "demo") -> tuple[str, str]:
        """(API key, secret) of an account."""
        return self._running().keys[account]

    def start(self) -> Self:
        """Returns when it listens. Raises InputError (port in use, bad setting), DataError (tape), StoreError (journal)."""
        listener = self._listen()
        self.failure = None
        self._listening.clear()
        self._thread = threading.Thread(target=self._run, args=(listener,), name="exchange", daemon=True)
        self._thread.start()
        self._listening.wait()
        if self.failure is not None:
            self._thread.join()
            raise self.failure
        return self

    def stop(self) -> None:
        """Close all connections and the journal. Harmless when it does not run."""
        if self._uvicorn is not None:
            self._uvicorn.should_exit = True
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until it has stopped by itself (`failure` says why); False when time is up."""
        if self._thread is not None:
            self._thread.join(timeout_s)
            return not self._thread.is_alive()
        return True

    def state(self) -> dict[str, Any]:
        """What GET /box/state answers."""
        state: dict[str, Any] = self._call(self._running().state)
        return state

    def begin_replay(self) -> None:
        """Start a replay that waits for this (`wait`), now."""
        market = self._running().market
        if isinstance(market, ReplayMarket):
            self._call(market.begin)

    def disconnect_all(self) -> None:
        """Break all WebSocket connections off, now."""
        self._call(self._running().hub.cut_all)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _running(self) -> Box:
        if self._box is None:
            raise InputError("the exchange is not running: call start() first")
        return self._box

    def _call(self, work: Any) -> Any:
        """Do something on the exchange's own thread."""
        assert self._loop is not None

        async def call() -> Any:
            return work()

        return asyncio.run_coroutine_threadsafe(call(), self._loop).result(30)

    def _listen(self) -> socket.socket:
        host, port = self.config.host, self.config.port
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        # the protocol is named because asyncio switches Nagle's delay off only for sockets that say they are TCP
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen(256)
        except OSError as error:
            listener.close()
            if error.errno == errno.EADDRINUSE:
                raise InputError(
                    f"port {port} on {host} is in use: is quantlytic running already? Choose another with "
                    "QUANTLYTIC_VENUE__BOX_PORT, or --port of `quantlytic exchange` (0 takes any free one)"
                ) from None
            raise InputError(f"cannot listen on {host} port {port}: {error.strerror}; choose another --port") from None
        self._port = listener.getsockname()[1]
        return listener

    def _run(self, listener: socket.socket) -> None:
        try:
            asyncio.run(self._serve(listener))
        except Exception as error:
            self._fail(error)
        finally:
            listener.close()
            self._listening.set()

    async def _serve(self, listener: socket.socket) -> None:
        self._loop = asyncio.get_running_loop()
        self._box = Box(self.config, self.faults, self._fail)
        app = _App(self._box, self.control_token)
        settings = uvicorn.Config(
            app,
            http="h11",
            ws="websockets-sansio",
            ws_per_message_deflate=False,
            ws_ping_timeout=None if self.config.replay else 60,  # a replay waits for its reader as long as it takes
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            timeout_graceful_shutdown=1,
        )
        self._uvicorn = uvicorn.Server(settings)
        driver = asyncio.create_task(self._box.drive())
        driver.add_done_callback(self._driver_done)
        announcer = asyncio.create_task(self._announce(self._uvicorn))
        try:
            await self._uvicorn.serve(sockets=[listener])
        finally:
            for task in (driver, announcer):
                task.cancel()
            await asyncio.gather(driver, announcer, return_exceptions=True)
            self._box.close()

    async def _announce(self, server: uvicorn.Server) -> None:
        while not server.started:
            await asyncio.sleep(0.005)
        self._listening.set()

    def _driver_done(self, driver: asyncio.Task[None]) -> None:
        error = None if driver.cancelled() else driver.exception()
        if error is not None:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        """The exchange cannot go on: better no exchange than a wrong one."""
        self.failure = error if isinstance(error, QuantlyticError) else VenueError(f"the exchange broke: {error!r}")
        if self._uvicorn is not None:
            self._uvicorn.should_exit = True


class _App:
    """Sends each request to its face: WebSocket, /box (control), or REST."""

    def __init__(self, box: Box, token: str) -> None:
        self._box = box
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._box.sockets(scope, receive, send)
        elif scope["path"].startswith("/box/"):
            request = Request(scope, receive)
            response = self._control(request, await request.body())
            await response(scope, receive, send)
        else:
            await self._box.rest(scope, receive, send)

    def _control(self, request: Request, body: bytes) -> Response:
        box, route = self._box, (request.method, request.url.path)
        if route == ("GET", "/box/state"):
            return _json(box.state())
        if not secrets.compare_digest(request.headers.get("x-box-token", ""), self._token):
            return _json({"error": "the header X-Box-Token must hold the token that the exchange printed"}, 403)
        if route == ("POST", "/box/faults"):
            return self._set_faults(body)
        if route == ("DELETE", "/box/faults"):
            box.faults.clear()
        elif route == ("POST", "/box/disconnect"):
            box.hub.cut_all()
        elif route == ("POST", "/box/start") and isinstance(box.market, ReplayMarket):
            box.market.begin()
        else:
            text = "there are GET state; POST and DELETE faults; POST disconnect; POST start (of a replay)"
            return _json({"error": text}, 404)
        return _json({})

    def _set_faults(self, body: bytes) -> Response:
        try:
            settings: Mapping[str, float] = msgspec.json.decode(body, type=dict[str, float])
            self._box.faults.set(settings)
        except (msgspec.MsgspecError, InputError) as error:
            return _json({"error": str(error)}, 400)
        return _json(self._box.faults.settings)


def _json(value: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")
