"""NIfTI volumes with label maps: BHSD as it is published, or any folder with `dataset.toml`."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from trainer.datasets import description
from trainer.datasets.description import BHSD, Description
from trainer.datasets.nifti import UNREADABLE, Grid, grid, opened, says_where
from trainer.datasets.slices import DataError, each
from trainer.datasets.volumes import Scan, kind_table, pattern

BHSD_FOLDERS = ("images", "ground truths")
UNSAID = "its header does not say how it lies (sform_code, qform_code); it is taken for LAS"
ROUNDING = 0.01  # of labels that were scaled and stored as floats


@dataclass(frozen=True)
class NiftiVolume:
    """A scan and its label map; without one nothing in it bleeds."""

    scan: Path
    labels: Path | None
    naming: tuple[tuple[int, int], ...]  # label and type

    @property
    def files(self) -> tuple[Path, ...]:
        """All files that it is read from."""
        return (self.scan, self.labels) if self.labels else (self.scan,)

    def hu(self, plane: int) -> npt.NDArray[np.float32]:
        """HU of a plane, (row, column)."""
        return frame(self.scan, plane)

    def kinds(self, plane: int) -> npt.NDArray[np.uint8]:
        """Type of each pixel of a plane, (row, column).

        Raises
        ------
        DataError
            The label map has a label that nobody named, or what is no label.
        """
        if self.labels is None:
            return np.zeros(self.hu(plane).shape, np.uint8)
        stored = frame(self.labels, plane)
        if not (np.abs(stored - np.rint(stored)) <= ROUNDING).all():
            raise DataError(
                f"{self.labels}: has values between labels, as a map has that was interpolated;"
                " resample it to the nearest label"
            )
        labels = np.rint(stored).astype(np.int64)
        table = kind_table(dict(self.naming), int(labels.max()))
        if labels.min() < 0 or (table[labels] < 0).any():
            unknown = sorted(set(np.unique(labels).tolist()) - {label for label, _ in self.naming})
            raise DataError(
                f"{self.labels}: has the labels {unknown}, which are not named; add them to [types]"
                f" or to ignore in {description.FILE}"
            )
        return table[labels].astype(np.uint8)


def frame(path: Path, plane: int) -> npt.NDArray[np.float32]:
    """Read a plane as a radiologist sees it, counted from the lowest."""
    geometry = grid(path)
    stored = plane if geometry.upward else geometry.shape[2] - 1 - plane
    return geometry.frame(_whole(path)[:, :, stored])


@lru_cache(maxsize=2)  # a scan and its label map: compressed files give no plane alone
def _whole(path: Path) -> npt.NDArray[np.float32]:
    try:
        return np.asarray(opened(path).dataobj, np.float32)
    except UNREADABLE as error:
        raise DataError(f"{path}: is cut short or damaged; copy the file again") from error


def bhsd_folder(data: Path) -> Path | None:
    """Return where BHSD's volumes are: the folder, or the `label_192` in it."""
    for folder in (data, data / "label_192"):
        if all((folder / name).is_dir() for name in BHSD_FOLDERS):
            return folder
    return None


def read_bhsd(folder: Path) -> tuple[list[Scan], list[str]]:
    """Index BHSD, the public part of MBH-Seg, as its archive unpacks."""
    return read_folder(folder, BHSD)


def read_folder(folder: Path, described: Description) -> tuple[list[Scan], list[str]]:
    """Index a folder of volumes; only headers are read.

    Returns
    -------
    scans, problems
        What was left out, and why.

    Raises
    ------
    DataError
        No scan is here, or volumes can't be read; all of them are named.
    """
    if not described.types:
        raise DataError(f"{folder / description.FILE}: [types] names no label, as EDH = 1")
    try:
        paths = sorted(folder.glob(described.images))
    except (NotImplementedError, ValueError) as error:
        raise DataError(
            f"{folder / description.FILE}: images = {described.images!r} is no pattern below its"
            " folder; write one, as images/*.nii.gz"
        ) from error
    found = each(paths, lambda path: _scan(folder, path, described))
    scans = [scan for scan in found if isinstance(scan, Scan)]
    problems = [problem for problem in found if isinstance(problem, str)]
    if not scans:
        none = (
            f"{folder}: none of {len(paths)} files named {described.images} has a label map"
            f" {described.labels} on its own grid; is the archive unpacked whole?"
        )
        raise DataError("\n".join((none, *problems)))
    files = (path for scan in scans for path in scan.volume.files)
    problems += [f"{path}: {UNSAID}" for path in files if not says_where(path)]
    return scans, problems


def _scan(folder: Path, path: Path, described: Description) -> Scan | str:
    """Read one scan's header, or say why it is left out."""
    name = path.name.removesuffix(".gz").removesuffix(".nii")
    who = pattern(described.patient).search(name)
    if who is None:
        return f"{path}: its name does not tell the patient ({described.patient}), left out"
    labels: Path | None = folder / described.labels.replace("{name}", name)
    if labels is not None and not labels.exists():
        if described.without_labels == "left out":
            return f"{labels}: missing, its scan is left out"
        labels = None
    geometry = grid(path)
    if labels and not grid(labels).alike(geometry):
        return (
            f"{labels}: has another grid than its scan ({_words(grid(labels))}, the scan"
            f" {_words(geometry)}; corners {grid(labels).off_mm(geometry):.1f} mm apart), both left"
            " out; resample the label map to the scan"
        )
    return Scan(
        described.source,
        who["patient"],
        name,
        NiftiVolume(path, labels, _pairs(described.kinds)),
        tuple(np.arange(geometry.shape[2]) * geometry.interval_mm),
        geometry.spacing_mm,
    )


def _words(geometry: Grid) -> str:
    steps = (*geometry.spacing_mm, geometry.interval_mm)
    return f"{' x '.join(map(str, geometry.frames))} of {' x '.join(f'{s:.3f}' for s in steps)} mm"


def _pairs(kinds: Mapping[int, int]) -> tuple[tuple[int, int], ...]:
    return tuple(sorted(kinds.items()))
