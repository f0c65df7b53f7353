"""Who is told, and by which ways."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from quantlytic.app.config import ChannelSettings, Settings
from quantlytic.app.wiring.stores import Stores
from quantlytic.model.errors import InputError
from quantlytic.model.run import Run
from quantlytic.model.time import duration_ns
from quantlytic.store.log.port import Log

if TYPE_CHECKING:
    from quantlytic.services.service import Service
    from quantlytic.telling.channels import Channel
    from quantlytic.telling.delivery import Operator


class Telling:
    """The notifier's services under these settings."""

    def __init__(self, settings: Settings, stores: Stores) -> None:
        self._settings, self._stores = settings, stores

    def builders(self, runs: Callable[[], Sequence[Run]]) -> list[Callable[[Log], Service]]:
        """The fan-out, which asks for the `runs` to follow now and then, and a courier for each channel."""
        from quantlytic.services.notifier import notifier_builders
        from quantlytic.store.control.links import Links
        from quantlytic.telling.record import Records

        notify, home, control = self._settings.notify, self._stores.home, self._stores.control()
        alerts = self._settings.alerts
        base_url = alerts.base_url or (f"http://{alerts.host}:{alerts.port}" if alerts.port else "")
        secret = self._stores.secret("alerts-secret", "the secret that signs links").encode()
        return notifier_builders(
            control,
            runs,
            self._channels(),
            sender=notify.sender,
            operators=self.operators(),
            links=Links(secret, base_url) if base_url else None,
            records=Records(control, home),
            per_hour=notify.per_hour,
            stale_ns=duration_ns(notify.stale),
            remind_ns=duration_ns(notify.remind),
        )

    def operators(self) -> list[Operator]:
        """Those whom the settings name: `recipient` by mail, the webhook, and each of `channels`."""
        from quantlytic.telling.delivery import Operator
        from quantlytic.telling.mail import check_address

        notify = self._settings.notify
        kinds = tuple(notify.kinds)
        found = [Operator(notify.recipient, "mail", check_address(notify.recipient, "notify.recipient"), kinds)]
        if notify.webhook_url is not None:
            found.append(Operator("webhook", "webhook", "", kinds))
        for name, one in notify.channels.items():
            queue = "mail" if one.kind == "mail" else name
            found.append(Operator(name, queue, one.address, tuple(one.kinds), one.near_bps))
        return found

    def queues(self) -> dict[str, str]:
        """Channel -> its kind: what operators may send a test to."""
        return {one.name: one.channel for one in self.operators()}

    def _channels(self) -> dict[str, Channel]:
        """Queue -> the way that works it off."""
        from quantlytic.telling.channels import Outbox, Smtp, Webhook

        notify = self._settings.notify
        found: dict[str, Channel] = {}
        if notify.smtp_host:
            password = notify.smtp_password.get_secret_value() if notify.smtp_password else ""
            found["mail"] = Smtp(notify.smtp_host, notify.smtp_port, notify.smtp_user, password, notify.smtp_starttls)
        else:
            found["mail"] = Outbox(self._stores.home / "outbox")
        if notify.webhook_url is not None:
            found["webhook"] = Webhook(notify.webhook_url.get_secret_value())
        found |= {name: _channel(name, one) for name, one in notify.channels.items() if one.kind != "mail"}
        return found


def _channel(name: str, settings: ChannelSettings) -> Channel:
    from quantlytic.telling.channels import AppriseChannel, Webhook

    if settings.url is None:
        raise InputError(f"channel {name!r} has no address: set QUANTLYTIC_NOTIFY__CHANNELS__{name.upper()}__URL")
    url = settings.url.get_secret_value()
    return Webhook(url, name) if settings.kind == "webhook" else AppriseChannel(url, name)
