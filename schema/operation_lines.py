"""What `python -m schema check` says of the operation, in lines for a person."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Final

from schema.database import PROGRAM
from schema.moments import OTHER_CLOCKS
from schema.monitoring.open_studies import Reconciliation
from schema.monitoring.signs import Model, Part, Running
from schema.operation import OldestJob, Operation, host_of
from schema.states import JobState

Ago = Callable[[datetime], str]
START: Final = "start one: systemctl start ihsnet-worker, or celery -A worker worker -Q triage"
JOBS: Final = {0: "what comes waits", 1: "1 job waits"}
NEXT: Final = (  # by the condition of a worker that is not ready, the most hopeful first
    ("starting", "one starts, ask again in a minute"),
    ("not_ready", "do what its line above says"),
    ("failed", "do what its line above says; its supervisor starts it again"),
)


def describe(operation: Operation) -> Iterator[tuple[str, str]]:
    """Say it in lines: what, and how it stands."""

    def ago(moment: datetime) -> str:
        if moment > operation.read_at + OTHER_CLOCKS:
            return f"{_round(moment - operation.read_at)} from now, by a clock that was set back"
        return f"{_round(operation.read_at - moment)} ago"

    yield from _describe_running(operation, ago)
    yield "waiting", _describe_oldest(operation, ago)
    last = operation.last_reception
    sender = f" from {last.calling_ae}" if last and last.calling_ae else ""
    yield "received", f"last image {ago(last.at)}{sender}" if last else "nothing that is still here"
    for refused, count in operation.rejections:
        by = f", by {refused.calling_ae}" if refused.calling_ae else ""
        peer = f" from {refused.peer}" if refused.peer else ""
        yield "rejected", f"{count} x {refused.reason}{by}{peer}"
    if not operation.rejections:
        yield "rejected", "no association in the last hour"
    yield from _describe_late(operation.studies, ago)
    for reason, studies in operation.unanalysed.items():
        yield "last hour", f"{studies} x {reason}"
    if not operation.unanalysed:
        yield "last hour", "no study went unanalysed"


def describe_lack(operation: Operation) -> str | None:
    """Say that no worker is ready, where its jobs wait and what to do; None where one is."""
    conditions = {worker.condition for worker in _workers(operation)}
    if "ready" in conditions:
        return None
    step = next((step for condition, step in NEXT if condition in conditions), START)
    jobs = JOBS.get(operation.waiting, f"{operation.waiting} jobs wait")
    return f"none is ready; {jobs} in the database until one is; {step}"


def _workers(operation: Operation) -> list[Running]:
    return [part for part in operation.running if part.part == Part.TRIAGE and not part.replaced]


def _describe_oldest(operation: Operation, ago: Ago) -> str:
    job = operation.oldest_job
    if job is None:
        return "no job"
    causes = (_put_back(job, operation.read_at), _not_taken(job, operation))
    why = "; ".join(filter(None, causes)) or _say_busy(operation)
    return f"job {job.id}, made {ago(job.since)}, {why}"


def _put_back(job: OldestJob, now: datetime) -> str:
    """Say why the worker that had it has it no more; nothing of a job that none ever had."""
    if job.state == JobState.RUNNING:
        return f"its worker on {host_of(job.owner)} went silent"
    why = f": {job.last_error}" if job.last_error else ""
    if job.waits_for:
        return f"waits for {job.waits_for}{why}"
    if why and job.due_at > now:
        return f"set aside for another {_round(job.due_at - now)}{why}"
    return f"put back{why}" if why else ""


def _not_taken(job: OldestJob, operation: Operation) -> str:
    """Say why no worker can take it; nothing where one can."""
    if job.needs_program > PROGRAM:
        return "needs a worker of a later release"
    return "" if describe_lack(operation) is None else "no worker is ready"


def _say_busy(operation: Operation) -> str:
    others = sum(operation.jobs_by_host.values())
    return f"no worker has taken it{f', {others} other running' if others else ''}"


def _round(span: timedelta) -> timedelta:
    return timedelta(seconds=round(max(span.total_seconds(), 0)))


def _describe_running(operation: Operation, ago: Ago) -> Iterator[tuple[str, str]]:
    for part in operation.running:
        if part.replaced:
            continue
        works = part.part == Part.TRIAGE
        busy = operation.jobs_by_host.get(part.host, 0) if works else 0
        words = [f"{part.host} ({part.process_id}): {part.condition.replace('_', ' ')}"]
        words += [_name(part.model)] if works else []
        words += [f"version {part.version}", f"last sign of life {ago(part.alive_at)}"]
        words += [f"{busy} running"] if busy else []
        words += [part.reason] if part.reason else []
        yield "worker" if works else part.part, ", ".join(words)
    if not _workers(operation):
        yield "worker", "none has shown itself"


def _name(model: Model | None) -> str:
    """Name a model and, since its name may outlive its weights, the begin of their digest."""
    return f"{model.name} {model.sha256[:8]}" if model else "no model loaded"


def _describe_late(studies: Reconciliation, ago: Ago) -> Iterator[tuple[str, str]]:
    yield "open", f"{studies.open} received and not ended, {studies.late} of them late"
    for study in studies.named:
        moved = ago(study.open_since)
        yield "late", f"study {study.study_instance_uid} is {study.state}, moved last {moved}"
