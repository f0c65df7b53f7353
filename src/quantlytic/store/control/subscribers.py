"""Subscribers in the control store."""

from __future__ import annotations

import builtins
import secrets
from collections.abc import Iterable
from typing import Any

import msgspec
import sqlalchemy as sa

from quantlytic.store.control.database import Database
from quantlytic.store.control.records import EVERY, Addressee, Subscriber, Subscription
from quantlytic.store.control.schema import messages, subscribers, subscriptions
from quantlytic.store.control.trialrow import like_pattern

_FIELDS = [subscribers.c[name] for name in Subscriber.__struct_fields__]
_CHOICES = [subscriptions.c[name] for name in Subscription.__struct_fields__]
_LISTS = ("instruments", "strategies", "kinds")


class SqlSubscribers:
    """`port.Subscribers` over a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self,
        email: str,
        now_ns: int,
        *,
        time_zone: str,
        quiet_start_min: int,
        quiet_end_min: int,
        chosen: Subscription | None = None,
    ) -> Subscriber:
        asked = {"time_zone": time_zone, "quiet_start_min": quiet_start_min, "quiet_end_min": quiet_end_min}
        new = Subscriber(secrets.token_hex(16), email, "pending", created_ns=now_ns, confirmed_ns=0, **asked)  # type: ignore[arg-type]
        with self._database.writing() as connection:
            there = _one(connection, subscribers.c.email == email)
            if there is None:
                connection.execute(subscribers.insert().values(**msgspec.structs.asdict(new)))
            elif there.status in ("pending", "unsubscribed"):
                created_ns = (
                    there.created_ns if there.status == "pending" else now_ns
                )  # earlier links stay good, or do not
                new = msgspec.structs.replace(new, subscriber_id=there.subscriber_id, created_ns=created_ns)
                _change(connection, new.subscriber_id, status="pending", created_ns=created_ns, **asked)
            else:
                return there
            if chosen is not None:
                _choose(connection, msgspec.structs.replace(chosen, subscriber_id=new.subscriber_id))
        return new

    def confirm(self, subscriber_id: str, now_ns: int) -> Subscriber | None:
        with self._database.writing() as connection:
            found = _one(connection, subscribers.c.subscriber_id == subscriber_id)
            if found is not None and found.status == "pending":
                _change(connection, subscriber_id, status="confirmed", confirmed_ns=now_ns)
                found = msgspec.structs.replace(found, status="confirmed", confirmed_ns=now_ns)
        return found if found is not None and found.status == "confirmed" else None

    def unsubscribe(self, subscriber_id: str) -> bool:
        return self._stop(subscriber_id, "unsubscribed")

    def suppress(self, subscriber_id: str) -> bool:
        return self._stop(subscriber_id, "suppressed")

    def erase(self, subscriber_id: str) -> bool:
        return self._erase_if(subscriber_id, sa.true())

    def forget_pending(self, before_ns: int) -> int:
        is_fresh = sa.and_(messages.c.recipient == subscribers.c.subscriber_id, messages.c.created_ns >= before_ns)
        is_old = sa.and_(subscribers.c.status == "pending", subscribers.c.created_ns < before_ns)
        chosen = sa.select(subscribers.c.subscriber_id).where(is_old, ~sa.exists().where(is_fresh))
        with self._database.reading() as connection:
            old = connection.execute(chosen).scalars().all()
        return sum(self._erase_if(one, subscribers.c.status == "pending") for one in old)

    def get(self, subscriber_id: str) -> Subscriber | None:
        with self._database.reading() as connection:
            return _one(connection, subscribers.c.subscriber_id == subscriber_id)

    def by_email(self, email: str) -> Subscriber | None:
        with self._database.reading() as connection:
            return _one(connection, subscribers.c.email == email)

    def list(self, status: str | None = None) -> builtins.list[Subscriber]:
        chosen = sa.select(*_FIELDS).where(sa.true() if status is None else subscribers.c.status == status)
        with self._database.reading() as connection:
            return [Subscriber(*row) for row in connection.execute(chosen.order_by(*_OLDEST_FIRST))]

    def update(self, subscriber_id: str, *, time_zone: str, quiet_start_min: int, quiet_end_min: int) -> None:
        quiet = {"quiet_start_min": quiet_start_min, "quiet_end_min": quiet_end_min}
        with self._database.writing() as connection:
            _change(connection, subscriber_id, time_zone=time_zone, **quiet)

    def subscription_of(self, subscriber_id: str) -> Subscription | None:
        chosen = sa.select(*_CHOICES).where(subscriptions.c.subscriber_id == subscriber_id)
        with self._database.reading() as connection:
            row = connection.execute(chosen).first()
        return None if row is None else _subscription(row)

    def put_subscription(self, subscription: Subscription) -> None:
        with self._database.writing() as connection:
            _choose(connection, subscription)

    def for_event(
        self, kind: str, instrument: str = "", strategy: str = "", *, is_recommended: bool = False
    ) -> builtins.list[Addressee]:
        same = subscribers.c.subscriber_id == subscriptions.c.subscriber_id
        chosen = sa.select(*_FIELDS, *_CHOICES).where(same, subscribers.c.status == "confirmed")
        for column, name in ((subscriptions.c.kinds, kind), (subscriptions.c.instruments, instrument)):
            if name:  # LIKE narrows it down; it may not tell upper from lower case, so `wants` decides
                chosen = chosen.where(sa.or_(*(column.like(like_pattern(one), escape="!") for one in (EVERY, name))))
        with self._database.reading() as connection:
            rows = connection.execute(chosen.order_by(*_OLDEST_FIRST)).all()
        width = len(_FIELDS)
        found = [Addressee(Subscriber(*row[:width]), _subscription(row[width:])) for row in rows]
        return [
            one for one in found if one.subscription.wants(kind, instrument, strategy, is_recommended=is_recommended)
        ]

    def _erase_if(self, subscriber_id: str, condition: sa.ColumnElement[bool]) -> bool:
        mine = sa.and_(subscribers.c.subscriber_id == subscriber_id, condition)
        with self._database.writing() as connection:
            if not connection.execute(subscribers.delete().where(mine)).rowcount:
                return False
            connection.execute(messages.delete().where(messages.c.recipient == subscriber_id))
            connection.execute(subscriptions.delete().where(subscriptions.c.subscriber_id == subscriber_id))
        return True

    def _stop(self, subscriber_id: str, status: str) -> bool:
        waiting = sa.and_(messages.c.recipient == subscriber_id, messages.c.state == "queued")
        with self._database.writing() as connection:
            if not _change(connection, subscriber_id, status=status):
                return False
            connection.execute(messages.update().where(waiting).values(state="dropped", last_error=status))
        return True


_OLDEST_FIRST = (subscribers.c.created_ns, subscribers.c.subscriber_id)


def _one(connection: sa.Connection, where: sa.ColumnElement[bool]) -> Subscriber | None:
    row = connection.execute(sa.select(*_FIELDS).where(where)).first()
    return None if row is None else Subscriber(*row)


def _change(connection: sa.Connection, subscriber_id: str, **values: Any) -> bool:
    mine = subscribers.c.subscriber_id == subscriber_id
    return connection.execute(subscribers.update().where(mine).values(**values)).rowcount > 0


def _choose(connection: sa.Connection, subscription: Subscription) -> None:
    row = msgspec.structs.asdict(subscription)
    row |= {name: "".join(f"\n{one}\n" for one in row[name]) for name in _LISTS}
    connection.execute(subscriptions.delete().where(subscriptions.c.subscriber_id == subscription.subscriber_id))
    connection.execute(subscriptions.insert().values(**row))


def _subscription(row: Iterable[Any]) -> Subscription:
    values = dict(zip(Subscription.__struct_fields__, row, strict=True))
    return Subscription(**values | {name: tuple(one for one in values[name].split("\n") if one) for name in _LISTS})
