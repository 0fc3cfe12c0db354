"""What goes over the broker: a task name and a job id, nothing else."""

from dataclasses import dataclass
from typing import Final

TRIAGE_QUEUE: Final = "triage"
DELIVER_QUEUE: Final = "deliver"
ANALYSE: Final = "triage.analyse"


@dataclass(frozen=True)
class AnalyseMessage:
    """Tells a worker that a job waits; all facts are in the database under the job id."""

    job_id: int
    task: str = ANALYSE
    queue: str = TRIAGE_QUEUE
