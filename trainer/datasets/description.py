"""`dataset.toml`: the small file that says what a folder of volumes is."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from trainer.datasets.slices import DataError, Source
from worker.munet.card import CLASSES
from worker.munet.strictly import read_values

FILE = "dataset.toml"


@dataclass(frozen=True)
class Description:
    """What a folder of volumes is, and on what terms.

    Attributes
    ----------
    images
        Which files are scans, as a pattern below the folder.
    labels
        Where a scan's label map is; `{name}` is the scan's file name without its ending.
    patient
        Regular expression with a group `patient` that finds the patient in that name.
    types
        The label or labels of each type in the label maps.
    ignore
        Labels that are no blood.
    without_labels
        What a scan without a label map is.
    automatic
        Whether DICOM segments that nobody corrected count as truth.
    """

    name: str
    licence: str = "not stated"
    cite: str = ""
    scanner: str = "not stated"
    images: str = "images/*.nii.gz"
    labels: str = "labels/{name}.nii.gz"
    patient: str = "^(?P<patient>.+)$"
    types: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    ignore: tuple[int, ...] = ()
    without_labels: Literal["left out", "healthy"] = "left out"
    automatic: bool = False

    @property
    def source(self) -> Source:
        """What slices carry of it."""
        return Source(self.name, self.licence, self.cite, (self.scanner,))

    @property
    def kinds(self) -> dict[int, int]:
        """Return the type of each label: 0 none, 1 ... 5 in the order of CLASSES."""
        found = {
            label: CLASSES.index(name) + 1 for name, own in self.types.items() for label in own
        }
        return {0: 0, **dict.fromkeys(self.ignore, 0), **found}


BHSD = Description(
    name="BHSD",
    licence="MIT by its card",
    cite="Wu et al., doi:10.1007/978-3-031-45673-2_15; the scans are of RSNA 2019",
    scanner="several, not named in the files",
    labels="ground truths/{name}.nii.gz",
    patient="^(?P<patient>ID_[0-9a-f]+)_ID_[0-9a-f]+$",  # the second is the study
    types={"EDH": (1,), "IPH": (2,), "IVH": (3,), "SAH": (4,), "SDH": (5,)},
)


def describe(folder: Path) -> Description:
    """Read a folder's description.

    Raises
    ------
    DataError
        It can't be read, or holds a name or a value that nothing uses.
    """
    path = folder / FILE
    try:
        values = tomllib.loads(path.read_text("utf-8"))
        return read_values(Description, {**values, "types": _types(values.get("types", {}))})
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"{path}: {error}; docs/training.md has an example") from error


def _types(given: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Read `EDH = 1` and `EDH = [1, 7]` alike."""
    unknown = sorted(set(given) - set(CLASSES))
    if unknown:
        raise ValueError(f"types {unknown} are not among {list(CLASSES)}")
    found = {name: tuple(own if isinstance(own, list) else [own]) for name, own in given.items()}
    every = [label for own in found.values() for label in own]
    if len(set(every)) < len(every):
        raise ValueError("a label stands for two types")
    return found
