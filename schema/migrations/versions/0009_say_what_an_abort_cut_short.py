"""Say which association was aborted, and which series that cut short."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply; what older programs write was released, as far as anybody knows.

    Columns are added in place: a batch would make the table anew, and SQLite drops none that rows point to.
    """
    for table, column in (("association", "aborted"), ("series", "cut_short")):
        added: sa.Column[bool] = sa.Column(column, sa.Boolean(), server_default=sa.false(), nullable=False)
        op.add_column(table, added)


def downgrade() -> None:
    """Take back."""
    op.drop_column("series", "cut_short")
    op.drop_column("association", "aborted")
