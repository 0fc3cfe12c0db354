"""What the processes at the front door count; `receiver.metrics` shows the sum of all of them.

No label names a patient, a study or an object. The counters are the module's, because that is how
prometheus_client shares them: each process writes its own small files in the folder that
PROMETHEUS_MULTIPROC_DIR names, and without that variable they go nowhere.
"""

from typing import Final

from prometheus_client import Counter, Gauge

ACCEPTED: Final = "accepted"
TLS_REFUSED: Final = "TLS refused"
DIMSE: Final = "C-STORE"
STOW: Final = "STOW-RS"
STORED: Final = 0x0000

ASSOCIATIONS: Final = Counter(
    "triage_associations", "Association requests by what became of them", ["outcome"]
)
OPEN_ASSOCIATIONS: Final = Gauge(
    "triage_associations_open", "Associations that are open now", multiprocess_mode="livesum"
)
CONNECTIONS_REFUSED: Final = Counter(
    "triage_connections_refused", "Connections hung up on because the peer had too many"
)
OBJECTS: Final = Counter(
    "triage_objects",
    "Objects by how they came and the status they were answered",
    ["way", "status"],
)
OBJECT_BYTES: Final = Counter("triage_object_bytes", "Bytes of datasets that were stored")


def count_object(way: str, status: int, size_bytes: int) -> None:
    """Count one object that was answered."""
    OBJECTS.labels(way, f"0x{status:04X}").inc()
    if status == STORED:
        OBJECT_BYTES.inc(size_bytes)
