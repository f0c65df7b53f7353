"""The red button: stop the account's trading from the page, see that it is stopped, let it go again by name."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import msgspec
from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse

from quantlytic.model.errors import InputError, QuantlyticError

MAX_BODY_BYTES = 4096


class KillBody(msgspec.Struct, forbid_unknown_fields=True):
    """POST /api/kill. `typed`: the account's name, needed to `flatten` (sell what is held)."""

    flatten: bool = False
    typed: str = ""


class ReleaseBody(msgspec.Struct, forbid_unknown_fields=True):
    """POST /api/release. `typed`: the account's name."""

    typed: str


_KILL, _RELEASE = msgspec.json.Decoder(KillBody), msgspec.json.Decoder(ReleaseBody)


class HaltDesk:
    """What the page may do about trading. The callables may block, for a minute too; they are called in threads.

    In other modes than live there is nothing to stop: the page shows the latch, and may release it.

    kill     (flatten, typed) -> the report, with `is_verified` and `lines` for people. Raises InputError for a wrong name.
    release  (typed) -> the state afterwards. Raises InputError for a wrong name.
    state    () -> {account, mode, halted, cause, by, text, event_time (ns UTC)}; quick, never needs the log.
    """

    def __init__(
        self,
        kill: Callable[[bool, str], dict[str, Any]],
        release: Callable[[str], dict[str, Any]],
        state: Callable[[], dict[str, Any]],
    ) -> None:
        self._kill, self._release, self._state = kill, release, state
        self._turn = threading.Lock()
        self._report: dict[str, Any] | None = None

    def state(self) -> dict[str, Any]:
        """The account's state; `is_working` while a kill is under way; `report`: of the last one from this page."""
        return self._state() | {"is_working": self._turn.locked(), "report": self._report}

    def kill(self, body: KillBody) -> dict[str, Any]:
        """Pull it, once at a time. Raises InputError where nothing is traded."""
        if (mode := self._state()["mode"]) != "live":
            raise InputError(
                f"in mode {mode} no order goes to a venue, so there is nothing to stop; quantlytic kill stops the account itself"
            )
        if not self._turn.acquire(blocking=False):
            raise InputError("a kill is under way: its result will be shown when it is done")
        try:
            self._report = self._kill(body.flatten, body.typed)
        finally:
            self._turn.release()
        return self.state()

    def release(self, body: ReleaseBody) -> dict[str, Any]:
        """Let the account trade again."""
        self._release(body.typed)
        self._report = None
        return self.state()


def add_halt_routes(app: FastAPI, desk: HaltDesk, held: Callable[[], list[dict[str, Any]]] = list) -> None:
    """GET /api/halt, POST /api/kill, POST /api/release. The guard has checked token and origin. `held`: what the live runs hold,
    by instrument, as the page's view has it."""

    @app.get("/api/halt")
    def state() -> JSONResponse:
        return JSONResponse(desk.state() | {"held": held()})

    @app.post("/api/kill")
    async def kill(request: Request) -> JSONResponse:
        return await _answer(request, _KILL, lambda body: desk.kill(body) | {"held": held()})

    @app.post("/api/release")
    async def release(request: Request) -> JSONResponse:
        return await _answer(request, _RELEASE, lambda body: desk.release(body) | {"held": held()})


async def _answer(
    request: Request, decoder: msgspec.json.Decoder[Any], work: Callable[[Any], dict[str, Any]]
) -> JSONResponse:
    """Errors are one line, as on the command line: 400 what cannot be read, 422 what is refused, 503 what failed."""
    payload = bytearray()
    async for piece in request.stream():
        payload += piece
        if len(payload) > MAX_BODY_BYTES:
            return JSONResponse({"error": f"more than {MAX_BODY_BYTES} bytes"}, 413)
    try:
        body = decoder.decode(bytes(payload))
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        return JSONResponse({"error": f"the request cannot be read: {error}"}, 400)
    try:
        return JSONResponse(await run_in_threadpool(work, body))
    except InputError as error:
        return JSONResponse({"error": str(error)}, 422)
    except QuantlyticError as error:
        return JSONResponse({"error": str(error)}, 503)
