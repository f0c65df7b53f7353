"""The tape: one port (`port.py`), two adapters, chosen by name."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from quantlytic.model.errors import InputError
from quantlytic.store.log.port import Log

Durability = Literal["process", "power"]


def open_log(
    kind: Literal["sqlite", "kafka"] = "sqlite",
    *,
    folder: Path | None = None,
    servers: str = "",
    prefix: str = "quantlytic-",
    durability: Durability = "process",
) -> Log:
    """A handle on the tape; open one in each thread that uses it, and close it there.

    `sqlite` keeps two files in `folder` (made if missing); `kafka` speaks to the brokers in `servers` ("host:port,...")
    and puts `prefix` before every topic name. `durability`: "process" survives kill -9, "power" also a power cut (fsync
    each commit; the brokers' own settings decide that for Kafka). Raises InputError on an unusable choice, StoreError
    when the tape cannot be opened.
    """
    if durability not in ("process", "power"):
        raise InputError(f"log durability {durability!r} is unknown: choose process or power")
    if kind == "sqlite":
        if folder is None:
            raise InputError("a sqlite log needs a folder")
        from quantlytic.store.log.sqlite import SqliteLog

        return SqliteLog(folder, durability)
    if kind == "kafka":
        if not servers:
            raise InputError("a kafka log needs servers: host:port, several separated by commas")
        try:
            from quantlytic.store.log.kafka import KafkaLog
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] != "confluent_kafka":
                raise
            raise InputError("the kafka log needs the extra: pip install 'quantlytic[cluster]'") from None
        return KafkaLog(servers, prefix)
    raise InputError(f"log kind {kind!r} is unknown: choose sqlite or kafka")
