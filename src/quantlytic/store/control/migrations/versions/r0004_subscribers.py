"""People are told: subscribers and what they chose, messages and their delivery, instruments that were asked for."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    _people()
    _messages()
    op.create_table(
        "wanted_instruments",
        sa.Column("instrument", sa.String(200), primary_key=True),
        sa.Column("asked_ns", sa.BigInteger, nullable=False),
        sa.Column("done_ns", sa.BigInteger, nullable=False),
        sa.Column("error", sa.Text, nullable=False),
    )


def _people() -> None:
    op.create_table(
        "subscribers",
        sa.Column("subscriber_id", sa.String(32), primary_key=True),
        sa.Column("email", sa.String(254), nullable=False, unique=True),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("time_zone", sa.String(64), nullable=False),
        sa.Column("quiet_start_min", sa.Integer, nullable=False),
        sa.Column("quiet_end_min", sa.Integer, nullable=False),
        sa.Column("created_ns", sa.BigInteger, nullable=False),
        sa.Column("confirmed_ns", sa.BigInteger, nullable=False),
    )
    op.create_index("subscribers_status", "subscribers", ["status"])
    op.create_table(
        "subscriptions",
        sa.Column("subscriber_id", sa.String(32), primary_key=True),
        sa.Column("instruments", sa.Text, nullable=False),
        sa.Column("strategies", sa.Text, nullable=False),
        sa.Column("kinds", sa.Text, nullable=False),
        sa.Column("near_bps", sa.Float(53), nullable=False),
    )
    op.create_table(
        "sign_ups",
        sa.Column("number", _number(), primary_key=True, autoincrement=True),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("email", sa.String(254), nullable=False),
        sa.Column("asked", sa.Text, nullable=False),
        sa.Column("time_ns", sa.BigInteger, nullable=False),
    )


def _messages() -> None:
    op.create_table(
        "messages",
        sa.Column("number", _number(), primary_key=True, autoincrement=True),
        sa.Column("message_id", sa.String(64), nullable=False, unique=True),
        sa.Column("recipient", sa.String(200), nullable=False),
        sa.Column("channel", sa.String(40), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("cause", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),
        sa.Column("created_ns", sa.BigInteger, nullable=False),
        sa.Column("not_before_ns", sa.BigInteger, nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("last_error", sa.Text, nullable=False),
        sa.Column("sent_ns", sa.BigInteger, nullable=False),
        sa.Column("claimed_ns", sa.BigInteger, nullable=False),
    )
    op.create_index("messages_due", "messages", ["state", "not_before_ns"])
    op.create_index("messages_recipient", "messages", ["recipient", "number"])
    op.create_index("messages_sent", "messages", ["recipient", "sent_ns"])
    op.create_table(
        "reader_positions",
        sa.Column("reader", sa.String(200), primary_key=True),
        sa.Column("stream", sa.String(200), primary_key=True),
        sa.Column("position", sa.BigInteger, nullable=False),
    )


def _number() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer, "sqlite")
