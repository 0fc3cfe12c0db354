"""Add canaries: the synthetic heads that we send ourselves."""

import sqlalchemy as sa
from alembic import op

from schema.tables import UtcDateTime

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply; a table that older programs do not know."""
    op.create_table(
        "canary",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=True),
        sa.Column("digests", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("sent_at", UtcDateTime(), nullable=False),
        sa.Column("ended_at", UtcDateTime(), nullable=True),
        sa.Column("seconds", sa.Double(), nullable=True),
        sa.Column("is_known", sa.Boolean(), nullable=True),
        sa.Column("detail", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["study_id"], ["study.id"], name=op.f("fk_canary_study_id_study")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_canary")),
        sa.UniqueConstraint("study_id", name=op.f("uq_canary_study_id")),
    )
    with op.batch_alter_table("canary") as batch:
        batch.create_index(batch.f("ix_canary_sent_at"), ["sent_at"], unique=False)


def downgrade() -> None:
    """Take back."""
    op.drop_table("canary")
