"""What a release holds, as tables: by source, and by type."""

from collections.abc import Sequence

from trainer.datasets.people import people
from trainer.datasets.slices import Release, Slice, Source
from trainer.reports.document import Table
from worker.munet.card import CLASSES

FACTS = (
    *("patients", "scans", "slices", "with blood", *CLASSES),
    *("pixel, mm", "step, mm", "scanners", "licence", "to cite"),
)


def by_source(release: Release) -> Table:
    """Patients, scans, slices, types, spacing, scanners and licence of every source."""
    columns = [
        _column(source, [s for s in release.slices if s.source.name == source.name])
        for source in release.sources
    ]
    rows = tuple(zip(FACTS, *columns, strict=True))  # a row of so many cells would fit no terminal
    head = ("", *(source.name for source in release.sources))
    note = "Types: patients who have it. Slices and steps: after thin slices were averaged to 5 mm."
    return Table("Sources", head, rows, note)


def _column(source: Source, slices: Sequence[Slice]) -> tuple[str, ...]:
    with_type = (
        str(len(people({s.patient for s in slices if s.types[index]})))
        for index in range(len(CLASSES))
    )
    return (
        str(len(people({s.patient for s in slices}))),
        str(len({s.patient for s in slices})),
        str(len(slices)),
        str(sum(s.positive for s in slices)),
        *with_type,
        _range([spacing for s in slices for spacing in s.spacing_mm]),
        _range([s.interval_mm for s in slices]),
        "; ".join(source.scanners),
        source.licence,
        source.cite or "-",
    )


def _range(values: Sequence[float]) -> str:
    low, high = f"{min(values):.2f}", f"{max(values):.2f}"
    return low if low == high else f"{low} to {high}"


def summary(release: Release) -> Table:
    """Patients and slices by type."""
    rows = [_counted("all", release.slices)]
    bleeding = {s.patient for s in release.slices if s.positive}
    rows.append(_counted("healthy", [s for s in release.slices if s.patient not in bleeding]))
    for index, name in enumerate(CLASSES):
        rows.append(_counted(name, [s for s in release.slices if s.types[index]]))
    rows.append(_counted("several types", [s for s in release.slices if sum(s.types) > 1]))
    return Table("Types", ("", "patients", "slices"), tuple(rows))


def _counted(name: str, slices: Sequence[Slice]) -> tuple[str, str, str]:
    return name, str(len(people({s.patient for s in slices}))), str(len(slices))
