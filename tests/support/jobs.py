"""Studies that wait for a worker, and which worker has which job."""

import subprocess

import psutil
import sqlalchemy as sa

from schema.states import JobState
from schema.tables import Job
from tests.support.phantoms import FEW_MM, Phantom
from tests.support.processes import Site
from tests.support.rows import add_instance, add_job, add_series, add_study


def add_studies(site: Site, count: int, first: int = 0) -> None:
    """Put studies into the queue as if a receiver had decided on them."""
    for number in range(first, first + count):
        uid = f"1.2.840.{number}"
        paths = Phantom(FEW_MM, study=uid).write(site.settings.storage / "heads" / str(number))
        with site.database.transaction() as session:
            series = add_series(add_study(session, uid), session)
            instances = [*series.instances, *(add_instance(series, session) for _ in paths[1:])]
            for instance, path in zip(instances, paths, strict=True):
                instance.path = str(path.relative_to(site.settings.storage))
            add_job(series, session)


def ended(site: Site) -> int:
    """Count the jobs that are over."""
    with site.database.reading() as session:
        over = Job.state.in_((JobState.DONE, JobState.FAILED))
        return session.scalar(sa.select(sa.func.count(Job.id)).where(over)) or 0


def job_of(site: Site, worker: "subprocess.Popen[bytes]") -> tuple[int, int] | None:
    """Give the job that a child of this worker has, and its token."""
    children = {str(child.pid) for child in psutil.Process(worker.pid).children(recursive=True)}
    with site.database.reading() as session:
        running = sa.select(Job.id, Job.token, Job.owner).where(Job.state == JobState.RUNNING)
        for job_id, token, owner in session.execute(running):
            if owner.split(":")[1] in children:
                return job_id, token
    return None


def was_taken_over(site: Site, job_id: int, token: int) -> bool:
    """Say whether a job has another token than it had."""
    with site.database.reading() as session:
        return session.get_one(Job, job_id).token > token
