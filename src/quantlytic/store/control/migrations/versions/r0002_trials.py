"""Trials say who made them, and on which instruments and range: trials on overlapping data count together."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("trials", sa.Column("kind", sa.String(20), nullable=False, server_default="backtest"))
    op.add_column("trials", sa.Column("instruments", sa.Text, nullable=False, server_default=""))
    op.add_column("trials", sa.Column("start_ns", sa.BigInteger))
    op.add_column("trials", sa.Column("end_ns", sa.BigInteger))
    op.create_index("trials_run", "trials", ["run_id"])
