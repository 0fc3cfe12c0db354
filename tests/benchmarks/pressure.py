"""What 3,200 images of one patient do to another's head: `python tests/benchmarks/pressure.py`.

A perfusion waits in the inbox when a head is put there. Printed are the steps of the catalogue, the
time until the head has its rows, and how long the decision on the perfusion holds up other series;
CPU seconds beside the wall's, since the machine may have other work.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).parents[2]))

import sqlalchemy as sa
import structlog
from pydicom.dataset import Dataset

from receiver.catalogue.intake import Catalogue
from receiver.dispatch.planner import Planner
from receiver.inbox import Inbox
from receiver.protocol.file_meta import encode_file_meta
from schema.database import Database, open_database
from schema.settings import Settings
from schema.tables import Instance, Series
from tests.support.phantoms import Phantom
from tests.support.scu import CT, EXPLICIT, encode

PERFUSION: Final = 3200
PLACES: Final = 32
BAR_S: Final = 2.0


def main() -> None:
    """Measure and print; exit 1 if a step takes longer than the bar."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(_env_file=None, home=Path(folder) / "home", series_silence_s=5)
        database = open_database(settings)
        inbox = Inbox(settings.storage, 0)
        fill(inbox, "1.2.3", PERFUSION)
        fill(inbox, "1.2.4", PLACES)
        longest = max(catalogue_all(database, settings), plan_all(database, settings))
    say(f"longest step {longest:.2f} CPU s, bar {BAR_S:g} s")
    sys.exit(longest > BAR_S)


def fill(inbox: Inbox, study: str, count: int) -> None:
    """Put a series into the inbox: at each place as many images as it takes."""
    head = Phantom([5.0 * place for place in range(PLACES)], size=256, spacing_mm=0.9, study=study)
    folder = inbox.open_association("CT1", "127.0.0.1")
    slices = head.datasets
    for number in range(count):
        ds = named(slices[number % PLACES], study, number)
        incoming = folder.begin(encode_file_meta(CT, ds.SOPInstanceUID, EXPLICIT), 10**9)
        incoming.write(memoryview(encode(ds)))
        incoming.keep()
    folder.close()


def named(ds: Dataset, study: str, number: int) -> Dataset:
    """Make another image of a slice."""
    ds.SOPInstanceUID = f"{study}.1.{number + 1}"
    ds.AcquisitionTime = f"12{number // PLACES % 60:02d}00"
    ds.InstanceNumber = number + 1
    return ds


def catalogue_all(database: Database, settings: Settings) -> float:
    """Take everything in; give the longest step."""
    catalogue, steps, begun = Catalogue(database, settings.storage), [], time.monotonic()
    head_after_s = 0.0
    while sum(steps_left(settings)):
        steps.append(timed(catalogue.take_some))
        if not head_after_s and count(database, "1.2.4.") == PLACES:
            head_after_s = time.monotonic() - begun
    cpu_s = [step[1] for step in steps]
    say(
        f"catalogue: {len(steps)} steps, longest {max(step[0] for step in steps):.2f} s"
        f" ({max(cpu_s):.2f} CPU s); the head has its rows after {head_after_s:.2f} s"
    )
    return max(cpu_s)


def steps_left(settings: Settings) -> list[int]:
    """Count what waits, by association."""
    return [len(list(each.glob("*.dcm"))) for each in (settings.storage / "inbox").iterdir()]


def count(database: Database, prefix: str) -> int:
    """Count the rows of a series."""
    query = sa.select(sa.func.count()).where(Instance.sop_instance_uid.startswith(prefix))
    with database.reading() as session:
        return session.scalar(query) or 0


def plan_all(database: Database, settings: Settings) -> float:
    """Decide on both; give what the perfusion takes, which comes last."""
    with database.transaction() as session:
        for series in session.scalars(sa.select(Series)):
            series.last_instance_at -= timedelta(seconds=60)
    planner = Planner.of(settings, database)
    took: list[tuple[float, float]] = []
    decide = planner.decide

    def noted(series_id: int, reason: str) -> bool:
        took.append(timed(lambda: decide(series_id, reason)))
        return True

    planner.decide = noted  # type: ignore[method-assign, assignment]
    whole = timed(planner.plan)
    for name, (wall_s, cpu_s) in zip(("first", "second"), took, strict=True):
        say(f"plan: the {name} decision {wall_s:.2f} s ({cpu_s:.2f} CPU s)")
    say(f"plan: all of it {whole[0]:.2f} s ({whole[1]:.2f} CPU s)")
    return whole[1]


def timed(action: Callable[[], object]) -> tuple[float, float]:
    """Give wall and CPU seconds of an action."""
    wall, cpu = time.monotonic(), time.process_time()
    action()
    return time.monotonic() - wall, time.process_time() - cpu


def say(line: str) -> None:
    """Print at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
