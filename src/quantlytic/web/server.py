"""The page's server, in a thread of its own: start it, show its address, stop it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from quantlytic.model.errors import InputError, StoreError
from quantlytic.model.run import Run
from quantlytic.model.time import duration_ns
from quantlytic.store.log.port import Log
from quantlytic.web.api import make_app
from quantlytic.web.guard import Guard
from quantlytic.web.halt import HaltDesk
from quantlytic.web.reader import TapeReader
from quantlytic.web.serving import Serving, address_of
from quantlytic.web.stream import Hub
from quantlytic.web.views import Dashboard

_MIN_TOKEN = 16


class WebServer:
    """The page of one venue and the runs on it, at `http://host:port/`.

    open_log      makes a handle on the tape; called in the reader's thread, which closes it.
    venue         the page follows `market.VENUE`, `bars.VENUE`, `deliveries`, and the runs' decisions and executions.
    outbox        folder of .eml files; it need not exist.
    token         the secret that opens the page, at least 16 characters.
    host, port    where to listen; port 0 takes a free one. `allowed_hosts`: further names in the address of the page
                  (behind a proxy or a tunnel); all others but loopback names and `host` are refused.
    bar_sizes     sizes drawn from trades before the first bar has closed, such as ("1s", "1m").
    list_runs     the runs that the control store knows, oldest first: gives mode, strategy and parameters. Called in
                  the reader's thread every two seconds.
    warmup_bars   bars the strategy needs before its first signal, if known.
    stale_after_s a feed silent for longer is marked stale.
    halt          what the red button does; None: there is none.
    kind_of       the kind of a model by its id, "" if that cannot be known; called in the reader's thread, once a challenger.
    count_held    messages that wait because of a recipient's hourly limit; called in the reader's thread every two seconds.
    """

    def __init__(
        self,
        open_log: Callable[[], Log],
        *,
        venue: str,
        outbox: Path,
        token: str,
        host: str = "127.0.0.1",
        port: int = 8787,
        allowed_hosts: Sequence[str] = (),
        bar_sizes: Sequence[str] = (),
        list_runs: Callable[[], Iterable[Run]] = tuple,
        warmup_bars: int | None = None,
        stale_after_s: float = 2.0,
        halt: HaltDesk | None = None,
        kind_of: Callable[[str], str] = lambda _model_id: "",
        count_held: Callable[[], int] = int,
    ) -> None:
        if len(token) < _MIN_TOKEN:
            raise InputError(f"the page's token is too short: take at least {_MIN_TOKEN} random characters")
        self._venue, self._host, self._port, self._token = venue, host, port, token
        self._allowed_hosts, self._halt = (host, *allowed_hosts), halt
        dashboard = Dashboard(venue, [duration_ns(size) for size in bar_sizes], stale_after_s, warmup_bars)
        self._hub = Hub()
        self._reader = TapeReader(
            open_log, dashboard, outbox,
            list_runs=list_runs, publish=self._hub.publish, kind_of=kind_of, count_held=count_held,
        )  # fmt: skip
        self._serving: Serving | None = None

    @property
    def address(self) -> str:
        """The address without the token, for people to read."""
        return address_of(self._host, self._port)

    @property
    def url(self) -> str:
        """The address with the token: opens the page once and for all in a browser. A secret."""
        return f"{self.address}?token={self._token}"

    @property
    def clients(self) -> int:
        """How many pages are open."""
        return self._hub.clients

    def state(self) -> dict[str, Any]:
        """What the page shows of the current run now, for other screens in this process."""
        return self._reader.state()

    def start(self) -> None:
        """Listen and follow the tape; returns when the page can be opened.

        Raises InputError, in one line, when the address cannot be taken.
        """
        serving = Serving(self._host, self._port, "web")
        self._port, self._serving = serving.port, serving
        app = make_app(self._reader, self._hub, self._venue, self._halt)
        self._reader.start()
        try:
            serving.start(Guard(app, self._token, self._allowed_hosts, self._port))
        except StoreError:
            self.stop()
            raise

    def stop(self) -> None:
        """End: pages are told, the port is free, the log is closed. Twice is as good as once."""
        if self._serving is not None:
            self._serving.stop()
        self._reader.stop()

    def __enter__(self) -> WebServer:
        self.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()
