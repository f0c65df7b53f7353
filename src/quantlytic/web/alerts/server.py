"""The alert service's server, in a thread of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from urllib.parse import urlsplit

from quantlytic.model.errors import InputError
from quantlytic.store.control.control import Control
from quantlytic.web.alerts.app import make_alerts_app
from quantlytic.web.alerts.shield import Shield
from quantlytic.web.serving import Serving


class AlertsServer:
    """The pages and the API at `http://host:port/`; the address is taken at once, and answered from `start` to `stop`.

    control     the control store; it stays the caller's to close, after `stop`.
    base_url    what mailed links begin with, for those who read the mails elsewhere; "": the server's own address.
    allowed_hosts, trusted_proxies    as of `Shield`; the name in `base_url` is allowed as well.

    The others are as of `make_alerts_app`. Raises InputError, in one line, for what cannot be.
    """

    def __init__(
        self,
        control: Control,
        *,
        secret: bytes,
        allow: Sequence[str],
        instruments: Sequence[str],
        strategies: Sequence[str],
        base_url: str = "",
        channels: Mapping[str, str] | None = None,
        wake: Callable[[], None] | None = None,
        on_new_instrument: Callable[[str], None] | None = None,
        host: str = "127.0.0.1",
        port: int = 8788,
        allowed_hosts: Sequence[str] = (),
        trusted_proxies: Sequence[str] = (),
    ) -> None:
        self._serving = Serving(host, port, "alerts")
        self.base_url = (base_url or self.address).rstrip("/")
        try:
            app = make_alerts_app(
                control, secret=secret, base_url=self.base_url, allow=allow, instruments=instruments,
                strategies=strategies, channels=channels, wake=wake, on_new_instrument=on_new_instrument,
            )  # fmt: skip
            public = urlsplit(self.base_url).hostname or host
            self._app = Shield(app, (public, host, *allowed_hosts), trusted_proxies=trusted_proxies)
        except ValueError as error:
            self.stop()
            raise InputError(f"trusted_proxies of [alerts]: {error}; write addresses or networks") from None
        except BaseException:
            self.stop()
            raise

    @property
    def address(self) -> str:
        """Where it listens."""
        return self._serving.address

    def start(self) -> None:
        """Answer requests from now on; returns when it does."""
        self._serving.start(self._app)

    def stop(self) -> None:
        """End; what was asked for by then is worked off now or at the next start. Twice is as good as once."""
        self._serving.stop()

    def __enter__(self) -> AlertsServer:
        self.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()
