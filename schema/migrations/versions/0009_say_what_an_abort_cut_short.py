"""Say which association was aborted, and which series that cut short."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply; what older programs write was released, as far as anybody knows."""
    with op.batch_alter_table("association") as batch:
        batch.add_column(sa.Column("aborted", sa.Boolean(), server_default=sa.false(), nullable=False))
    with op.batch_alter_table("series") as batch:
        batch.add_column(
            sa.Column("cut_short", sa.Boolean(), server_default=sa.false(), nullable=False)
        )


def downgrade() -> None:
    """Take back."""
    with op.batch_alter_table("series") as batch:
        batch.drop_column("cut_short")
    with op.batch_alter_table("association") as batch:
        batch.drop_column("aborted")
