"""How often a received object is opened to be read, from the inbox to the decision.

Counts by an audit hook, so that nothing of the product has to be changed:

    python tests/benchmarks/opens.py
"""

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa

sys.path.insert(0, str(Path(__file__).parents[2]))

from receiver.catalogue.intake import Catalogue
from receiver.dispatch.planner import Planner
from receiver.inbox import Inbox
from receiver.protocol.file_meta import encode_file_meta
from schema.database import open_database, upgrade
from schema.settings import Settings
from schema.tables import Instance, Series
from tests.benchmarks.objects import ct_image
from tests.support.scu import CT, EXPLICIT, encode


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=32)
    count = parser.parse_args().objects
    with tempfile.TemporaryDirectory() as home:
        print("| step | opens an object |\n|---|---|")
        for step, opened in count_opens(Settings(home=Path(home)), count).items():
            print(f"| {step} | {opened / count:g} |")


def count_opens(settings: Settings, count: int) -> dict[str, int]:
    """Count the opens of a series' objects in each step of the receiver."""
    upgrade(settings)
    database = open_database(settings)
    receive(settings, count)
    catalogue = Catalogue(database, settings.storage)
    quiet = settings.model_copy(update={"series_quiet_s": 0.001, "series_silence_s": 0.001})
    opened = Counter[str]()
    step = ""

    def note(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open" and str(arguments[0]).endswith(".dcm"):
            opened[step] += 1

    sys.addaudithook(note)
    steps: dict[str, Callable[[], object]] = {
        "catalogue": catalogue.take_in,
        "decision": Planner.of(quiet, database).plan,
    }
    for step, act in steps.items():  # noqa: B007 - the hook reads it
        act()
    with database.reading() as session:
        assert session.scalar(sa.select(sa.func.count(Instance.id))) == count
        assert session.scalars(sa.select(Series)).one().completed_by
    database.engine.dispose()
    return {name: opened[name] for name in steps}


def receive(settings: Settings, count: int) -> None:
    """Put a series into the inbox, as an acceptor does."""
    folder = Inbox(settings.storage, 0).open_association("CT1", "127.0.0.1")
    for number in range(count):
        ds = ct_image("1.2.3", "1.2.3.4", number, side=64)
        incoming = folder.begin(encode_file_meta(CT, ds.SOPInstanceUID, EXPLICIT), 10**9)
        incoming.write(memoryview(encode(ds)))
        incoming.keep()
    folder.close()


if __name__ == "__main__":
    main()
