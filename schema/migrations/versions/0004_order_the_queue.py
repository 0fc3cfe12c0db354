"""Order the queue: how a study was sent and asked for, the weight of its jobs, who may do them."""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from alembic import op

from schema.tables import UtcDateTime

revision = "0004"
down_revision = "0001"
branch_labels = None
depends_on = None

COLUMNS: tuple[tuple[str, Callable[[], sa.Column[Any]]], ...] = (
    ("association", lambda: sa.Column("called_ae", sa.String(16), nullable=True)),
    ("series", lambda: sa.Column("requested", sa.JSON(), nullable=True)),
    ("instance", lambda: sa.Column("dimse_priority", sa.Integer(), nullable=True)),
    ("job", lambda: sa.Column("weight", sa.Double(), server_default="0", nullable=False)),
    ("job", lambda: sa.Column("weighed", sa.JSON(), nullable=True)),
    ("job", lambda: sa.Column("overdue_at", UtcDateTime(), nullable=True)),
    ("job", lambda: sa.Column("needs_program", sa.Integer(), server_default="1", nullable=False)),
)


def upgrade() -> None:
    """Apply; columns that older programs neither read nor write."""
    for table, column in COLUMNS:
        op.add_column(table, column())


def downgrade() -> None:
    """Take back."""
    for table, column in reversed(COLUMNS):
        with op.batch_alter_table(table) as batch:
            batch.drop_column(column().name)
