"""The web application: the page, what it fetches, and what a monitor asks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path

import msgspec
from fastapi import FastAPI, WebSocket
from fastapi.staticfiles import StaticFiles
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest
from starlette.responses import FileResponse, JSONResponse, Response

from quantlytic.model.errors import InputError
from quantlytic.web.halt import HaltDesk, add_halt_routes
from quantlytic.web.pages import FOLDER, mail_frame, main_page
from quantlytic.web.reader import TapeReader
from quantlytic.web.stream import Hub


class _Static(StaticFiles):
    """Files of the page: kept by the browser, asked about each time (they change with the version)."""

    def file_response(self, *args: object, **kwargs: object) -> Response:
        response = super().file_response(*args, **kwargs)  # type: ignore[arg-type]
        response.headers["Cache-Control"] = "no-cache"
        return response


def chart_library() -> Path:
    """The chart library's file inside the `litecharts` wheel, found without importing the package."""
    spec = find_spec("litecharts")
    path = Path(spec.origin).parent / "js" / "lightweight-charts.js" if spec and spec.origin else None
    if path is None or not path.is_file():
        raise InputError("the chart library is missing: install the package litecharts 0.2.0")
    return path


def make_app(reader: TapeReader, hub: Hub, venue: str, halt: HaltDesk | None = None) -> FastAPI:
    """Routes without protection: wrap the application in a `Guard`. With `halt` the page can stop trading."""
    library = chart_library()

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        hub.attach()
        yield
        hub.detach()

    app = FastAPI(title="Quantlytic", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    metrics = _metrics(reader, hub)

    @app.get("/static/lightweight-charts.js")
    def chart_script() -> Response:
        return FileResponse(library, media_type="text/javascript", headers={"Cache-Control": "no-cache"})

    app.mount("/static", _Static(directory=FOLDER / "static"), name="static")

    @app.get("/")
    def index() -> Response:
        return main_page(venue, can_halt=halt is not None)

    @app.get("/health")
    def health() -> Response:
        state, age_ms = reader.feed()["state"], reader.feed()["age_ms"]
        status = "failed" if reader.problem or not reader.alive else state
        body = {"status": status, "feed_age_s": None if age_ms is None else age_ms / 1000}
        return JSONResponse(body, 503 if status == "failed" else 200)

    @app.get("/metrics")
    def metrics_text() -> Response:
        return Response(generate_latest(metrics), media_type=CONTENT_TYPE_LATEST)

    @app.get("/api/snapshot")
    def snapshot(run: str | None = None, series: str | None = None) -> Response:
        return Response(reader.snapshot(run, series), media_type="application/json")

    @app.get("/api/models")
    def models() -> Response:
        return Response(msgspec.json.encode(reader.models()), media_type="application/json")

    @app.get("/api/mails/{name}")
    def mail(name: str) -> Response:
        found = reader.open_mail(name)
        if found is None:
            return JSONResponse({"error": f"there is no mail {name!r} in the outbox"}, 404)
        body = {"mail": found.mail, "text": found.text, "has_html": bool(found.html)}
        return Response(msgspec.json.encode(body), media_type="application/json")

    @app.get("/api/mails/{name}/html")
    def mail_html(name: str) -> Response:
        found = reader.open_mail(name)
        return mail_frame(found) if found else JSONResponse({"error": "there is no such mail"}, 404)

    if halt is not None:
        add_halt_routes(app, halt, reader.held)

    @app.websocket("/stream")
    async def stream(socket: WebSocket) -> None:
        await hub.serve(socket, reader.snapshot)

    return app


def _metrics(reader: TapeReader, hub: Hub) -> CollectorRegistry:
    registry = CollectorRegistry()
    figures = {
        "quantlytic_web_pages": ("Pages that are open.", lambda: hub.clients),
        "quantlytic_web_dropped_pages": ("Pages sent away because they were too slow.", lambda: hub.dropped),
        "quantlytic_feed_age_seconds": ("Age of the last market message.", lambda: _number(reader, "age_ms", 1e-3)),
        "quantlytic_feed_lag_seconds": ("Median feed lag.", lambda: _number(reader, "lag_p50_ms", 1e-3)),
        "quantlytic_feed_messages": ("Market messages seen by the page's server.", lambda: _number(reader, "total", 1)),
    }
    for name, (text, read) in figures.items():
        Gauge(name, text, registry=registry).set_function(read)
    return registry


def _number(reader: TapeReader, key: str, unit: float) -> float:
    value = reader.feed()[key]
    return float("nan") if value is None else value * unit
