"""Say on which storage files lie."""

import sqlalchemy as sa
from alembic import op


revision = '0007'
down_revision = '0006'
branch_labels = None
depends_on = None

TABLES = ("association", "instance", "commitment", "store_check")


def upgrade() -> None:
    """Apply; a row without it is from before, when there was one storage."""
    for table in TABLES:
        op.add_column(table, sa.Column("storage", sa.Uuid(), nullable=True))


def downgrade() -> None:
    """Take back."""
    for table in TABLES:
        op.drop_column(table, "storage")
