"""What the processes at the front door count; `receiver.metrics` shows the sum of all of them.

No label names a patient, a study or an object. The counters are the module's, because that is how
prometheus_client shares them: each process writes its own small files in the folder that
PROMETHEUS_MULTIPROC_DIR names, and without that variable they go nowhere.
"""

import shutil
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Final, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from schema.dicom import DimseStatus
from schema.settings import Settings

T = TypeVar("T")
COUNTS: Final = "metrics"
VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
ACCEPTED: Final = "accepted"
TLS_REFUSED: Final = "TLS refused"
DIMSE: Final = "C-STORE"
STOW: Final = "STOW-RS"
STORED: Final = DimseStatus.SUCCESS

MOST_CALLERS: Final = 50  # in one process
OTHERS: Final = "(others)"
_callers: set[tuple[str, str]] = set()
_peers: set[str] = set()  # of those whose titles are too many
_lock = threading.Lock()

ASSOCIATIONS: Final = Counter(
    "triage_associations", "Association requests by what became of them", ["outcome"]
)
OPEN_ASSOCIATIONS: Final = Gauge(
    "triage_associations_open", "Associations that are open now", multiprocess_mode="livesum"
)
REJECTIONS: Final = Counter(
    "triage_rejections", "Associations that were rejected", ["reason", "calling_ae", "peer"]
)
CONNECTIONS_REFUSED: Final = Counter(
    "triage_connections_refused", "Connections hung up on because the peer had too many"
)
OBJECTS: Final = Counter(
    "triage_objects",
    "Objects by how they came and the status they were answered",
    ["way", "status"],
)
# From zero: of a counter that begins above it, Prometheus sees no increase.
for _way in (DIMSE, STOW):
    OBJECTS.labels(_way, f"0x{DimseStatus.OUT_OF_RESOURCES:04X}")
OBJECT_BYTES: Final = Counter("triage_object_bytes", "Bytes of datasets that were stored")


def count_rejection(reason: str, calling_ae: str, peer: str) -> None:
    """Count an association that was rejected, by its calling AE title and its address."""
    with _lock:
        caller = _bounded(calling_ae, peer)
    REJECTIONS.labels(reason, *caller).inc()


def _bounded(calling_ae: str, peer: str) -> tuple[str, str]:
    """Name a caller; one may call itself something new each time, but not from a new address."""
    if _takes_in(_callers, (calling_ae, peer)):
        return calling_ae, peer
    return OTHERS, peer if _takes_in(_peers, peer) else OTHERS


def _takes_in(known: set[T], new: T) -> bool:
    if new not in known and len(known) >= MOST_CALLERS:
        return False
    known.add(new)
    return True


def count_object(way: str, status: int, size_bytes: int) -> None:
    """Count one object that was answered."""
    OBJECTS.labels(way, f"0x{status:04X}").inc()
    if status == STORED:
        OBJECT_BYTES.inc(size_bytes)


def counts_folder(settings: Settings) -> Path:
    """Say where the processes write what they count; on this host's own disk."""
    return settings.home.resolve() / COUNTS


def clear_counts(settings: Settings) -> None:
    """Begin at zero, as Prometheus expects of a program that starts."""
    shutil.rmtree(counts_folder(settings), ignore_errors=True)
    counts_folder(settings).mkdir(parents=True, exist_ok=True)


def counting_environment(settings: Settings) -> Mapping[str, str]:
    """Give what a process at the front door needs in its environment to count."""
    return {VARIABLE: str(counts_folder(settings))}


def forget_process(settings: Settings, process_id: int) -> None:
    """Take what a process that is gone had open out of the sum."""
    mark_process_dead(process_id, str(counts_folder(settings)))  # type: ignore[no-untyped-call]


def read_rejections(folder: Path) -> dict[tuple[str, str, str], int]:
    """Sum up what all processes rejected, by reason, calling AE title and peer."""
    collector = MultiProcessCollector(CollectorRegistry(), str(folder))  # type: ignore[no-untyped-call]
    return {
        (sample.labels["reason"], sample.labels["calling_ae"], sample.labels["peer"]): int(
            sample.value
        )
        for family in collector.collect()  # type: ignore[no-untyped-call]
        if family.name == "triage_rejections"
        for sample in family.samples
    }
