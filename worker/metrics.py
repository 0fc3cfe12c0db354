"""What a worker's parent shows of itself and of its children: is it ready, and what does it hold.

The children have the model and the GPU; they leave what they know in files, and the database sums
up what was analysed. So the parent alone has a page, and it never loads torch.
"""

import os
import time
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from schema.broker import ping
from schema.database import Database
from schema.errors import BrokerUnavailableError
from schema.messages import DELIVER_QUEUE, TRIAGE_QUEUE
from schema.monitoring.disk import StorageCollector, storage_missing
from schema.monitoring.life import Check, Life, database_missing
from schema.monitoring.pages import Pages, open_pages
from schema.monitoring.signs import Model, Part
from schema.settings import Settings
from worker.delivery.destinations import load_destinations
from worker.self_tests import Verdict, newest_beat, read_verdicts

IN_PROCESS: Final = ("solo", "thread")  # pools that have no children
LEAST_SILENCE_S: Final = 30.0  # a busy host may keep a child from its beats for seconds
RENEWAL_S: Final = 300.0  # a child's successor may load torch and a model from a slow disk


class Workforce:
    """One worker as its parent sees it.

    Parameters
    ----------
    worker
        Celery's.
    folder
        Where the processes that analyse leave their verdicts; None where none does.
    """

    def __init__(self, worker: Any, folder: Path | None) -> None:
        self._worker = worker
        self._folder = folder
        self.was_attached = False
        self._last: list[Verdict] = []
        self._heard_at = 0.0
        self._beats: dict[int, tuple[int, float]] = {}  # of each child the newest, and since when

    @property
    def analyses(self) -> bool:
        """Whether it takes studies, or delivers only and needs no model."""
        return consumes(self._worker, TRIAGE_QUEUE)

    def verdicts(self) -> list[Verdict]:
        """Give what the processes that live last said of themselves."""
        return [] if self._folder is None else read_verdicts(self._folder, self.process_ids())

    def process_ids(self) -> Collection[int]:
        """Give the processes that analyse."""
        if self.has_no_children:
            return [os.getpid()]
        return [child.pid for child in self._worker.pool._pool._pool if child.exitcode is None]

    @property
    def has_no_children(self) -> bool:
        """Whether the parent analyses itself."""
        return self._worker.pool_cls.__module__.rpartition(".")[2] in IN_PROCESS

    @property
    def is_attached(self) -> bool:
        """Whether it takes messages of the queue: not after somebody had it cancelled."""
        tasks = getattr(getattr(self._worker, "consumer", None), "task_consumer", None)
        attached = tasks is not None and bool(tasks.consuming_from(TRIAGE_QUEUE))
        self.was_attached = self.was_attached or attached
        return attached

    @property
    def takes_commands(self) -> bool:
        """Whether whoever reaches the broker may command it."""
        return bool(self._worker.app.conf.worker_enable_remote_control)

    def model(self) -> Model | None:
        """Give the model that its processes have loaded."""
        loaded = [verdict for verdict in self._heard() if verdict.model]
        return Model(loaded[0].model, loaded[0].model_sha256) if loaded else None

    def model_missing(self) -> str | None:
        """Say why no slice was analysed yet, or nothing."""
        verdicts = self._heard()
        faults = [verdict.fault for verdict in verdicts if verdict.fault]
        if faults:
            return faults[0]
        return None if verdicts else "no process has loaded the model and analysed a slice yet"

    def _heard(self) -> list[Verdict]:
        """Give the verdicts; after the last child ended, its own until its successor can have one.

        Celery renews a child after so many messages. That is no reason to call the operator.
        """
        if found := self.verdicts():
            self._last, self._heard_at = found, time.monotonic()
        elif time.monotonic() - self._heard_at > RENEWAL_S:
            self._last = []
        return self._last

    def children_missing(self) -> str | None:
        """Say which child hangs, and what to do, or nothing."""
        if self.has_no_children or self._folder is None:
            return None
        longest_s = max(self._worker.app.triage.lease_s, LEAST_SILENCE_S)
        for process_id in self.process_ids():
            silent_s = self._silence_s(self._folder, process_id)
            if silent_s > longest_s:
                return (
                    f"process {process_id} hangs, it says nothing for {silent_s:.0f} s:"
                    f" kill -KILL {process_id}, and the worker starts another"
                )
        return None

    def _silence_s(self, folder: Path, process_id: int) -> float:
        """Say for how long a child gave no beat; none is expected before its first verdict."""
        beat, now = newest_beat(folder, process_id), time.monotonic()
        if beat is None:
            return 0.0
        known, since = self._beats.get(process_id, (None, now))
        if beat != known:
            self._beats[process_id], since = (beat, now), now
        return now - since

    def consumer_missing(self) -> str | None:
        """Say why no message comes, or nothing."""
        try:
            ping(self._worker.app.triage)
        except BrokerUnavailableError as error:
            return str(error)
        return None if self.is_attached else f"takes no message of the queue {TRIAGE_QUEUE}"


