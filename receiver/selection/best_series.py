"""Which of the series of a study is analysed: the best score, of two equal ones the first."""

from receiver.selection.images import Selection
from schema.scans import adds
from schema.states import JobState, Outcome, SeriesState, move
from schema.tables import Series


def better_sibling(series: Series, selection: Selection) -> Series | None:
    """Find a selected series that shows the same and that the model should read rather.

    Of two with the same score the one that was selected before stays. One that its images ruled
    out, such as the same head with contrast, outranks nothing.
    """
    score, scan = selection.score, selection.scan
    if score is None:
        return None
    rivals = [
        other
        for other in series.study.series
        if other is not series
        and other.state == SeriesState.SELECTED
        and not adds(scan, other.scan)
        and not _was_left_unread(other)
    ]
    best = max(rivals, key=lambda rival: rival.score or 0, default=None)
    return best if best is not None and (best.score or 0) >= score else None


def _was_left_unread(series: Series) -> bool:
    newest = max(series.jobs, key=lambda job: job.revision, default=None)
    return newest is not None and newest.outcome == Outcome.NOT_ANALYSED


def spare_worse_siblings(series: Series) -> None:
    """Take back jobs of worse series that no worker began, so that none delays the better one.

    One that runs or ended stays: it may be the more urgent, and the study shows the most urgent.
    """
    for other in series.study.series:
        if other is series or (other.score or 0) >= (series.score or 0):
            continue
        if adds(other.scan, series.scan):
            continue
        for job in other.jobs:
            if job.state == JobState.READY and job.attempts == 0:
                job.state = move(job.state, JobState.SUPERSEDED)
                other.reason = f"series {series.name} scored {series.score:g}; {other.reason}"
