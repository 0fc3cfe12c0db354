"""A message in the hands of the worker's parent; a worker at fault stops after its first one."""

import sys
from typing import Any, Final

from celery.worker import state
from celery.worker.request import Request

from schema.errors import WorkerError

AT_FAULT = 2
faults: Final[list[str]] = []  # what this worker stops for


def say(reason: object) -> None:
    """Write the one line that a worker leaves behind."""
    faults.append(str(reason))
    sys.__stderr__.write(f"ihsnet-triage: worker stops: {reason}\n")  # type: ignore[union-attr]
    sys.__stderr__.flush()  # type: ignore[union-attr]


class AnalyseRequest(Request):  # type: ignore[misc]
    """Stops the worker when its task says that the worker is at fault."""

    def on_failure(self, exc_info: Any, *arguments: Any, **named: Any) -> Any:
        """Take no further message, end what runs, and exit with status 2."""
        fault = getattr(exc_info.exception, "exc", exc_info.exception)
        if isinstance(fault, WorkerError) and state.should_stop is None:
            say(fault)
            state.should_stop = AT_FAULT
        return super().on_failure(exc_info, *arguments, **named)
