"""How soon a job is another's after its worker was killed on the same host.

`python -m tests.benchmarks.taking_over [--kills 3]`

SQLite, the private Redis, a receiver and two workers with a model of almost nothing; SIGKILL to
all processes of the worker that has a job. The lease is left at 30 s, so it is not what is faster.
"""

import argparse
import tempfile
import time
from pathlib import Path

from schema.database import connect, upgrade
from schema.settings import Settings
from schema.storage import require_storage
from tests.support.jobs import add_studies, job_of, was_taken_over
from tests.support.models import tiny_model
from tests.support.processes import Site, free_port, wait_for

A_KILL = 30  # studies that wait while one worker is killed


def main() -> None:
    """Print the seconds from each kill to the next token."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=3)
    kills = parser.parse_args().kills
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        settings = Settings(
            _env_file=None,
            home=home / "home",
            dicom_port=free_port(),
            model=tiny_model(home / "tiny.safetensors"),
        )
        upgrade(settings)
        require_storage(settings, 0)
        site = Site(settings, connect(settings), home / "log")
        try:
            site.start_receiver()
            measure(site, kills)
        finally:
            site.stop()


def measure(site: Site, kills: int) -> None:
    """Kill the first worker in the middle of a job, again and again; the second takes over."""
    add_studies(site, A_KILL * kills)
    first = site.start_worker()
    site.start_worker()
    for number in range(1, kills + 1):
        held = wait_for("job to kill", lambda worker=first: job_of(site, worker))  # type: ignore[misc]
        site.kill(first)
        begun = time.monotonic()
        wait_for("another token", lambda job=held: was_taken_over(site, *job))  # type: ignore[misc]
        print(f"kill {number}: taken over after {time.monotonic() - begun:.1f} s", flush=True)
        first = site.start_worker()


if __name__ == "__main__":
    main()
