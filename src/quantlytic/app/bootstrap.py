"""The only place that wires: settings in, everything that can be started out."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from quantlytic.app.config import Settings
from quantlytic.app.wiring.account import TradedAccount
from quantlytic.app.wiring.edge import Edge
from quantlytic.app.wiring.halting import Halting
from quantlytic.app.wiring.runs import Runs
from quantlytic.app.wiring.services import Services
from quantlytic.app.wiring.stores import Stores
from quantlytic.app.wiring.telling import Telling
from quantlytic.model.errors import QuantlyticError

if TYPE_CHECKING:
    from quantlytic.app.monitor import Meter, Monitor
    from quantlytic.web.alerts.server import AlertsServer
    from quantlytic.web.halt import HaltDesk
    from quantlytic.web.server import WebServer


class Bootstrap:
    """Stores, the edge of the world, runs and services of these settings. Nothing is opened before it is asked for."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.stores = Stores(settings)
        self.edge = Edge(settings, self.stores)
        self.runs = Runs(settings, self.stores, self.edge)
        self.account = TradedAccount(settings, self.stores)
        self.halting = Halting(settings, self.stores, self.edge, self.account)
        self.services = Services(settings, self.stores, self.edge, self.runs, self.account, self.halting)

    def web(self) -> WebServer:
        """The page's server, not started."""
        from quantlytic.web.server import WebServer

        self.stores.log_handle().close()  # a log that cannot be opened is told here, in one line, not by the page's thread
        web = self.settings.web
        return WebServer(
            self.stores.log_handle,
            venue=self.edge.venue,
            outbox=self.stores.home / "outbox",
            token=self.stores.token(),
            host=web.host,
            port=web.port,
            bar_sizes=tuple(self.settings.bar_sizes),
            list_runs=self.runs.known,
            halt=self._halt_desk(),
            kind_of=self._kind_of,
            count_held=self._count_held,
        )

    def _kind_of(self, model_id: str) -> str:
        """What a model is (lightgbm, knn ...); "" where that cannot be read."""
        from quantlytic.learn.registry.registry import Registry

        try:
            return Registry(self.stores.home / "lake").manifest(model_id).kind
        except QuantlyticError:
            return ""

    def _count_held(self) -> int:
        """Messages that wait because of a recipient's hourly limit."""
        with self.stores.control() as control:
            return sum(control.messages.held().values())

    def _halt_desk(self) -> HaltDesk:
        """The red button; the page says what it means where no money is traded."""
        from quantlytic.web.halt import HaltDesk

        return HaltDesk(self.halting.kill, self.halting.release, self.halting.halt_state)

    def alerts(self) -> AbstractContextManager[AlertsServer]:
        """The alert service's pages and API, not started."""
        from quantlytic.web.alerts.server import AlertsServer

        given, control = self.settings.alerts, self.stores.control()
        known = {one.id for one in control.instruments.list()} | set(self.settings.daily.instruments)
        running = {one.name for one in self.settings.running} | set(self.settings.daily.strategies) - {"recommended"}
        return AlertsServer(
            control,
            secret=self.stores.secret("alerts-secret", "the secret that signs links").encode(),
            instruments=sorted(known),
            strategies=sorted(running),
            channels=Telling(self.settings, self.stores).queues(),
            **given.model_dump(),
        )

    def monitor(self, meters: list[Meter]) -> AbstractContextManager[Monitor | None]:
        """`/health` and `/metrics` of this process, when the settings ask for them."""
        from quantlytic.app.monitor import Monitor

        where = self.settings.monitor
        return nullcontext() if where.port is None else Monitor(where.host, where.port, self.stores.token(), meters)