def consumes(worker: Any, queue: str) -> bool:
    """Say whether a worker was started for a queue."""
    return queue in worker.app.amqp.queues.consume_from


def worker_life(worker: Any, workforce: Workforce, database: Database) -> Life:
    """Make what looks after a worker: it is ready when the next study would be analysed."""
    settings: Settings = worker.app.triage
    checks: dict[str, Check] = {
        "storage": lambda: storage_missing(settings.storage),
        "database": lambda: database_missing(database),
    }
    if workforce.analyses:
        checks |= {
            "model": workforce.model_missing,
            "processes": workforce.children_missing,
            "consumer": workforce.consumer_missing,
        }
    part = Part.TRIAGE if workforce.analyses else Part.DELIVER
    return Life(part, database, checks, workforce.model, instance=worker.hostname)


def open_worker_pages(
    worker: Any, workforce: Workforce, life: Life, database: Database
) -> Pages | None:
    """Open the worker's pages, if they are wanted.

    Raises
    ------
    SettingsError
        If somebody else has the port.
    """
    settings: Settings = worker.app.triage
    registry = CollectorRegistry()
    registry.register(StorageCollector(settings, life))
    if workforce.analyses:
        registry.register(WorkerCollector(workforce))
    if consumes(worker, DELIVER_QUEUE):
        from worker.delivery.counts import DELIVERY_SECONDS
        from worker.delivery.metrics import OutboxCollector

        registry.register(OutboxCollector(load_destinations(settings.destinations), database))
        registry.register(DELIVERY_SECONDS)
    name = "TRIAGE_WORKER_METRICS_PORT"
    return open_pages(name, settings.metrics_host, settings.worker_metrics_port, life, registry)


class WorkerCollector(Collector):
    """Whether studies come in, who could stop them, and what the GPU has left."""

    def __init__(self, workforce: Workforce) -> None:
        self._workforce = workforce

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Give the gauges."""
        attached = self._workforce.is_attached
        if self._workforce.was_attached:  # one that still starts lost nothing
            yield GaugeMetricFamily(
                "triage_consumer_attached",
                "Whether the worker takes messages of the queue",
                float(attached),
            )
        yield GaugeMetricFamily(
            "triage_remote_control_enabled",
            "Whether whoever reaches the broker may stop the worker",
            float(self._workforce.takes_commands),
        )
        verdicts = self._workforce.verdicts()
        memories = {verdict.memory.device: verdict.memory for verdict in verdicts if verdict.memory}
        yield _gauge(
            "gpu_memory_free_bytes",
            "What the GPU had left after the last study",
            {device: memory.free_bytes for device, memory in memories.items()},
        )
        yield _gauge(
            "gpu_memory_size_bytes",
            "What the GPU has",
            {device: memory.total_bytes for device, memory in memories.items()},
        )


def _gauge(name: str, what: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"triage_{name}", what, labels=["device"])
    for device, value in values.items():
        family.add_metric([device], value)
    return family
