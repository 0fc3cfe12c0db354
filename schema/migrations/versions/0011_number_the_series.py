"""Keep Series Number, by which texts that leave the system name a series."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply; what an older program writes has no number, and is named by the end of its UID."""
    op.add_column("series", sa.Column("series_number", sa.Integer(), nullable=True))


def downgrade() -> None:
    """Take back."""
    op.drop_column("series", "series_number")
