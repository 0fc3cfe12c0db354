"""The shared storage, as one host sees it."""

from collections.abc import Iterator
from pathlib import Path

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from schema.files import MEGABYTE
from schema.monitoring.life import Life
from schema.settings import Settings
from schema.space import MIN_FREE_INODES, Space, read_space
from schema.storage import why_away


def storage_missing(storage: Path) -> str | None:
    """Say what is wrong with the storage, or nothing."""
    why = why_away(storage)
    return None if why is None else f"storage {storage}: {why}"


class StorageCollector(Collector):
    """Whether it is there, and how full it is.

    By the last look of the part's life: a scrape waits for no storage that hangs.
    """

    def __init__(self, settings: Settings, life: Life) -> None:
        self._storage = settings.storage
        self._reserve_bytes = settings.min_free_mb * MEGABYTE
        self._life = life

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Give the gauges; before the first look nothing is known."""
        there = sees_storage(self._life)
        if there is None:
            return
        yield GaugeMetricFamily("triage_storage_up", "Whether the storage is there", float(there))
        if there:
            yield from self._measure()

    def _measure(self) -> Iterator[GaugeMetricFamily]:
        try:
            space = read_space(self._storage)
        except OSError:  # it went away since
            return
        yield GaugeMetricFamily("triage_storage_free_bytes", "Free space of it", space.free_bytes)
        yield GaugeMetricFamily("triage_storage_size_bytes", "Size of it", space.size_bytes)
        yield GaugeMetricFamily(
            "triage_storage_reserve_bytes",
            "Free space below which images are refused (TRIAGE_MIN_FREE_MB)",
            self._reserve_bytes,
        )
        if space.size_inodes:
            yield from _measure_inodes(space)


def _measure_inodes(space: Space) -> Iterator[GaugeMetricFamily]:
    for name, what, inodes in (
        ("free", "Inodes that are left, each for a file", space.free_inodes),
        ("size", "Inodes that it has", space.size_inodes),
        ("reserve", "Inodes below which images are refused", MIN_FREE_INODES),
    ):
        yield GaugeMetricFamily(f"triage_storage_{name}_inodes", what, inodes)


def sees_storage(life: Life) -> bool | None:
    """Say whether a part saw the storage when it looked last; None before its first look."""
    missing = life.missing
    return None if "start" in missing else missing.keys().isdisjoint(("storage", "look"))
