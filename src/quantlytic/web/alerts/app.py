"""The alert service as a web application."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException as AnyHTTPException
from starlette.responses import JSONResponse, Response

from quantlytic.model.errors import InputError, StoreError
from quantlytic.store.control.control import Control
from quantlytic.store.control.links import Links
from quantlytic.web.alerts.api import make_api
from quantlytic.web.alerts.choices import Offer
from quantlytic.web.alerts.clerk import Clerk
from quantlytic.web.alerts.desk import Desk, TooOften
from quantlytic.web.alerts.forms import make_pages
from quantlytic.web.alerts.pages import FOLDER, page
from quantlytic.web.alerts.shield import refuse, too_often

_ABOUT = (
    "Sign up for alerts, confirm, choose, stop. Every address is confirmed by a mailed link before anything else is sent "
    "to it, every mail can end the next one with one click, and no answer tells who is subscribed.\n\n"
    'Errors are JSON objects with one line: `{"error": "..."}`.'
)
_log = logging.getLogger(__name__)


def make_alerts_app(
    control: Control,
    *,
    secret: bytes,
    base_url: str,
    allow: Sequence[str],
    instruments: Sequence[str],
    strategies: Sequence[str],
    channels: Mapping[str, str] | None = None,
    wake: Callable[[], None] | None = None,
    on_new_instrument: Callable[[str], None] | None = None,
) -> FastAPI:
    """The application without protection: wrap it in a `Shield`.

    secret, base_url     as of `Links`.
    allow                who may sign up: addresses, "*@domain" or "anyone"; none: nobody. Those of the preference
                         "alerts.allow" count as well.
    instruments          those that are tracked; `strategies`: those that run. What there is to choose from.
    channels             operators' channels that can be tested: name -> kind of channel, such as "apprise".
    wake                 called when a message was queued; `on_new_instrument` when somebody wants one that is not tracked.

    Raises InputError for a bad secret, address or rule.
    """
    nothing: Callable[..., None] = _nothing
    links = Links(secret, base_url)
    clerk = Clerk(control, links, allow, wake or nothing)
    offer = Offer(instruments, strategies, control.wanted)
    desk = Desk(
        control, links, offer, channels=channels or {}, wake=wake or nothing, wake_clerk=clerk.ring,
        on_new_instrument=on_new_instrument or nothing,
    )  # fmt: skip

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        clerk.start()
        yield
        clerk.stop()

    app = FastAPI(
        title="Quantlytic alerts", version=version("quantlytic"), description=_ABOUT, lifespan=lifespan, docs_url=None,
        redoc_url=None, openapi_url="/openapi.json", separate_input_output_schemas=False,
    )  # fmt: skip
    app.mount("/static", StaticFiles(directory=FOLDER / "static"), name="static")
    app.include_router(make_pages(desk, offer))
    app.include_router(make_api(desk))

    @app.get("/docs", include_in_schema=False)
    def docs() -> Response:
        return page("docs", api=app.openapi(), base_url=links.base_url)

    @app.get("/health", include_in_schema=False)
    def health() -> Response:
        control.messages.positions("")  # the store answers, or the handler below says that it does not
        return JSONResponse({"status": "live"})

    _add_errors(app)
    return app


def _nothing(*_given: object) -> None:
    pass


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(TooOften)
    def too_soon(request: Request, error: TooOften) -> Response:
        return too_often(request.scope, str(error), error.wait_s)

    @app.exception_handler(InputError)
    def bad_input(request: Request, error: InputError) -> Response:
        return refuse(request.scope, 400, str(error))

    @app.exception_handler(StoreError)
    def bad_store(request: Request, error: StoreError) -> Response:
        _log.error("%s", error)
        return refuse(request.scope, 503, "The store of the subscriptions cannot be used just now: try again later.")

    @app.exception_handler(RequestValidationError)
    def bad_request(request: Request, error: RequestValidationError) -> Response:
        return refuse(request.scope, 422, _line(error.errors()[0]))

    @app.exception_handler(AnyHTTPException)
    def other(request: Request, error: HTTPException) -> Response:
        reason = "There is nothing at this address." if error.status_code == 404 else str(error.detail)
        response = refuse(request.scope, error.status_code, reason)
        response.headers.update(error.headers or {})
        methods = app.openapi()["paths"].get(request.url.path)
        if error.status_code == 405 and methods:  # the first route of that path knows of its own method only
            response.headers["Allow"] = ", ".join(sorted(methods)).upper()
        return response


def _line(problem: Any) -> str:
    """Where and what; never what was given, which may be anything."""
    where = ".".join(ascii(part).strip("'") for part in problem["loc"][1:])
    return f"{where}: {problem['msg']}" if where else str(problem["msg"])
