"""Add what proves a series whole, and what the selection decided."""

import sqlalchemy as sa
from alembic import op


revision = '0002'
down_revision = '0001'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table('announcement',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('study_instance_uid', sa.String(length=64), nullable=False),
    sa.Column('series_instance_uid', sa.String(length=64), nullable=False),
    sa.Column('source', sa.String(length=8), nullable=False),
    sa.Column('ae_title', sa.String(length=16), nullable=False),
    sa.Column('instances', sa.Integer(), nullable=False),
    sa.Column('sop_instance_uids', sa.JSON(), nullable=True),
    sa.Column('announced_at', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_announcement')),
    sa.UniqueConstraint('series_instance_uid', 'source', 'ae_title', name=op.f('uq_announcement_series_instance_uid_source_ae_title'))
    )
    with op.batch_alter_table('announcement', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_announcement_series_instance_uid'), ['series_instance_uid'], unique=False)
    op.add_column('series', sa.Column('whole_by', sa.String(), nullable=True))
    op.add_column('series', sa.Column('selection_version', sa.String(length=64), nullable=True))
    op.add_column('instance', sa.Column('places_mm', sa.JSON(), nullable=True))
    op.add_column('instance', sa.Column('left_out', sa.String(), nullable=True))


def downgrade() -> None:
    """Take back."""
    for table, columns in (('instance', ('left_out', 'places_mm')), ('series', ('selection_version', 'whole_by'))):
        with op.batch_alter_table(table, schema=None) as batch_op:
            for column in columns:
                batch_op.drop_column(column)
    op.drop_table('announcement')
