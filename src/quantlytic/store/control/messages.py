"""Messages in the control store: the queue of what is to be told, and its history."""

from __future__ import annotations

import builtins
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from quantlytic.store.control.database import Database
from quantlytic.store.control.records import HELD, Message
from quantlytic.store.control.schema import messages, reader_positions

LEASE_NS = 120_000_000_000
_FIELDS = [messages.c[name] for name in Message.__struct_fields__]
_OPEN = ("queued", "sending")
_PARAMETERS = 500  # in one statement; SQLite takes 32,766


class SqlMessages:
    """`port.Messages` over a database. A claim that is older than `lease_ns` may be taken over."""

    def __init__(self, database: Database, lease_ns: int = LEASE_NS) -> None:
        self._database = database
        self._lease_ns = lease_ns

    def put(
        self, messages_made: Sequence[Message], reader: str = "", positions: Mapping[str, int] | None = None
    ) -> int:
        made = {message.message_id: message for message in messages_made}
        with self._database.writing() as connection:
            for known in _known(connection, list(made)):
                del made[known]
            if made:
                connection.execute(messages.insert(), [_row(one) for one in made.values()])
            for stream, position in (positions or {}).items():
                where = sa.and_(reader_positions.c.reader == reader, reader_positions.c.stream == stream)
                connection.execute(reader_positions.delete().where(where))
                row = {"reader": reader, "stream": stream, "position": position}
                connection.execute(reader_positions.insert().values(**row))
        return len(made)

    def positions(self, reader: str) -> dict[str, int]:
        chosen = sa.select(reader_positions.c.stream, reader_positions.c.position)
        with self._database.reading() as connection:
            rows = connection.execute(chosen.where(reader_positions.c.reader == reader))
            return {row.stream: row.position for row in rows}

    def due(self, now_ns: int, limit: int, channel: str | None = None, last: Sequence[str] = ()) -> list[Message]:
        where = sa.and_(messages.c.state == "queued", messages.c.not_before_ns <= now_ns)
        if channel is not None:
            where = sa.and_(where, messages.c.channel == channel)
        return self._select(where, (messages.c.kind.in_(last), messages.c.number), limit)

    def sending(self, message_id: str, now_ns: int) -> bool:
        free = sa.or_(messages.c.state == "queued", _expired(now_ns - self._lease_ns))
        values = {"state": "sending", "claimed_ns": now_ns, "attempts": messages.c.attempts + 1}
        return self._change(message_id, free, **values)

    def sent(self, message_id: str, now_ns: int) -> bool:
        return self._change(message_id, messages.c.state.in_(_OPEN), state="sent", sent_ns=now_ns, last_error="")

    def retry(self, message_id: str, not_before_ns: int, error: str) -> None:
        values = {"state": "queued", "not_before_ns": not_before_ns, "last_error": _text(error)}
        self._change(message_id, messages.c.state.in_(_OPEN), **values)

    def failed(self, message_id: str, now_ns: int, error: str) -> bool:
        return self._change(
            message_id, messages.c.state.in_(_OPEN), state="failed", sent_ns=now_ns, last_error=_text(error)
        )

    def dropped(self, message_id: str, now_ns: int, reason: str) -> bool:
        return self._change(
            message_id, messages.c.state.in_(_OPEN), state="dropped", sent_ns=now_ns, last_error=_text(reason)
        )

    def stuck(self, now_ns: int | None = None) -> list[Message]:
        where = messages.c.state == "sending" if now_ns is None else _expired(now_ns - self._lease_ns)
        return self._select(where, (messages.c.number,), None)

    def history(self, recipient: str | None, limit: int) -> list[Message]:
        where = sa.true() if recipient is None else messages.c.recipient == recipient
        return self._select(where, (messages.c.number.desc(),), limit)

    def sent_since(self, recipient: str, since_ns: int, limit: int, kinds: Sequence[str] = ()) -> list[int]:
        where = [messages.c.recipient == recipient, messages.c.state == "sent", messages.c.sent_ns >= since_ns]
        if kinds:
            where.append(messages.c.kind.in_(kinds))
        chosen = sa.select(messages.c.sent_ns).where(*where).order_by(messages.c.sent_ns.desc()).limit(limit)
        with self._database.reading() as connection:
            return list(connection.execute(chosen).scalars())

    def held(self) -> dict[str, int]:
        where = (messages.c.state == "queued", messages.c.last_error.startswith(HELD))
        counted = sa.select(messages.c.recipient, sa.func.count()).where(*where).group_by(messages.c.recipient)
        with self._database.reading() as connection:
            return {recipient: int(count) for recipient, count in connection.execute(counted)}

    def trim(self, before_ns: int) -> int:
        old = sa.and_(messages.c.state.not_in(_OPEN), messages.c.created_ns < before_ns, messages.c.sent_ns < before_ns)
        with self._database.writing() as connection:
            return connection.execute(
                messages.update().where(old, sa.func.length(messages.c.payload) > 0).values(payload=b"")
            ).rowcount

    def _select(self, where: sa.ColumnElement[bool], order: Sequence[Any], limit: int | None) -> builtins.list[Message]:
        with self._database.reading() as connection:
            rows = connection.execute(sa.select(*_FIELDS).where(where).order_by(*order).limit(limit))
            return [Message(**row._mapping) for row in rows]

    def _change(self, message_id: str, where: sa.ColumnElement[bool], **values: Any) -> bool:
        with self._database.writing() as connection:
            changed = messages.update().where(messages.c.message_id == message_id, where).values(**values)
            return connection.execute(changed).rowcount > 0


def _known(connection: sa.Connection, ids: list[str]) -> list[str]:
    found: list[str] = []
    for first in range(0, len(ids), _PARAMETERS):
        some = ids[first : first + _PARAMETERS]
        found += connection.execute(sa.select(messages.c.message_id).where(messages.c.message_id.in_(some))).scalars()
    return found


def _row(message: Message) -> dict[str, Any]:
    texts = {name: _text(getattr(message, name)) for name in ("cause", "subject", "last_error")}
    return msgspec.structs.asdict(message) | texts | {"claimed_ns": 0}


def _text(text: str) -> str:
    """What mail servers and venues say may hold anything; no database takes half characters, PostgreSQL no NUL."""
    return text.encode(errors="replace").decode().replace("\x00", "\ufffd")


def _expired(claimed_before_ns: int) -> sa.ColumnElement[bool]:
    return sa.and_(messages.c.state == "sending", messages.c.claimed_ns <= claimed_before_ns)
