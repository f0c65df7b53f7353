"""One message for each subscriber who wants the daily digest: his instruments' day, signals, advice, and trouble with data."""

from __future__ import annotations

import math

import msgspec
import polars as pl

from quantlytic.daily.calendar import DAY_NS
from quantlytic.daily.day import Day, Summary
from quantlytic.daily.shelf import bars_of
from quantlytic.model.averages import PERIODS
from quantlytic.model.ledger import LedgerKind
from quantlytic.store.control.records import (
    Addressee,
    DigestAdvice,
    DigestNotice,
    DigestQuote,
    DigestSignal,
    Message,
    message_id_of,
)
from quantlytic.store.lake.reason import collected
from quantlytic.telling.digest import digest_letter

KIND, MAIL = "digest", "mail"
STALE_NS = 3 * DAY_NS
"""A day that ended longer ago, run by hand or caught up with, is told to nobody."""
_TROUBLE = {LedgerKind.GAP, LedgerKind.INVALID, LedgerKind.REPAIRED}


def run(day: Day) -> Summary:
    """Queue the messages; one that was queued before is not queued again. A day without a bar has no digest."""
    whole = notice_of(day)
    if not whole.quotes:
        return {"messages": 0, "signals": 0, "trouble": []}
    if day.now_ns() - (day.label + DAY_NS) > STALE_NS:
        return {"messages": 0, "signals": len(whole.signals), "trouble": ["the day is long over: nobody is told of it"]}
    readers = day.control.subscribers.for_event(KIND)
    messages = [
        _message(day, reader.subscriber.subscriber_id, MAIL, own)
        for reader in readers
        if (own := _share(whole, reader)) is not None
    ]
    messages += [_message(day, one.name, one.channel, whole) for one in day.operators if one.wants(KIND)]
    new = day.control.messages.put(messages)
    return {"messages": new, "signals": len(whole.signals), "trouble": []}


def notice_of(day: Day) -> DigestNotice:
    """The whole day, of all instruments, from the lake."""
    names = [one.instrument for one in day.works if one.is_due]
    bars = bars_of(day, names, "splits") if names else {}
    end = day.label + DAY_NS
    traded = {name: own.array for name, own in bars.items() if int(own.array["close_time"][-1]) == end}
    averages = {row["instrument"]: row for row in _rows(day, "averages", names, end).iter_rows(named=True)}
    quotes = []
    for name, array in sorted(traded.items()):
        close = array["close"]
        change = float(close[-1] / close[-2] - 1.0) if len(close) > 1 else None
        quotes.append(DigestQuote(name, float(close[-1]), change, _averages(averages.get(name))))
    signals = [
        DigestSignal(row["instrument"], row["run"].removeprefix("daily-"), int(row["side"]), row["price"])
        for row in _rows(day, "signals", names, end)
        .filter(pl.col("run").str.starts_with("daily-"))
        .iter_rows(named=True)
    ]
    return DigestNotice(
        day=day.name, quotes=tuple(quotes), signals=tuple(signals), advice=tuple(_advice(day, names, end)),
        trouble=tuple(_trouble(day)),
    )  # fmt: skip


def _rows(day: Day, table: str, names: list[str], end: int) -> pl.DataFrame:
    rows = day.lake.scan(table).filter(pl.col("instrument").is_in(names), pl.col("event_time") == end)
    return collected(rows).sort("instrument", "source", "offset")


def _averages(row: dict[str, float] | None) -> dict[str, float | None]:
    values = {str(period): math.nan if row is None else row[f"average_{period}"] for period in PERIODS}
    return {period: None if math.isnan(value) else value for period, value in values.items()}


def _advice(day: Day, names: list[str], end: int) -> list[DigestAdvice]:
    """The newest of each instrument."""
    rows = day.lake.scan("advice").filter(pl.col("instrument").is_in(names), pl.col("event_time") <= end)
    newest = (
        collected(rows)
        .sort("instrument", "event_time", "offset")
        .unique("instrument", keep="last", maintain_order=True)
    )
    return [
        DigestAdvice(row["instrument"], row["strategy"], row["sentence"], row["event_time"] == end)
        for row in newest.iter_rows(named=True)
    ]


def _trouble(day: Day) -> list[str]:
    """What the ledger says of the day itself, and what was found out about days before it: not that of a new one's history."""
    new = {one.instrument for one in day.works if one.is_new}
    rows = collected(day.lake.scan("ledger").filter(pl.col("source") == day.source)).sort("offset")
    return [
        f"{row['instrument']}: {row['detail']}"
        for row in rows.iter_rows(named=True)
        if row["kind"] in _TROUBLE and (row["instrument"] not in new or row["event_time"] >= day.label)
    ]


def _share(whole: DigestNotice, reader: Addressee) -> DigestNotice | None:
    """What of it is the subscriber's; None for nothing."""
    wants = reader.subscription.wants
    quotes = tuple(one for one in whole.quotes if wants(KIND, one.instrument))
    if not quotes:
        return None
    advised = {(one.instrument, one.strategy) for one in whole.advice}
    return DigestNotice(
        day=whole.day,
        quotes=quotes,
        signals=tuple(
            one for one in whole.signals
            if wants(KIND, one.instrument, one.strategy, is_recommended=(one.instrument, one.strategy) in advised)
        ),
        advice=tuple(one for one in whole.advice if wants(KIND, one.instrument)),
        trouble=tuple(one for one in whole.trouble if wants(KIND, ":".join(one.split(":")[:2]))),
    )  # fmt: skip


def _message(day: Day, recipient: str, channel: str, own: DigestNotice) -> Message:
    cause = f"daily/{day.name}"
    return Message(
        message_id=message_id_of(cause, recipient, KIND), recipient=recipient, channel=channel, kind=KIND, cause=cause,
        subject=digest_letter(own).subject, payload=msgspec.json.encode(own), created_ns=day.now_ns(),
    )  # fmt: skip
