"""The first tables. A revision is history: later changes come as later revisions, never here."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        "runs",
        sa.Column("number", number, primary_key=True, autoincrement=True),
        sa.Column("run_id", sa.String(200), nullable=False, unique=True),
        sa.Column("mode", sa.String(20), nullable=False),
        sa.Column("strategy", sa.Text, nullable=False),
        sa.Column("settings", sa.Text, nullable=False),
        sa.Column("start_ns", sa.BigInteger),
        sa.Column("end_ns", sa.BigInteger),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("digest", sa.String(100), nullable=False),
        sa.Column("summary", sa.Text, nullable=False),
    )
    op.create_table(
        "trials",
        sa.Column("number", number, primary_key=True, autoincrement=True),
        sa.Column("strategy", sa.Text, nullable=False),
        sa.Column("params", sa.Text, nullable=False),
        sa.Column("data", sa.String(300), nullable=False),
        sa.Column("time_ns", sa.BigInteger, nullable=False),
        sa.Column("run_id", sa.String(200), nullable=False),
        sa.Column("bars", sa.BigInteger, nullable=False),
        sa.Column("sharpe", sa.Float(53)),
    )
    op.create_index("trials_data", "trials", ["data"])
    op.create_table(
        "instruments",
        sa.Column("id", sa.String(200), primary_key=True),
        sa.Column("base", sa.String(50), nullable=False),
        sa.Column("quote", sa.String(50), nullable=False),
        sa.Column("tick_size", sa.Float(53), nullable=False),
        sa.Column("lot_size", sa.Float(53), nullable=False),
        sa.Column("min_notional", sa.Float(53), nullable=False),
    )
    op.create_table(
        "tokens",
        sa.Column("name", sa.String(200), primary_key=True),
        sa.Column("hash", sa.String(64), nullable=False, unique=True),
    )
    op.create_table(
        "preferences",
        sa.Column("name", sa.String(200), primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )
