"""Which of several jobs decides what a study shows: its outcome, its reason, its objects."""

from collections.abc import Sequence

from schema.reason_words import is_a_head_in_bone, is_ruled_out, may_be_a_head
from schema.scans import ANOTHER_SCAN_S, adds, is_another_examination, seconds_between
from schema.states import ENDED, Outcome, SeriesState, urgency
from schema.tables import Job, Series

SUSPICIOUS = (Outcome.POSITIVE, Outcome.INDETERMINATE)


def newest_ended(series: Series) -> Job | None:
    """Give the newest job of a series that ended with a result or a failure."""
    ended = [job for job in series.jobs if job.state in ENDED]
    return max(ended, key=lambda job: job.revision, default=None)


def shown_job(series: Sequence[Series]) -> Job | None:
    """Choose the job that a study with these series shows.

    None where none ended, and where "none found" would stand beside a head that was refused.
    """
    shown = deciding([job for scanned in series if (job := newest_ended(scanned)) is not None])
    if shown is not None and shown.outcome == Outcome.NEGATIVE and refused_heads(series):
        return None
    return shown


def refused_heads(series: Sequence[Series]) -> list[Series]:
    """List the series that the selection refused and that may be a head: they went unread.

    One that was read before is a head, whatever it was refused for since more images came; so is a
    bone series of a time that no series which was read is of.
    """
    return [
        scanned
        for scanned in series
        if scanned.state == SeriesState.REJECTED
        and scanned.score is None  # else a better series shows the same
        and (
            may_be_a_head(scanned.reason) or _was_read(scanned) or _is_another_scan(scanned, series)
        )
    ]


def _is_another_scan(bone: Series, series: Sequence[Series]) -> bool:
    read = [other.scanned_at or "" for other in series if _was_read(other)]
    at = bone.scanned_at or ""
    apart = bool(read) and all(is_another_examination(at, other) for other in read)
    return apart and is_a_head_in_bone(bone.reason)


def _was_read(series: Series) -> bool:
    job = newest_ended(series)
    return job is not None and not _is_ruled_out(job)


def deciding(ended: Sequence[Job]) -> Job | None:
    """Choose the job whose outcome the study shows.

    A suspicious one before all others, see `_most_urgent`; else that of the best-scored series,
    so that a negative second choice never covers up a first one that was not read; nor does a
    negative half of a head, or a scan of another time. Of two scans the later one speaks. A series
    that was no plain head by its images decides nothing where another one was read.
    """
    suspicious = [job for job in ended if job.outcome in SUSPICIOUS]
    if suspicious:
        return _most_urgent(suspicious)
    # What the images themselves ruled out, such as the same head with contrast, speaks for nothing.
    suitable = [job for job in ended if not _is_ruled_out(job)]
    best = max(suitable or ended, key=lambda job: job.series.score or 0, default=None)
    if best is None:
        return None
    others = [job for job in suitable if adds(job.series.scan, best.series.scan)]
    unread = [job for job in (best, *others) if job.outcome != Outcome.NEGATIVE]
    return max(unread or (best, *others), key=lambda job: job.series.scanned_at or "")


def _is_ruled_out(job: Job) -> bool:
    return job.outcome == Outcome.NOT_ANALYSED and is_ruled_out(job.reason)


def _most_urgent(suspicious: Sequence[Job]) -> Job:
    """Choose the most urgent; of equals that of the later scan; in one scan that with more blood.

    A control may show what has grown, or what is gone: the list has to say what it shows.
    """
    highest = min(urgency(job.priority) for job in suspicious)
    equals = [job for job in suspicious if urgency(job.priority) == highest]
    last = max(job.series.scanned_at or "" for job in equals)
    of_last_scan = [
        job
        for job in equals
        if (seconds_between(job.series.scanned_at or "", last) or 0) < ANOTHER_SCAN_S
    ]
    return max(of_last_scan, key=lambda job: (job.measured or {}).get("total_ml") or 0)
