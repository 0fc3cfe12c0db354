"""Fold letters beyond ASCII for the search."""

import sqlalchemy as sa
from alembic import op

from schema.letters import fold_beyond_ascii

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

ROWS = 1000  # that are read and written at a time
WRITTEN = "ix_study_place_received_at_id_search_text"
FOLDED = "ix_study_place_received_at_id_search_text_search_folded"
PLACE = ["place", "received_at", "id"]
study = sa.table(
    "study",
    sa.column("id", sa.Integer),
    sa.column("patient_id", sa.String),
    sa.column("accession_number", sa.String),
    sa.column("patient_name", sa.String),
    sa.column("search_folded", sa.String),
)


def upgrade() -> None:
    """Apply; an older program leaves the column NULL, and its search finds its own in the longer index."""
    op.add_column("study", sa.Column("search_folded", sa.String(), nullable=True))
    op.drop_index(WRITTEN, "study")
    last: int | None = 0
    while last is not None:
        last = fill(op.get_bind(), last)
    op.create_index(FOLDED, "study", [*PLACE, "search_text", "search_folded"])


def fill(connection: sa.Connection, after: int) -> int | None:
    """Fold the next rows; give the last of them, None where there is none."""
    columns = study.c.id, study.c.patient_id, study.c.accession_number, study.c.patient_name
    query = sa.select(*columns).where(study.c.id > after).order_by(study.c.id).limit(ROWS)
    last = None
    for last, *texts in connection.execute(query).all():
        if (folded := fold_beyond_ascii(*texts)) is not None:
            row = sa.update(study).where(study.c.id == last)
            connection.execute(row.values(search_folded=folded))
    return last


def downgrade() -> None:
    """Take back."""
    op.drop_index(FOLDED, "study")
    op.drop_column("study", "search_folded")
    op.create_index(WRITTEN, "study", [*PLACE, "search_text"])
