"""The tables, and the revision that the code needs. A change here goes with a new file in `migrations/versions/`."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, Index, Integer, LargeBinary, MetaData, String, Table, Text

HEAD = "0005"

metadata = MetaData()

# JSON lives in text: both databases give back exactly what was stored.
_number = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts up INTEGER keys only

runs = Table(
    "runs",
    metadata,
    Column("number", _number, primary_key=True, autoincrement=True),
    Column("run_id", String(200), nullable=False, unique=True),
    Column("mode", String(20), nullable=False),
    Column("strategy", Text, nullable=False),
    Column("settings", Text, nullable=False),  # the whole `Run`; mode and strategy are repeated for queries
    Column("start_ns", BigInteger),
    Column("end_ns", BigInteger),
    Column("status", String(20), nullable=False),
    Column("digest", String(100), nullable=False),
    Column("summary", Text, nullable=False),
)
trials = Table(
    "trials",
    metadata,
    Column("number", _number, primary_key=True, autoincrement=True),
    Column("strategy", Text, nullable=False),
    Column("params", Text, nullable=False),
    Column("data", String(300), nullable=False),
    Column("time_ns", BigInteger, nullable=False),
    Column("run_id", String(200), nullable=False),
    Column("bars", BigInteger, nullable=False),
    Column("sharpe", Float(53)),
    Column("kind", String(20), nullable=False, server_default="backtest"),
    Column(
        "instruments", Text, nullable=False, server_default=""
    ),  # each id between two line ends, so that LIKE finds it
    Column("start_ns", BigInteger),
    Column("end_ns", BigInteger),
    Column("code", String(64), nullable=False, server_default=""),
    Column("sketch", String(300), nullable=False, server_default=""),  # a line each
    Index("trials_data", "data"),
    Index("trials_run", "run_id"),
)
instruments = Table(
    "instruments",
    metadata,
    Column("id", String(200), primary_key=True),
    Column("base", String(50), nullable=False),
    Column("quote", String(50), nullable=False),
    Column("tick_size", Float(53), nullable=False),
    Column("lot_size", Float(53), nullable=False),
    Column("min_notional", Float(53), nullable=False),
)
tokens = Table(
    "tokens",
    metadata,
    Column("name", String(200), primary_key=True),
    Column("hash", String(64), nullable=False, unique=True),
)
preferences = Table(
    "preferences",
    metadata,
    Column("name", String(200), primary_key=True),
    Column("value", Text, nullable=False),
)

subscribers = Table(
    "subscribers",
    metadata,
    Column("subscriber_id", String(32), primary_key=True),
    Column("email", String(254), nullable=False, unique=True),
    Column("status", String(20), nullable=False),
    Column("time_zone", String(64), nullable=False),
    Column("quiet_start_min", Integer, nullable=False),
    Column("quiet_end_min", Integer, nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("confirmed_ns", BigInteger, nullable=False),
    Index("subscribers_status", "status"),
)
subscriptions = Table(  # lists as in `trials.instruments`: each entry between two line ends
    "subscriptions",
    metadata,
    Column("subscriber_id", String(32), primary_key=True),
    Column("instruments", Text, nullable=False),
    Column("strategies", Text, nullable=False),
    Column("kinds", Text, nullable=False),
    Column("near_bps", Float(53), nullable=False),
)
sign_ups = Table(  # what strangers asked for, not yet looked at
    "sign_ups",
    metadata,
    Column("number", _number, primary_key=True, autoincrement=True),
    Column("kind", String(20), nullable=False),
    Column("email", String(254), nullable=False),
    Column("asked", Text, nullable=False),
    Column("time_ns", BigInteger, nullable=False),
)
messages = Table(
    "messages",
    metadata,
    Column("number", _number, primary_key=True, autoincrement=True),
    Column("message_id", String(64), nullable=False, unique=True),
    Column("recipient", String(200), nullable=False),
    Column("channel", String(40), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("cause", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("not_before_ns", BigInteger, nullable=False),
    Column("state", String(10), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("last_error", Text, nullable=False),
    Column("sent_ns", BigInteger, nullable=False),
    Column("claimed_ns", BigInteger, nullable=False),
    Index("messages_due", "state", "not_before_ns"),
    Index("messages_recipient", "recipient", "number"),
    Index("messages_sent", "recipient", "sent_ns"),
)
reader_positions = Table(  # how far who makes messages has read the tape: moved together with the messages
    "reader_positions",
    metadata,
    Column("reader", String(200), primary_key=True),
    Column("stream", String(200), primary_key=True),
    Column("position", BigInteger, nullable=False),
)
wanted_instruments = Table(
    "wanted_instruments",
    metadata,
    Column("instrument", String(200), primary_key=True),
    Column("asked_ns", BigInteger, nullable=False),
    Column("done_ns", BigInteger, nullable=False),  # 0: still to do
    Column("error", Text, nullable=False),
)
tasks = Table(  # of the daily run
    "tasks",
    metadata,
    Column("day", String(10), primary_key=True),
    Column("task", String(40), primary_key=True),
    Column("state", String(10), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("begun_ns", BigInteger, nullable=False),
    Column("ended_ns", BigInteger, nullable=False),
    Column("summary", Text, nullable=False),
    Column("error", Text, nullable=False),
)
