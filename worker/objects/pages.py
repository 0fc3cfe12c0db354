"""Secondary Capture pages: a summary, and the worst slices with contours (PS3.3 A.8)."""

from datetime import datetime
from pathlib import Path
from typing import Final

import highdicom as hd
import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code as SRCode

from worker.header import number
from worker.objects.author import (
    Label,
    Source,
    WrittenObject,
    authorship,
    fingerprint,
    write_object,
)
from worker.objects.drawing import Origin, Place, draw_slice, draw_summary
from worker.objects.revision import FIRST, Revision
from worker.objects.statement import Statement
from worker.slices import SourceSeries
from worker.uids import stable_uid

SUMMARY: Final = Label("SC", "SC summary", 9003, "AI summary page, research, not for diagnosis")
SLICES: Final = Label(
    "SC", "SC slices", 9004, "AI contours, research, not for diagnosis", audience="full"
)
SOURCE_IMAGE: Final = SRCode("121322", "DCM", "Source image for image processing operation")
WORST: Final = 4  # slices that are shown


def write_summary(
    source: Source, statement: Statement, folder: Path, revision: Revision = FIRST
) -> WrittenObject:
    """Write the page of text."""
    uid = summary_uid(source, statement, revision.number)
    label = SUMMARY.numbered(revision.number)

    def make() -> hd.base.SOPClass:
        # Nothing was analysed, so the images are of any series of the study.
        series = number(source.headers[0], "SeriesNumber") if statement.is_analysed else None
        picture = draw_summary(statement, Origin(series, revision, now()))
        return _capture(source, label, picture, statement, uid)

    return write_object(label, source, uid, make, folder)


def summary_uid(source: Source, statement: Statement, revision: int) -> str:
    """Give the UID of the page of text: what says the same in one revision has the same one."""
    said = fingerprint(statement)
    return stable_uid(SUMMARY.series, *source.identity, said, str(revision))


def write_slices(
    series: SourceSeries,
    labels: npt.NDArray[np.uint8],
    statement: Statement,
    folder: Path,
    revision: Revision = FIRST,
) -> tuple[WrittenObject, ...]:
    """Write a page for each of the slices with most blood, from below."""
    before = WORST * (revision.number - 1)
    return tuple(
        _write_slice(series, labels, statement, folder, revision, index, before + page)
        for page, index in enumerate(worst_slices(labels), start=1)
    )


def worst_slices(labels: npt.NDArray[np.uint8]) -> list[int]:
    """Give the indices of the slices with most blood, from below."""
    pixels = np.count_nonzero(labels, axis=(1, 2))
    worst = np.argsort(-pixels, kind="stable")[:WORST]
    return sorted(int(index) for index in worst if pixels[index])


def _write_slice(
    series: SourceSeries,
    labels: npt.NDArray[np.uint8],
    statement: Statement,
    folder: Path,
    revision: Revision,
    index: int,
    instance: int,
) -> WrittenObject:
    source, label = Source(series.headers), SLICES.numbered(instance)
    place = Place(index + 1, len(labels), series.sides, _called(series, index))
    said, drawn = fingerprint(statement, place), labels[index].tobytes()
    uid = stable_uid(SLICES.series, *source.identity, said, drawn, str(instance))

    def make() -> hd.base.SOPClass:
        hu, spacing_mm = series.volume.hu[index], series.volume.spacing_mm
        origin = Origin(number(series.headers[0], "SeriesNumber"), revision, now())
        picture = draw_slice(hu, labels[index], spacing_mm, statement, place, origin)
        ds = _capture(source, label, picture, statement, uid)
        ds.PatientOrientation = [series.sides["right"], series.sides["bottom"]]
        ds.SourceImageSequence = [_reference(series, index)]
        return ds

    return write_object(label, source, uid, make, folder)


def now() -> datetime:
    """Read the clock of this host, as Content Date and Time do."""
    return datetime.now().astimezone()


def _called(series: SourceSeries, index: int) -> str:
    """Say what readers find a slice by in its source."""
    if series.is_multi_frame:
        return f"frame {series.volume.frame_numbers[index]}"
    instance = number(series.headers[index], "InstanceNumber")
    return "" if instance is None else f"Im {instance}"


def _reference(series: SourceSeries, index: int) -> Dataset:
    """Refer to the image of a slice (PS3.3 C.12.4, the General Reference Module)."""
    image = Dataset()
    image.ReferencedSOPClassUID = series.headers[0].SOPClassUID  # the same in all
    image.ReferencedSOPInstanceUID = series.volume.sop_instance_uids[index]
    if series.is_multi_frame:
        image.ReferencedFrameNumber = series.volume.frame_numbers[index]
    image.PurposeOfReferenceCodeSequence = [hd.sr.CodedConcept.from_code(SOURCE_IMAGE)]
    return image


def _capture(
    source: Source,
    label: Label,
    picture: npt.NDArray[np.uint8],
    statement: Statement,
    uid: str,
) -> hd.base.SOPClass:
    given = authorship(label, source, statement.model_sha256, uid)
    model_name = given.pop("manufacturer_model_name")
    software, serial = given.pop("software_versions"), given.pop("device_serial_number")
    description = given.pop("series_description")
    ds = hd.sc.SCImage.from_ref_dataset(
        ref_dataset=source.lent[0],
        pixel_array=picture,
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=("L", "P"),
        **given,
    )
    ds.PatientOrientation = []  # type 2C: a page of text has none
    ds.ManufacturerModelName, ds.SoftwareVersions = model_name, software
    ds.DeviceSerialNumber, ds.SeriesDescription = serial, description
    ds.ImageType = ["DERIVED", "SECONDARY", "OTHER"]
    ds.BurnedInAnnotation = "NO"  # nothing that names a patient (PS3.3 C.7.6.1.1.1)
    ds.BodyPartExamined = "HEAD"  # unpaired, so that no Laterality is asked for
    return ds
