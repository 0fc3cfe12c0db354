"""Scanners that round the cosines of each slice anew, and what is written for them."""

from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from schema.errors import GeometryError
from tests.support.phantoms import FEW_MM, Phantom, ge_series, item, write
from tests.support.statements import REPORTED
from worker.objects.segmentation import Algorithm, write_segmentation
from worker.slices import SourceSeries, read_series

CORNER_MM = 0.5  # far below a pixel of 2.5 mm


def jittered(phantom: Phantom, jitter: float, digits: int) -> list[Dataset]:
    """Turn each slice about the row's direction by +-jitter and round its cosines."""
    datasets = phantom.datasets
    for index, ds in enumerate(datasets):
        angle = np.radians(phantom.tilt_degrees) + jitter * (-1) ** index
        cosines = (1, 0, 0, 0, np.cos(angle), np.sin(angle))
        ds.ImageOrientationPatient = [round(float(value), digits) for value in cosines]
    return datasets


def corners_mm(ds: Dataset, size: int) -> np.ndarray:
    """Where first and last pixel of a slice lie, (2, 3)."""
    position = np.array(ds.ImagePositionPatient, float)
    row, column = np.array(ds.ImageOrientationPatient, float).reshape(2, 3)
    across = (size - 1) * np.array(ds.PixelSpacing, float)
    return np.stack([position, position + across[1] * row + across[0] * column])


def masks_off_mm(source: SourceSeries, folder: Path) -> float:
    """Write a mask on every slice; the largest distance of its corners from the slice's own."""
    labels = (source.volume.hu > 30).astype(np.uint8)
    written = write_segmentation(
        source, labels, Algorithm("threshold", "ab" * 32, REPORTED), folder
    )
    assert written is not None
    seg = dcmread(written.path)
    shared = seg.SharedFunctionalGroupsSequence[0]
    headers = {header.SOPInstanceUID: header for header in source.headers}
    size, off = source.volume.hu.shape[1], []
    for group in seg.PerFrameFunctionalGroupsSequence:
        image = group.DerivationImageSequence[0].SourceImageSequence[0]
        frame = item(
            ImagePositionPatient=group.PlanePositionSequence[0].ImagePositionPatient,
            ImageOrientationPatient=shared.PlaneOrientationSequence[0].ImageOrientationPatient,
            PixelSpacing=shared.PixelMeasuresSequence[0].PixelSpacing,
        )
        own = headers[image.ReferencedSOPInstanceUID]
        off.append(np.linalg.norm(corners_mm(frame, size) - corners_mm(own, size), axis=1).max())
    return float(max(off))


@pytest.mark.parametrize("tilt_degrees", [0, 18.5])
@pytest.mark.parametrize(
    ("digits", "jitter"),
    [
        (9, 1e-9),
        (9, 1e-6),
        (8, 1e-8),
        (7, 1e-7),
        (6, 1e-6),
        (5, 1e-5),
        (4, 1e-4),
        (4, 4e-4),
        (4, 8e-4),
    ],
)
def test_cosines_that_differ_by_a_rounding_are_segmented_where_they_lie(
    tilt_degrees: float, digits: int, jitter: float, tmp_path: Path
) -> None:
    phantom = Phantom(FEW_MM, tilt_degrees=tilt_degrees)
    source = read_series(write(jittered(phantom, jitter, digits), tmp_path))
    assert masks_off_mm(source, tmp_path / "out") < CORNER_MM


def test_the_headers_keep_the_orientation_that_was_received(tmp_path: Path) -> None:
    source = read_series(write(jittered(Phantom(FEW_MM), 1e-4, 4), tmp_path))
    before = [list(header.ImageOrientationPatient) for header in source.headers]
    masks_off_mm(source, tmp_path / "out")
    assert [list(header.ImageOrientationPatient) for header in source.headers] == before
    assert before[0] != before[1]


def test_a_real_tilted_series_with_a_jitter_is_segmented(tmp_path: Path) -> None:
    datasets = [dcmread(path) for path in ge_series()]
    for index, ds in enumerate(datasets):
        ds.ImageOrientationPatient = [
            round(float(value) + 1e-6 * (index % 3 - 1), 9) for value in ds.ImageOrientationPatient
        ]
    assert masks_off_mm(read_series(write(datasets, tmp_path)), tmp_path / "out") < 0.01


def test_beyond_the_tolerance_the_reason_names_the_orientation(tmp_path: Path) -> None:
    paths = write(jittered(Phantom(FEW_MM), 2e-3, 6), tmp_path)
    with pytest.raises(GeometryError, match="differ in orientation"):
        read_series(paths)


def test_a_multi_frame_object_with_an_orientation_in_each_frame_is_segmented(
    tmp_path: Path,
) -> None:
    ds = Phantom(FEW_MM).enhanced
    shared = ds.SharedFunctionalGroupsSequence[0]
    for index, group in enumerate(ds.PerFrameFunctionalGroupsSequence):
        group.PixelMeasuresSequence = shared.PixelMeasuresSequence
        cosines = (1, 0, 0, 0, 1, round(1e-5 * (index % 2), 6))
        group.PlaneOrientationSequence = [item(ImageOrientationPatient=list(cosines))]
    del shared.PlaneOrientationSequence, shared.PixelMeasuresSequence
    source = read_series(write([ds], tmp_path))
    labels = (source.volume.hu > 30).astype(np.uint8)
    written = write_segmentation(
        source, labels, Algorithm("threshold", "ab" * 32, REPORTED), tmp_path
    )
    assert written is not None
    assert len(dcmread(written.path).PerFrameFunctionalGroupsSequence) == labels.any((1, 2)).sum()
