"""Counts what ends, for Prometheus: outcomes by station and cause, and the time of each stretch.

From the tables and not from the workers: so it is one sum, whichever process of whichever host did
the work. It begins at zero with the program, as Prometheus expects.
"""

import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from schema.canaries import without_canaries
from schema.database import Database, read_clock
from schema.errors import DatabaseUnavailableError
from schema.monitoring.causes import Cause
from schema.monitoring.ends import (
    HOPS,
    RECALLED,
    EndedJob,
    EndedStudy,
    read_ends,
)
from schema.monitoring.likeness import Likeness

SECONDS: Final = (0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 14_400)
MOST_STATIONS: Final = 50  # the name comes from the images; beyond, all are one
REMEMBERED: Final = timedelta(days=7)  # what was counted: a later series may end in that time
OTHERS: Final = "(others)"


class OutcomeCollector(Collector):
    """Looks what ended whenever it is asked."""

    def __init__(self, database: Database) -> None:
        self._database = without_canaries(database)
        self._turn = threading.Lock()
        self._looked_at: datetime | None = None
        self._results_at: dict[tuple[int, int | datetime], datetime] = {}  # counted, and when
        self._ways_at: dict[int, datetime] = {}
        self._jobs: dict[int, datetime] = {}
        self._stations: set[str] = set()
        self._registry = CollectorRegistry()
        registry = self._registry
        self._results = Counter(
            "triage_results",
            "Outcomes that studies got, by Station Name",
            ["station", "outcome"],
            registry=registry,
        )
        self._likeness = Counter(
            "triage_likeness",
            "Analysed studies by how like the training data their images are, by Station Name",
            ["station", "training"],
            registry=registry,
        )
        self._unanalysed = Counter(
            "triage_unanalysed",
            "Studies that were not analysed, by cause",
            ["cause"],
            registry=registry,
        )
        self._take_overs = Counter(
            "triage_lease_take_overs",
            "Jobs taken over from a worker that went silent",
            registry=registry,
        )
        self._hops = Histogram(
            "triage_hop_seconds",
            "How long each stretch of a job's way took",
            ["hop"],
            buckets=SECONDS,
            registry=registry,
        )
        self._way = Histogram(
            "triage_result_seconds",
            "From a study's first image to its first outcome",
            buckets=SECONDS,
            registry=registry,
        )
        self._begin_at_zero()

    def collect(self) -> Iterator[Metric]:
        """Count what ended since the last time, and give the sums."""
        with self._turn:
            with suppress(DatabaseUnavailableError):  # what ends meanwhile is found later
                self._look()
            yield from self._registry.collect()

    def _look(self) -> None:
        with self._database.reading() as session:
            now = read_clock(session)
            ends = read_ends(session, now, self._looked_at or now)
        for study in ends.studies:
            self._count_study(study, now)
        for job in ends.jobs:
            self._count_job(job, now)
        self._looked_at = now
        self._forget(now)

    def _count_study(self, study: EndedStudy, now: datetime) -> None:
        key = (study.id, study.result)
        if key in self._results_at:
            return
        self._results_at[key] = now
        station = self._station(study.station)
        self._results.labels(station, study.outcome).inc()
        if study.likeness is not None:
            for likeness in Likeness:  # a share of what never came is 0, not unknown
                self._likeness.labels(station, likeness)
            self._likeness.labels(station, study.likeness).inc()
        if study.cause is not None:
            self._unanalysed.labels(study.cause).inc()
        if study.revision == 1 and study.id not in self._ways_at:
            self._ways_at[study.id] = now
            self._way.observe(max((study.first_ended_at - study.received_at).total_seconds(), 0))

    def _count_job(self, job: EndedJob, now: datetime) -> None:
        if job.id in self._jobs:
            return
        self._jobs[job.id] = now
        self._take_overs.inc(job.take_overs)
        for hop, seconds in job.hops_s.items():
            self._hops.labels(hop).observe(seconds)

    def _begin_at_zero(self) -> None:
        """Show what may be counted: Prometheus sees no rise in what it never saw before."""
        for cause in Cause:
            self._unanalysed.labels(cause)
        for hop in HOPS:
            self._hops.labels(hop)

    def _station(self, name: str) -> str:
        if name in self._stations or len(self._stations) < MOST_STATIONS:
            self._stations.add(name)
            return name
        return OTHERS

    def _forget(self, now: datetime) -> None:
        """Forget what will not be read again, so that the memory stays small."""
        oldest, results = now - 2 * RECALLED, now - REMEMBERED
        self._results_at = {key: at for key, at in self._results_at.items() if at > results}
        self._ways_at = {key: at for key, at in self._ways_at.items() if at > results}
        self._jobs = {key: at for key, at in self._jobs.items() if at > oldest}
