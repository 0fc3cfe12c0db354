"""What deliveries count in the worker's own process, where all of them run."""

from typing import Final

from prometheus_client import Histogram

SECONDS: Final = (1, 2, 5, 10, 30, 60, 300, 900, 3600, 14_400, 86_400)

DELIVERY_SECONDS: Final = Histogram(
    "triage_delivery_seconds",
    "From a result to its acceptance by a destination",
    ["destination"],
    buckets=SECONDS,
)
