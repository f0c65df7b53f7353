"""The notifier: one service reads the tape and queues messages, and one a channel carries them out, each in its own thread."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from quantlytic.model.run import Run
from quantlytic.services.service import Service
from quantlytic.store.control.control import Control
from quantlytic.store.control.links import Links
from quantlytic.store.log.port import Log
from quantlytic.telling.channels import Channel
from quantlytic.telling.delivery import Bell, Courier, Operator
from quantlytic.telling.fanout import FanOut
from quantlytic.telling.record import Records
from quantlytic.telling.wishes import DAY_NS

Build = Callable[[Log], Service]


def notifier_builders(
    control: Control, runs: Callable[[], Sequence[Run]], channels: Mapping[str, Channel], *, sender: str,
    operators: Sequence[Operator] = (), links: Links | None = None, records: Records | None = None, per_hour: int = 60,
    stale_ns: int | None = None, remind_ns: int = DAY_NS, bell: Bell | None = None,
) -> list[Build]:  # fmt: skip
    """Builders of the services that tell people: the fan-out, then a courier for each of `channels` (queue -> way; subscribers'
    mails are in the queue "mail"). A channel that hangs holds up nobody but itself. See `FanOut` and `Courier` for the rest.
    """
    bell = bell or Bell()
    named = {one.name: one for one in operators}

    def fan_out(log: Log) -> Service:
        return FanOut(log, control, runs, operators=operators, records=records, bell=bell, stale_ns=stale_ns,
                      remind_ns=remind_ns)  # fmt: skip

    def courier_of(queue: str, channel: Channel) -> Build:
        return lambda log: Courier(
            log, control, queue, channel, sender=sender, operators=named, links=links, per_hour=per_hour, bell=bell
        )

    return [fan_out, *(courier_of(queue, channel) for queue, channel in channels.items())]
