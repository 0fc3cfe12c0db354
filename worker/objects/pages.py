"""Secondary Capture pages: a summary, and the worst slices with contours (PS3.3 A.8)."""

from pathlib import Path
from typing import Final

import highdicom as hd
import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from worker.objects.author import (
    Label,
    Source,
    WrittenObject,
    authorship,
    fingerprint,
    write_object,
)
from worker.objects.drawing import Place, draw_slice, draw_summary
from worker.objects.statement import Statement
from worker.slices import SourceSeries
from worker.uids import stable_uid

SUMMARY: Final = Label("SC", "SC summary", 9003, "AI summary page, research, not for diagnosis")
SLICES: Final = Label(
    "SC", "SC slices", 9004, "AI contours, research, not for diagnosis", audience="full"
)
WORST: Final = 4  # slices that are shown


def write_summary(source: Source, statement: Statement, folder: Path) -> WrittenObject:
    """Write the page of text."""
    uid = summary_uid(source, statement)

    def make() -> hd.base.SOPClass:
        return _capture(source, SUMMARY, draw_summary(statement), statement, uid, 1)

    return write_object(SUMMARY, source, uid, make, folder)


def summary_uid(source: Source, statement: Statement) -> str:
    """Give the SOP Instance UID of the page of text: what says the same has the same one."""
    return stable_uid(SUMMARY.series, *source.identity, fingerprint(statement))


def write_slices(
    series: SourceSeries, labels: npt.NDArray[np.uint8], statement: Statement, folder: Path
) -> tuple[WrittenObject, ...]:
    """Write a page for each of the slices with most blood, from below."""
    source = Source(series.headers)
    return tuple(
        _write_slice(series, source, labels, statement, folder, index, number)
        for number, index in enumerate(worst_slices(labels), start=1)
    )


def worst_slices(labels: npt.NDArray[np.uint8]) -> list[int]:
    """Give the indices of the slices with most blood, from below."""
    pixels = np.count_nonzero(labels, axis=(1, 2))
    worst = np.argsort(-pixels, kind="stable")[:WORST]
    return sorted(int(index) for index in worst if pixels[index])


def _write_slice(
    series: SourceSeries,
    source: Source,
    labels: npt.NDArray[np.uint8],
    statement: Statement,
    folder: Path,
    index: int,
    number: int,
) -> WrittenObject:
    drawn = labels[index].tobytes()
    place = Place(index + 1, len(labels), series.sides)
    said = fingerprint(statement, place)
    uid = stable_uid(SLICES.series, *source.identity, said, drawn, str(number))

    def make() -> hd.base.SOPClass:
        hu, spacing_mm = series.volume.hu[index], series.volume.spacing_mm
        picture = draw_slice(hu, labels[index], spacing_mm, statement, place)
        ds = _capture(source, SLICES, picture, statement, uid, number)
        ds.PatientOrientation = [series.sides["right"], series.sides["bottom"]]
        return ds

    return write_object(SLICES, source, uid, make, folder)


def _capture(
    source: Source,
    label: Label,
    picture: npt.NDArray[np.uint8],
    statement: Statement,
    uid: str,
    number: int,
) -> Dataset:
    given = authorship(label, source, statement.model_sha256, uid) | {"instance_number": number}
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
