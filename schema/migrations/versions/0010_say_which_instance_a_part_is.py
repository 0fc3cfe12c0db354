"""Say which of several parts of one kind on a host a row is of."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply; what an older program writes has no instance, and is followed by any of its kind."""
    op.add_column("process", sa.Column("instance", sa.String(length=255), server_default="", nullable=False))


def downgrade() -> None:
    """Take back."""
    op.drop_column("process", "instance")
