"""What happened to a study, from its first image to the last delivery, in order."""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime

from worklist.explanation import DeliveryAccount, Explanation, JobAccount, SeriesAccount
from worklist.formatting import printable


def timeline(explanation: Explanation) -> list[tuple[datetime, str]]:
    """List moments with what happened then."""
    return sorted(_moments(explanation), key=lambda moment: moment[0])


def _moments(explanation: Explanation) -> Iterator[tuple[datetime, str]]:
    entry = explanation.entry
    yield entry.received_at, "first image"
    for event in explanation.identities:
        kind = str(event.kind).lower()
        yield event.noted_at, f"patient {kind}: {printable(event.differs)} differs"
    for series in explanation.series:
        yield from _of_series(series)
        for job in series.jobs:
            yield from _of_job(job, printable(series.description) or "series")
    yield from _of_deliveries(explanation.deliveries)
    if entry.escalated_at:
        yield entry.escalated_at, "called out: nobody had seen it"
    if entry.acknowledged_at:
        yield entry.acknowledged_at, f"seen by {printable(entry.acknowledged_by)}"


def _of_series(series: SeriesAccount) -> Iterator[tuple[datetime, str]]:
    name = printable(series.description) or "series without description"
    yield series.last_instance_at, f"last of {series.instances} images of {name}"


def _of_job(job: JobAccount, name: str) -> Iterator[tuple[datetime, str]]:
    yield job.created_at, f"{name} chosen for analysis"
    if job.started_at:
        yield job.started_at, f"analysis of {name} started"
    if job.finished_at:
        outcome = str(job.outcome or job.state).lower().replace("_", " ")
        yield job.finished_at, f"analysis of {name} ended: {outcome}"


def _of_deliveries(deliveries: Iterable[DeliveryAccount]) -> Iterator[tuple[datetime, str]]:
    """Name each destination once for all that it was sent, and once for all that it keeps."""
    sent: dict[str, list[DeliveryAccount]] = {}
    for delivery in deliveries:
        sent.setdefault(delivery.destination, []).append(delivery)
    for destination, rows in sent.items():
        yield from _together(rows, "sent_at", f"sent to {destination}")
        yield from _together(rows, "committed_at", f"{destination} keeps")


def _together(rows: list[DeliveryAccount], when: str, words: str) -> Iterator[tuple[datetime, str]]:
    over = [row for row in rows if getattr(row, when)]
    if over:
        counts = Counter(row.what for row in over)
        kinds = ", ".join(
            f"{count} {what}" if count > 1 else what for what, count in counts.items()
        )
        yield max(getattr(row, when) for row in over), f"{words}: {kinds}"
