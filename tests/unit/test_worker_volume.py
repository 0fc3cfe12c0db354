"""Geometry: what a stack is, how high a slice is, how much a mask holds."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.errors import GeometryError
from worker.volume import Volume, find_gaps, slice_heights_mm


def stack(slice_position_mm: list[float], **changes: object) -> Volume:
    fields: dict[str, object] = {
        "hu": np.zeros((len(slice_position_mm), 4, 4), np.float32),
        "slice_position_mm": np.array(slice_position_mm, np.float64),
        "spacing_mm": (0.5, 0.5),
    }
    return Volume(**(fields | changes))  # type: ignore[arg-type]


def test_a_slice_is_as_high_as_half_the_steps_around_it() -> None:
    heights = slice_heights_mm(np.array([0, 2.5, 5, 10, 15.0]))
    assert heights == pytest.approx([2.5, 2.5, 3.75, 5, 5])


def test_a_change_from_thin_to_thick_slices_is_no_gap() -> None:
    positions = np.array([*np.arange(0, 30, 2.5), *np.arange(30, 80, 5.0)])
    assert find_gaps(positions) == ()


def test_a_missing_slice_is_flagged() -> None:
    (gap,) = find_gaps(np.array([0, 5, 10, 20, 25, 30.0]))
    assert str(gap) == "10.0 mm after slice 3 where 5.0 mm is usual"


def test_a_gap_is_not_filled_beyond_one_and_a_half_steps() -> None:
    heights = slice_heights_mm(np.array([0, 5, 10, 40, 45, 50.0]))
    assert heights == pytest.approx([5, 5, 6.25, 6.25, 5, 5])


def test_a_mask_is_counted_in_voxels_of_their_own_height() -> None:
    volume = stack([0, 2.5, 5, 10, 15])
    mask = np.zeros(volume.hu.shape, bool)
    mask[2, 0, :2] = True
    assert volume.volume_ml(mask) == pytest.approx(2 * 0.25 * 3.75 / 1000)


def test_a_volume_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="read-only"):
        stack([0, 5]).hu[0, 0, 0] = 1


@pytest.mark.parametrize(
    ("slice_position_mm", "message"),
    [
        ([0.0], "two or more"),
        ([0, float("nan"), 2], "slice 2: its position is not finite"),
        ([0, 1, 1, 2], "slice 2 and slice 3 lie at the same position"),
        ([0, 2, 1], "slice 3 lies below slice 2"),
        ([0, 5000], "more than a patient table"),
    ],
)
def test_positions_that_are_no_stack_are_refused(
    slice_position_mm: list[float], message: str
) -> None:
    with pytest.raises(GeometryError, match=message):
        stack(slice_position_mm)


@pytest.mark.parametrize("spacing_mm", [(0, 0.5), (0.5, float("nan")), (-1, 1), (11, 11)])
def test_an_impossible_pixel_spacing_is_refused(spacing_mm: tuple[float, float]) -> None:
    with pytest.raises(GeometryError, match="pixel spacing"):
        stack([0, 5], spacing_mm=spacing_mm)


def test_hounsfield_units_that_are_not_finite_are_refused() -> None:
    hu = np.zeros((2, 4, 4), np.float32)
    hu[1, 2, 3] = np.nan
    with pytest.raises(GeometryError, match="slice 2: has values that are not finite"):
        stack([0, 5], hu=hu)


def test_slices_and_positions_must_agree() -> None:
    with pytest.raises(GeometryError, match="2 slices"):
        stack([0, 5, 10], hu=np.zeros((2, 4, 4), np.float32))


def test_slices_and_their_sources_must_agree() -> None:
    with pytest.raises(GeometryError, match="source instances"):
        stack([0, 5], sop_instance_uids=("1.2",), frame_numbers=(1,))


steps = st.lists(st.floats(0.5, 10), min_size=1, max_size=40)


@given(steps)
def test_heights_never_exceed_the_distance_that_was_scanned(steps_mm: list[float]) -> None:
    positions = np.cumsum([0, *steps_mm])
    scanned = positions[-1] + (steps_mm[0] + steps_mm[-1]) / 2
    assert 0 < slice_heights_mm(positions).sum() <= scanned + 1e-9


@given(steps)
def test_heights_are_the_same_from_either_end(steps_mm: list[float]) -> None:
    upwards = slice_heights_mm(np.cumsum([0, *steps_mm]))
    downwards = slice_heights_mm(np.cumsum([0, *steps_mm[::-1]]))
    assert upwards == pytest.approx(downwards[::-1])


def test_the_trainer_can_use_a_volume_without_dicom() -> None:
    code = "import sys, worker.volume; print(sorted({'pydicom', 'highdicom'} & sys.modules.keys()))"
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert answer.stdout == "[]\n"
