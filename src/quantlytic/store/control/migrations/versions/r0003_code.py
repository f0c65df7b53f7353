"""Trials say by which code they were made, and on which rows: an edited rule is another one, a renamed file is not."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("trials", sa.Column("code", sa.String(64), nullable=False, server_default=""))
    op.add_column("trials", sa.Column("sketch", sa.String(300), nullable=False, server_default=""))
