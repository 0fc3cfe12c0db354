"""A decided series that is opened again: something more of it came, or an operator asked."""

from schema.states import JobState, SeriesState, move
from schema.tables import Series


def reopen(series: Series) -> None:
    """Open a decided series again as a new revision; what was analysed before stays on record."""
    series.state = move(series.state, SeriesState.RECEIVING)
    series.completed_by = None
    series.revision += 1
    for job in series.jobs:
        if job.state == JobState.READY:
            job.state = move(job.state, JobState.SUPERSEDED)
