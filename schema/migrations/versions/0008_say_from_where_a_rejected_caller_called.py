"""Say from where a rejected caller called."""

import sqlalchemy as sa
from alembic import op


revision = '0008'
down_revision = '0007'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply; no release has written the table yet, so its key may change."""
    with op.batch_alter_table('rejection') as batch_op:
        batch_op.add_column(sa.Column('peer', sa.String(length=64), server_default='', nullable=False))
        batch_op.drop_constraint('uq_rejection_hour_reason_calling_ae', type_='unique')
        batch_op.create_unique_constraint('uq_rejection_hour_reason_calling_ae_peer', ['hour', 'reason', 'calling_ae', 'peer'])


def downgrade() -> None:
    """Take back; what one caller did from two addresses is one row no more, so all go."""
    op.execute('DELETE FROM rejection')
    with op.batch_alter_table('rejection') as batch_op:
        batch_op.drop_constraint('uq_rejection_hour_reason_calling_ae_peer', type_='unique')
        batch_op.create_unique_constraint('uq_rejection_hour_reason_calling_ae', ['hour', 'reason', 'calling_ae'])
        batch_op.drop_column('peer')
