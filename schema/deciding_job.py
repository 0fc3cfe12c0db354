"""Which of several jobs decides what a study shows: its outcome, its reason, its objects."""

from collections.abc import Sequence

from schema.scans import adds
from schema.states import JobState, Outcome, urgency
from schema.tables import Job, Series

ENDED = (JobState.DONE, JobState.FAILED)
SUSPICIOUS = (Outcome.POSITIVE, Outcome.INDETERMINATE)


def newest_ended(series: Series) -> Job | None:
    """Give the newest job of a series that ended with a result or a failure."""
    ended = [job for job in series.jobs if job.state in ENDED]
    return max(ended, key=lambda job: job.revision, default=None)


def deciding(ended: Sequence[Job]) -> Job | None:
    """Choose the job whose outcome the study shows.

    A suspicious one before all others, the most urgent first; else that of the best-scored series,
    so that a negative second choice never covers up a failed first one; nor does a negative half of
    a head, or a scan of another time, a failed one. Of two scans the later one speaks. A series
    that was no plain head by its pixels decides nothing where another one was read.
    """
    suspicious = [job for job in ended if job.outcome in SUSPICIOUS]
    if suspicious:
        return min(suspicious, key=lambda job: urgency(job.priority))
    suitable = [job for job in ended if job.outcome != Outcome.NOT_ANALYSED]
    best = max(suitable or ended, key=lambda job: job.series.score or 0, default=None)
    if best is None:
        return None
    # What the images themselves ruled out, such as the same head with contrast, speaks for nothing.
    others = [
        job
        for job in ended
        if job.outcome in (Outcome.NEGATIVE, Outcome.FAILED)
        and adds(job.series.scan, best.series.scan)
    ]
    failed = [job for job in (best, *others) if job.outcome == Outcome.FAILED]
    return max(failed or (best, *others), key=lambda job: job.series.scanned_at or "")
