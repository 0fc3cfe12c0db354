"""What a release of head CTs holds, whichever source and layout it came from."""

import csv
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from worker.munet.card import CLASSES

T = TypeVar("T")
U = TypeVar("U")
PUBLISHED_SPACING_MM = 0.33
SLICE_INTERVAL_MM = 5.0
COLUMNS = {
    "EDH": "Epidural",
    "IPH": "Intraparenchymal",
    "IVH": "Intraventricular",
    "SAH": "Subarachnoid",
    "SDH": "Subdural",
}


class DataError(ValueError):
    """The folder is no data set that is known, or a file that is needed can't be read."""


def each(things: Iterable[T], read: Callable[[T], U]) -> list[U]:
    """Read one after the other, and tell at once what is wrong with all of them.

    Raises
    ------
    DataError
        What was raised for any of them, a line each.
    """
    found, wrong = [], []
    for thing in things:
        try:
            found.append(read(thing))
        except DataError as error:
            wrong.append(str(error))
    if wrong:
        raise DataError("\n".join(wrong))
    return found


@dataclass(frozen=True)
class Source:
    """Where slices come from, and on what terms."""

    name: str
    licence: str
    cite: str = ""
    scanners: tuple[str, ...] = ("not stated",)


CT_ICH = Source(
    "CT-ICH",
    "CC BY 4.0",
    "Hssayeni et al., doi:10.13026/w8q8-ky94",
    ("one of one hospital",),
)


class Volume(Protocol):
    """A scan as it is stored, plane by plane from the lowest up, with a type for each voxel."""

    @property
    def files(self) -> tuple[Path, ...]:
        """All files that it is read from."""

    @property
    def naming(self) -> tuple[tuple[int, int], ...]:
        """Which label is which type; nothing where the files say so themselves."""

    def hu(self, plane: int) -> npt.NDArray[np.float32]:
        """HU of a plane, (row, column)."""

    def kinds(self, plane: int) -> npt.NDArray[np.uint8]:
        """Type of each pixel of a plane, (row, column): 0 none, 1 ... 5 in the order of CLASSES."""


@dataclass(frozen=True)
class Slab:
    """The planes of a volume that one slice is the mean of."""

    volume: Volume
    planes: tuple[int, ...]
    weights: tuple[float, ...]  # add up to 1; below 0 where planes were interpolated
    plane_position_mm: tuple[float, ...]  # of all planes of the volume, rising


def kinds_of(mask: npt.NDArray[np.bool_], types: Sequence[bool]) -> npt.NDArray[np.uint8] | None:
    """Give the blood of a slice its one type, (row, column); None where it has several."""
    present = np.flatnonzero(types)
    if len(present) > 1:
        return None
    return np.asarray(mask * (present[0] + 1 if len(present) else 0), np.uint8)


@dataclass(frozen=True)
class Slice:
    """One slice with its types and its files."""

    patient: int
    number: int  # the table's; in 1.0.0 slice 1 is the lowest
    types: tuple[bool, ...]  # in the order of CLASSES
    brain: Path  # or the volume, in 1.3.1's layout
    bone: Path | None
    mask: Path | None
    plane: int | None = None  # in the volumes that `brain` and `mask` are in 1.3.1's layout
    z_mm: float | None = None
    spacing_mm: tuple[float, float] = (PUBLISHED_SPACING_MM, PUBLISHED_SPACING_MM)
    interval_mm: float = SLICE_INTERVAL_MM
    source: Source = CT_ICH
    slab: Slab | None = None  # where types are known by voxel

    @property
    def files(self) -> tuple[Path | None, ...]:
        """All files that it is read from."""
        return self.slab.volume.files if self.slab else (self.brain, self.bone, self.mask)

    @property
    def slice_position_mm(self) -> float:
        """Position along the normal, rising to the head; 1.0.0 has 5 mm between slices."""
        return (self.number - 1) * SLICE_INTERVAL_MM if self.z_mm is None else self.z_mm

    @property
    def ml_per_pixel(self) -> float:
        """Volume of one pixel."""
        return self.spacing_mm[0] * self.spacing_mm[1] * self.interval_mm / 1000

    @property
    def positive(self) -> bool:
        """Whether it holds any hemorrhage."""
        return any(self.types)


@dataclass(frozen=True)
class Release:
    """All slices by patient and number, and every file that is missing or contradicts the table."""

    slices: tuple[Slice, ...]
    problems: tuple[str, ...]

    @property
    def sources(self) -> tuple[Source, ...]:
        """Where its slices come from, by name; each with all scanners that made them."""
        found: dict[str, Source] = {}
        for source in {ct_slice.source for ct_slice in self.slices}:
            known = found.setdefault(source.name, source)
            scanners = tuple(sorted({*known.scanners, *source.scanners}))
            found[source.name] = replace(known, scanners=scanners)
        return tuple(found[name] for name in sorted(found))

    @property
    def patients(self) -> tuple[int, ...]:
        """Patient numbers, rising."""
        return tuple(sorted({s.patient for s in self.slices}))

    def require(self, patients: Collection[int]) -> None:
        """Refuse to go on without any of these.

        Raises
        ------
        DataError
            One is not here.
        """
        if absent := sorted(set(patients) - set(self.patients)):
            raise DataError(
                f"patients {absent} are not in these data; give every --data that was trained on"
            )

    def without(self, patients: Collection[int]) -> "Release":
        """Return the release as if these had never been in it."""
        return replace(self, slices=tuple(s for s in self.slices if s.patient not in patients))

    def of(self, patient: int) -> tuple[Slice, ...]:
        """One patient's slices from the lowest up."""
        return tuple(s for s in self.slices if s.patient == patient)


def types_of(row: Mapping[str, str]) -> tuple[bool, ...]:
    """Types that a row of the label table names, in the order of CLASSES."""
    return tuple(row[COLUMNS[name]].strip() == "1" for name in CLASSES)


def rows_of(table: Path) -> list[dict[str, str]]:
    """Read the label table.

    Raises
    ------
    DataError
        It is not there, lacks a column, or has a row that names no slice.
    """
    try:
        with table.open(encoding="utf-8-sig", newline="") as lines:
            rows = list(csv.DictReader(lines))
    except OSError as error:
        raise DataError(f"{table}: {error.strerror}; --data must be a CT-ICH folder") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{table}: is no UTF-8; save the table as UTF-8") from error
    wanted = {"PatientNumber", "SliceNumber", "No_Hemorrhage", *COLUMNS.values()}
    missing = sorted(wanted - set(rows[0] if rows else ()))
    if missing:
        raise DataError(f"{table}: has no rows, or not the columns {missing}")
    for number, row in enumerate(rows, 1):
        if any(row[column] is None for column in wanted) or not all(map(str.isdecimal, _key(row))):
            raise DataError(
                f"{table}, row {number} below its head: {_key(row)} are no numbers of a patient and"
                " a slice, or columns are missing; correct the row, or delete it"
            )
    return rows


def _key(row: Mapping[str, str | None]) -> tuple[str, str]:
    return (row["PatientNumber"] or "").strip(), (row["SliceNumber"] or "").strip()
