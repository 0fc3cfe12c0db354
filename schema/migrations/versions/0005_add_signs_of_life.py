"""Add signs of life, rejections by hour, and what is told of a job's way."""

import sqlalchemy as sa
from alembic import op


revision = '0005'
down_revision = '0004'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table('process',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('owner', sa.String(), nullable=False),
    sa.Column('part', sa.String(length=16), nullable=False),
    sa.Column('host', sa.String(), nullable=False),
    sa.Column('process_id', sa.Integer(), nullable=False),
    sa.Column('version', sa.String(length=32), nullable=False),
    sa.Column('started_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('alive_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('state', sa.Enum('STARTING', 'READY', 'NOT_READY', 'STOPPED', 'FAILED', name='processstate', native_enum=False, length=16), nullable=False),
    sa.Column('reason', sa.String(), nullable=True),
    sa.Column('model', sa.String(), nullable=True),
    sa.Column('model_sha256', sa.String(length=64), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_process')),
    sa.UniqueConstraint('owner', 'part', name=op.f('uq_process_owner_part'))
    )
    with op.batch_alter_table('process', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_process_part_host'), ['part', 'host'], unique=False)

    op.create_table('rejection',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('hour', sa.DateTime(timezone=True), nullable=False),
    sa.Column('reason', sa.String(length=64), nullable=False),
    sa.Column('calling_ae', sa.String(length=16), nullable=False),
    sa.Column('count', sa.Integer(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_rejection')),
    sa.UniqueConstraint('hour', 'reason', 'calling_ae', name=op.f('uq_rejection_hour_reason_calling_ae'))
    )
    # Not as a batch: SQLite would copy the table, and old programs go on writing it.
    op.add_column('job', sa.Column('dispatched_at', sa.DateTime(timezone=True), nullable=True))
    op.add_column('job', sa.Column('take_overs', sa.Integer(), server_default='0', nullable=False))


def downgrade() -> None:
    """Take back."""
    with op.batch_alter_table('job', schema=None) as batch_op:
        batch_op.drop_column('take_overs')
        batch_op.drop_column('dispatched_at')
    op.drop_table('rejection')
    op.drop_table('process')
