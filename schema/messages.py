"""What goes over the broker: a task name and a job id, nothing else.

The name is the version. A later release may add arguments, which are passed over; where the first
changes its meaning, the name changes, and the release sends both while the one before may run.
"""

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
