"""Enhanced CT: one multi-frame object whose geometry and rescale sit in functional groups."""

from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless

from schema.errors import GeometryError, PixelError, UnsuitableSeriesError
from tests.support.phantoms import (
    BLOOD_HU,
    FEW_MM,
    SPHERE_ML,
    THIN_THEN_THICK_MM,
    Phantom,
    element,
    recoded,
    write,
)
from worker.slices import read_series


@pytest.mark.parametrize("tilt_degrees", [0, 20])
@pytest.mark.parametrize("reverse", [False, True], ids=["upwards", "downwards"])
def test_a_sphere_has_its_volume_within_two_percent(
    tilt_degrees: float, reverse: bool, tmp_path: Path
) -> None:
    phantom = Phantom(THIN_THEN_THICK_MM, tilt_degrees=tilt_degrees, reversed=reverse)
    volume = read_series(phantom.write_enhanced(tmp_path)).volume
    assert volume.volume_ml(volume.hu > BLOOD_HU / 2) == pytest.approx(SPHERE_ML, rel=0.02)


def test_it_holds_what_the_single_frames_hold(tmp_path: Path) -> None:
    phantom = Phantom(FEW_MM, rescale=lambda index: (1.0, -1000.0 - index))
    single = read_series(phantom.write(tmp_path / "single")).volume
    multi = read_series(phantom.write_enhanced(tmp_path / "multi")).volume
    assert np.array_equal(single.hu, multi.hu)
    assert np.array_equal(single.slice_position_mm, multi.slice_position_mm)


def test_frame_numbers_follow_the_order_of_the_volume(tmp_path: Path) -> None:
    source = read_series(Phantom(FEW_MM, reversed=True).write_enhanced(tmp_path))
    assert source.is_multi_frame
    assert source.volume.frame_numbers == (4, 3, 2, 1)


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless, RLELossless])
def test_compressed_frames_are_the_same(syntax: str, tmp_path: Path) -> None:
    phantom = Phantom(FEW_MM)
    plain = read_series(phantom.write_enhanced(tmp_path / "plain")).volume
    (path,) = phantom.write_enhanced(tmp_path / "packed")
    assert np.array_equal(read_series([recoded(path, syntax)]).volume.hu, plain.hu)


def refused(ds: Dataset, folder: Path) -> str:
    with pytest.raises(UnsuitableSeriesError) as caught:
        read_series(write([ds], folder))
    return str(caught.value)


def test_a_missing_functional_group_is_refused(tmp_path: Path) -> None:
    ds = Phantom(FEW_MM).enhanced
    del ds.PerFrameFunctionalGroupsSequence[2].PlanePositionSequence
    assert "frame 3: has no PlanePositionSequence" in refused(ds, tmp_path)


def test_fewer_functional_groups_than_frames_are_refused(tmp_path: Path) -> None:
    ds = Phantom(FEW_MM).enhanced
    del ds.PerFrameFunctionalGroupsSequence[3]
    assert "frame 4: its functional groups cannot be read" in refused(ds, tmp_path)


def test_a_frame_with_a_position_that_is_not_finite_is_refused(tmp_path: Path) -> None:
    ds = Phantom(FEW_MM).enhanced
    position = ds.PerFrameFunctionalGroupsSequence[1].PlanePositionSequence[0]
    position["ImagePositionPatient"] = element("ImagePositionPatient", ["0", "0", "nan"])
    assert "frame 2: ImagePositionPatient" in refused(ds, tmp_path)


def test_frames_at_one_position_are_refused(tmp_path: Path) -> None:
    ds = Phantom([0.0, 5.0, 5.0]).enhanced
    with pytest.raises(GeometryError, match=r"frame 2 and .* frame 3 lie at the same position"):
        read_series(write([ds], tmp_path))


def test_a_frame_that_is_a_multi_energy_map_is_refused(tmp_path: Path) -> None:
    ds = Phantom(FEW_MM).enhanced
    kind = ds.SharedFunctionalGroupsSequence[0].CTImageFrameTypeSequence[0]
    kind.FrameType = ["DERIVED", "PRIMARY", "AXIAL", "EFF_ATOMIC_NUM"]
    assert "EFF_ATOMIC_NUM is a multi-energy map" in refused(ds, tmp_path)


def test_more_frames_than_pixels_are_refused(tmp_path: Path) -> None:
    ds = Phantom(FEW_MM).enhanced
    ds.PixelData = ds.PixelData[:-8192]
    with pytest.raises(PixelError, match="4 frames of 64 x 64 need 32768"):
        read_series(write([ds], tmp_path))


def test_two_multi_frame_objects_are_refused(tmp_path: Path) -> None:
    first, second = Phantom(FEW_MM).enhanced, Phantom([20.0, 25.0]).enhanced
    second.SOPInstanceUID = second.file_meta.MediaStorageSOPInstanceUID = "1.2.3.1.2"
    with pytest.raises(UnsuitableSeriesError, match="one of 2 multi-frame objects"):
        read_series(write([first, second], tmp_path))
