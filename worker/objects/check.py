"""Read an object back from disk and hold it against its source before it may leave."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
from pydicom import dcmread
from pydicom.dataset import Dataset

from schema.errors import PermanentError
from schema.hemorrhage_subtypes import SUBTYPES
from worker.findings import Finding
from worker.objects.author import Source, WrittenObject
from worker.objects.report import PROBABILITY, VOLUME
from worker.objects.statement import Statement
from worker.slices import SourceSeries
from worker.unvalidated import unvalidated
from worker.volume import Volume

# Patient and General Study Module (PS3.3 C.7.1.1, C.7.2.1): what joins an object to its patient.
IDENTITY: Final = (
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "IssuerOfPatientIDQualifiersSequence",
    "PatientBirthDate",
    "PatientSex",
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
)
TOLERANCE_ML: Final = 1e-3  # a report holds decimal strings
IMAGING_MEASUREMENTS: Final = "126010"
MEASUREMENT_GROUP: Final = "125007"
FINDING: Final = "121071"


class ObjectRefusedError(PermanentError):
    """An object that was written says something else than its source; it is not delivered."""


def read_back(written: WrittenObject) -> Dataset:
    """Read an object from disk.

    Raises
    ------
    ObjectRefusedError
        It has another UID than was written.
    """
    with unvalidated():
        ds = dcmread(written.path)
    if ds.get("SOPInstanceUID") != written.sop_instance_uid:
        raise ObjectRefusedError(f"{written.kind}: has another SOP Instance UID than was written")
    return ds


def check_identity(ds: Dataset, source: Source) -> None:
    """Refuse an object of another patient or study.

    Raises
    ------
    ObjectRefusedError
        The message names the attribute, never its value.
    """
    header = source.headers[0]
    for keyword in IDENTITY:
        if str(ds.get(keyword, "") or "") != str(header.get(keyword, "") or ""):
            raise ObjectRefusedError(f"{ds.Modality}: {keyword} is not that of the source")


def check_segmentation(
    ds: Dataset, series: SourceSeries, labels: npt.NDArray[np.uint8], findings: Sequence[Finding]
) -> None:
    """Refuse masks that lie elsewhere or measure another volume than was stored.

    Raises
    ------
    ObjectRefusedError
        The message says which segment.
    """
    masks = masks_by_slice(ds, series.volume)
    stored = {finding.subtype: finding.volume_ml for finding in findings}
    for subtype in SUBTYPES:
        mask = masks[subtype.segment_number]
        if not np.array_equal(mask, labels == subtype.segment_number):
            raise ObjectRefusedError(f"SEG: {subtype.key} does not lie on its source frames")
        if abs(series.volume.volume_ml(mask) - stored[subtype.key]) > TOLERANCE_ML:
            raise ObjectRefusedError(f"SEG: {subtype.key} has another volume than was stored")


def masks_by_slice(ds: Dataset, volume: Volume) -> Mapping[int, npt.NDArray[np.bool_]]:
    """Put the frames of a Segmentation back on the slices that they name, by segment number."""
    sources = zip(volume.sop_instance_uids, volume.frame_numbers, strict=True)
    place = {key: index for index, key in enumerate(sources)}
    masks = {subtype.segment_number: np.zeros(volume.hu.shape, np.bool_) for subtype in SUBTYPES}
    frames = ds.pixel_array.reshape(-1, *volume.hu.shape[1:])
    for group, pixels in zip(ds.PerFrameFunctionalGroupsSequence, frames, strict=True):
        image = group.DerivationImageSequence[0].SourceImageSequence[0]
        key = (str(image.ReferencedSOPInstanceUID), int(image.get("ReferencedFrameNumber", 1)))
        if key not in place:
            raise ObjectRefusedError("SEG: a frame refers to an image that is not of its source")
        for number, mask in _masks_of(ds, group, pixels).items():
            masks[number][place[key]] = mask
    return masks


def _masks_of(
    ds: Dataset, group: Dataset, pixels: npt.NDArray[np.integer]
) -> dict[int, npt.NDArray[np.bool_]]:
    """Split a frame by segment: a binary one has one, a label map's pixels are segment numbers."""
    if ds.SegmentationType == "LABELMAP":
        return {int(number): pixels == number for number in np.unique(pixels) if number}
    number = int(group.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
    return {number: pixels > 0}


def check_report(ds: Dataset, statement: Statement) -> None:
    """Refuse a report whose numbers are not those of the findings.

    Raises
    ------
    ObjectRefusedError
        The message names the finding.
    """
    told = {finding.subtype: finding for _, finding in statement.told_apart}
    expected = {s.finding.value: told[s.key] for s in SUBTYPES if s.key in told}
    seen = 0
    for code, probability, volume_ml in numbers_of(ds):
        finding = expected.get(code) or statement.any
        if finding is None or abs(probability - finding.probability) > TOLERANCE_ML:
            raise ObjectRefusedError(f"SR: the probability of {code} is not the one stored")
        # Of what is no finding, perhaps for being a speck, the report gives no volume.
        if abs(volume_ml - (finding.volume_ml if finding.present else 0.0)) > TOLERANCE_ML:
            raise ObjectRefusedError(f"SR: the volume of {code} is not the one stored")
        seen += 1
    if seen != len(expected) + (statement.any is not None):
        raise ObjectRefusedError(f"SR: {seen} findings where {len(expected)} types were measured")


def numbers_of(ds: Dataset) -> Iterator[tuple[str, float, float]]:
    """Yield finding code, probability and volume in mL of each measurement group (TID 1411, 1501).

    Read item by item, so that what wrote the report is not what checks it.
    """
    measurements = [
        group
        for container in _items(ds, IMAGING_MEASUREMENTS)
        for group in _items(container, MEASUREMENT_GROUP)
    ]
    for group in measurements:
        values = {
            str(item.ConceptNameCodeSequence[0].CodeValue): float(
                item.MeasuredValueSequence[0].NumericValue
            )
            for item in group.ContentSequence
            if item.ValueType == "NUM"
        }
        if values:
            (finding,) = _items(group, FINDING)
            code = str(finding.ConceptCodeSequence[0].CodeValue)
            yield code, values[PROBABILITY.value], values.get(VOLUME.value, 0.0)


def _items(ds: Dataset, name: str) -> Iterator[Dataset]:
    """Yield the content items with this concept name (a code of scheme DCM)."""
    for item in ds.get("ContentSequence", ()):
        if item.ConceptNameCodeSequence[0].CodeValue == name:
            yield item


def check_references(ds: Dataset, expected: set[str]) -> None:
    """Refuse key images that are not the slices with a mask.

    Raises
    ------
    ObjectRefusedError
        They are others.
    """
    found = {
        str(item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID)
        for item in ds.ContentSequence
        if item.ValueType == "IMAGE"
    }
    if found != expected:
        raise ObjectRefusedError("KO: selects other images than those with a mask")
