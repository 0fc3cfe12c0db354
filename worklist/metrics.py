"""What Prometheus may know of the list: how much nobody has seen."""

import sqlalchemy as sa

from schema.database import Database, read_clock
from schema.tables import Study, StudyEvent
from worklist.acknowledgement import UNREAD_CRITICAL
from worklist.listing import CRITICAL, count_unread


def metrics_text(database: Database) -> str:
    """Write the metrics in Prometheus' text format."""
    with database.reading() as session:
        oldest = session.scalar(
            sa.select(Study.finished_at)
            .where(Study.place == CRITICAL, Study.finished_at.is_not(None))
            .order_by(Study.finished_at)
            .limit(1)
        )
        waiting = (read_clock(session) - oldest).total_seconds() if oldest else 0.0
        escalated = session.scalar(
            sa.select(sa.func.count(StudyEvent.id)).where(StudyEvent.kind == UNREAD_CRITICAL)
        )
        values = {
            "triage_unread_studies": ("gauge", count_unread(session)),
            "triage_unread_critical_studies": ("gauge", count_unread(session, CRITICAL)),
            "triage_oldest_unread_critical_seconds": ("gauge", round(waiting, 1)),
            "triage_escalations_total": ("counter", escalated or 0),
        }
    return "".join(
        f"# TYPE {name} {kind}\n{name} {value}\n" for name, (kind, value) in values.items()
    )
