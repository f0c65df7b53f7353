"""The lake's tables: their columns follow from the events' own definition, so that there is one and not two.

A row is an event, its `source` (the stream or the import it came from) and its `offset` there: these two identify it.
"""

from __future__ import annotations

import typing
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import polars as pl

from quantlytic.model.action import Action
from quantlytic.model.advice import Advice
from quantlytic.model.averages import Averages
from quantlytic.model.bar import Bar
from quantlytic.model.book import BookDelta
from quantlytic.model.breach import RiskBreach
from quantlytic.model.cashflow import CashFlow
from quantlytic.model.command import VenueCommand, VenueReport
from quantlytic.model.delivery import Delivery
from quantlytic.model.discrepancy import Discrepancy
from quantlytic.model.equity import Equity
from quantlytic.model.event import Event
from quantlytic.model.fill import Fill
from quantlytic.model.forecast import Forecast, ModelChange
from quantlytic.model.halt import Halt
from quantlytic.model.intent import Intent, IntentOutcome
from quantlytic.model.ledger import LedgerEntry
from quantlytic.model.news import News
from quantlytic.model.order import Order, OrderAmend, OrderCancel, OrderUpdate
from quantlytic.model.quote import Quote
from quantlytic.model.signal import Signal
from quantlytic.model.strategychange import StrategyChange, StrategyRequest
from quantlytic.model.trade import Trade


@dataclass(frozen=True)
class TableSpec:
    """What a table holds: events of one type, divided into partitions, sorted within a file by `order`."""

    name: str
    event: type[Event]
    partitions: tuple[str, ...]
    time: str = "event_time"

    @property
    def fields(self) -> tuple[str, ...]:
        """The event's own columns, in the event's order."""
        return self.event.__struct_fields__

    @property
    def order(self) -> tuple[str, ...]:
        keys = [name for name in ("instrument", self.time) if name in self.fields]
        return (*keys, "source", "offset")

    @property
    def schema(self) -> dict[str, pl.DataType]:
        """Column -> type: the event's fields, then `source` and `offset`, then partition columns that are no field."""
        hints = typing.get_type_hints(self.event)
        columns = {name: _column_type(hints[name]) for name in self.fields}
        columns |= {"source": pl.String(), "offset": pl.Int64()}
        derived = {"venue": pl.String(), "date": pl.Date(), "month": pl.Date()}
        return columns | {name: derived[name] for name in self.partitions if name not in columns}


_MARKET = ("venue", "date")
_BARS = ("venue", "month")  # twenty years of daily bars are 5,000 days: a file each would take seconds to open
_RUN = ("run",)
_ACCOUNT = ("account",)

TABLES: dict[str, TableSpec] = {
    spec.name: spec
    for spec in (
        TableSpec("trades", Trade, _MARKET),
        TableSpec("quotes", Quote, _MARKET),
        TableSpec("book", BookDelta, _MARKET),
        TableSpec("bars", Bar, _BARS, time="open_time"),
        TableSpec("ledger", LedgerEntry, _MARKET),
        TableSpec("actions", Action, _MARKET),
        TableSpec("news", News, _MARKET),
        TableSpec("averages", Averages, _BARS),
        TableSpec("advice", Advice, _BARS),
        TableSpec("forecasts", Forecast, ("line", "month"), time="open_time"),
        TableSpec("model_changes", ModelChange, ("line",)),
        TableSpec("signals", Signal, _RUN),
        TableSpec("orders", Order, _RUN),
        TableSpec("order_cancels", OrderCancel, _RUN),
        TableSpec("order_amends", OrderAmend, _RUN),
        TableSpec("order_updates", OrderUpdate, _RUN),
        TableSpec("fills", Fill, _RUN),
        TableSpec("cash_flows", CashFlow, _RUN),
        TableSpec("equity", Equity, _RUN),
        TableSpec("strategy_requests", StrategyRequest, _RUN),
        TableSpec("strategy_changes", StrategyChange, _RUN),
        TableSpec("intents", Intent, _RUN),
        TableSpec("intent_outcomes", IntentOutcome, _RUN),
        TableSpec("venue_commands", VenueCommand, _ACCOUNT),
        TableSpec("venue_reports", VenueReport, _ACCOUNT),
        TableSpec("discrepancies", Discrepancy, _ACCOUNT),
        TableSpec("breaches", RiskBreach, _ACCOUNT),
        TableSpec("halts", Halt, _ACCOUNT),
        TableSpec("deliveries", Delivery, ("date",)),
    )
}
TABLE_OF: dict[type[Event], TableSpec] = {spec.event: spec for spec in TABLES.values()}


def rows_of(spec: TableSpec, source: str, offsets: Sequence[int], events: Sequence[Event]) -> pl.DataFrame:
    """Events of one type as rows of their table, sorted. Numbers are carried over exactly."""
    schema = spec.schema
    columns = {name: pl.Series(name, [getattr(e, name) for e in events], schema[name]) for name in spec.fields}
    columns["source"] = pl.Series("source", [source], pl.String()).new_from_index(0, len(events))
    columns["offset"] = pl.Series("offset", offsets, pl.Int64())
    frame = pl.DataFrame(columns)
    return sorted_rows(spec, frame.with_columns(**partition_columns(spec, source)))


def sorted_rows(spec: TableSpec, frame: pl.DataFrame) -> pl.DataFrame:
    """The frame in the table's column and row order."""
    return frame.select(list(spec.schema)).sort(list(spec.order))


def partition_columns(spec: TableSpec, source: str) -> dict[str, pl.Expr]:
    """The partition columns that are no field. The venue is the instrument's; without one, the source's owner."""
    owner = source.partition(".")[2] or source
    prefix = pl.col("instrument").str.split(":").list.first()
    time = pl.col(spec.time).cast(pl.Datetime("ns"))
    expressions = {
        "venue": pl.when(prefix == "").then(pl.lit(owner)).otherwise(prefix),
        "date": time.dt.date(),
        "month": time.dt.date().dt.month_start(),
    }
    return {name: expressions[name] for name in spec.partitions if name not in spec.fields}


def _column_type(hint: Any) -> pl.DataType:
    if isinstance(hint, type) and issubclass(hint, IntEnum):
        return pl.Int8()
    if typing.get_origin(hint) is tuple:
        return pl.List(pl.Float64())
    plain: dict[Any, pl.DataType] = {int: pl.Int64(), float: pl.Float64(), bool: pl.Boolean(), str: pl.String()}
    return plain[hint]
