"""Series with oddities: what is mixed, doubled or missing in them."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from receiver.selection.images import Selection, select_images
from receiver.selection.rules import load_rules
from receiver.selection.stacks import Stack, _shows_all_of
from tests.support.phantoms import element
from tests.support.series import datasets, headers

RULES = load_rules()
HEAD = {"desc": "Head 5.0", "kernel": "H31s", "type": "ORIGINAL\\PRIMARY\\AXIAL", "part": "HEAD"}
UIDS = {"SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"}
KEYWORDS = sorted(
    {element.keyword for element in datasets(HEAD)[0]}
    | {"StudyDescription", "ProtocolName", "ContrastBolusAgent"} - UIDS
)


def selected(*parts: Sequence[Dataset]) -> Selection:
    objects = [ds for part in parts for ds in part]
    for number, ds in enumerate(objects):
        ds.SOPInstanceUID = f"1.2.3.{number + 1}"
    return select_images(headers(objects), RULES)


def test_a_localizer_among_the_slices_is_left_out() -> None:
    scout = datasets(
        HEAD | {"type": "ORIGINAL\\PRIMARY\\LOCALIZER", "plane": "sagittal", "count": 1}
    )
    selection = selected(scout, datasets(HEAD))
    assert selection.score is not None
    assert selection.left_out == {"1.2.3.1": "image type LOCALIZER"}


def test_an_unmarked_sagittal_image_among_the_slices_is_left_out() -> None:
    selection = selected(datasets(HEAD), datasets(HEAD | {"plane": "sagittal", "count": 2}))
    assert set(selection.left_out) == {"1.2.3.33", "1.2.3.34"}


def test_a_capture_among_the_slices_is_left_out() -> None:
    capture = datasets(HEAD | {"sop": "SecondaryCaptureImageStorage", "count": 1})
    assert list(selected(datasets(HEAD), capture).left_out) == ["1.2.3.33"]


def test_a_series_with_something_left_out_scores_less() -> None:
    whole = selected(datasets(HEAD))
    mixed = selected(datasets(HEAD), datasets(HEAD | {"plane": "sagittal", "count": 1}))
    assert whole.score is not None
    assert mixed.score == whole.score - 1


def test_of_two_kernels_in_one_series_the_soft_one_is_analysed() -> None:
    selection = selected(datasets(HEAD | {"kernel": "H70h"}), datasets(HEAD))
    assert set(selection.left_out) == {f"1.2.3.{number}" for number in range(1, 33)}
    assert set(selection.left_out.values()) == {"sharp kernel H70h"}


def test_of_two_time_points_the_first_is_analysed() -> None:
    late = datasets(HEAD | {"attributes": {"AcquisitionTime": "120500"}})
    early = datasets(HEAD | {"attributes": {"AcquisitionTime": "120000"}})
    selection = selected(late, early)
    assert set(selection.left_out) == {f"1.2.3.{number}" for number in range(1, 33)}


def test_without_times_the_acquisition_number_tells_two_time_points_apart() -> None:
    late = datasets(HEAD | {"attributes": {"AcquisitionNumber": 2}})
    early = datasets(HEAD | {"attributes": {"AcquisitionNumber": 1}})
    assert "1.2.3.1" in selected(late, early).left_out


def test_four_time_points_are_a_time_series() -> None:
    selection = selected(*[datasets(HEAD) for _ in range(4)])
    assert selection.score is None
    assert "4 images at most of its positions" in selection.reason


def test_of_plain_early_and_late_in_one_series_the_first_is_analysed() -> None:
    phases = [datasets(HEAD | {"attributes": {"AcquisitionNumber": one}}) for one in (3, 1, 2)]
    left_out = selected(*phases).left_out
    assert set(left_out) == {f"1.2.3.{number}" for number in (*range(1, 33), *range(65, 97))}


def test_doubled_slices_that_nothing_tells_apart_are_refused() -> None:
    for copies in (datasets(HEAD)[:1], datasets(HEAD)):
        selection = selected(datasets(HEAD), copies)
        assert selection.score is None
        assert "several images at one position" in selection.reason


def test_a_slice_that_was_scanned_again_is_left_out() -> None:
    again = datasets(HEAD | {"attributes": {"AcquisitionNumber": 2}})[:1]
    assert list(selected(datasets(HEAD), again).left_out) == ["1.2.3.33"]


def acquisition(number: int, count: int, from_mm: float = 0.0) -> Sequence[Dataset]:
    times = {"AcquisitionNumber": number, "AcquisitionTime": f"12{number:02d}00"}
    at = {"slice_position_mm": [from_mm + index * 5.0 for index in range(count)]}
    return datasets(HEAD | at | {"count": count, "attributes": times})


def test_a_head_that_was_scanned_again_after_motion_is_analysed_whole_and_not_spliced() -> None:
    selection = selected(acquisition(1, 11), acquisition(2, 29))
    assert set(selection.left_out) == {f"1.2.3.{number}" for number in range(1, 12)}


def jittering(objects: Sequence[Dataset]) -> Sequence[Dataset]:
    """Write each second slice's direction a little to this side, the others' to that."""
    for number, ds in enumerate(objects):
        ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0.0008 if number % 2 else -0.0008]
    return objects


def test_a_repeat_whose_own_slices_differ_by_more_than_each_from_the_whole_is_analysed() -> None:
    selection = selected(acquisition(1, 10), jittering(acquisition(2, 30)))
    assert selection.score is not None
    assert set(selection.left_out) == {f"1.2.3.{number}" for number in range(1, 11)}


def test_so_is_the_first_of_two_time_points() -> None:
    selection = selected(acquisition(2, 32), jittering(acquisition(1, 32)))
    assert set(selection.left_out) == {f"1.2.3.{number}" for number in range(1, 33)}


def test_an_acquisition_without_a_place_shows_nothing() -> None:
    stack = Stack(tuple(headers(acquisition(1, 30))))
    assert not _shows_all_of(stack, Stack(tuple(headers(jittering(acquisition(2, 30))))))


def test_of_a_head_and_two_later_phases_after_motion_the_first_whole_one_is_analysed() -> None:
    selection = selected(acquisition(1, 11), acquisition(2, 29), acquisition(3, 29))
    assert set(selection.left_out) == {
        f"1.2.3.{number}" for number in (*range(1, 12), *range(41, 70))
    }


def test_a_later_phase_that_is_a_slice_longer_takes_no_precedence() -> None:
    left_out = selected(acquisition(1, 32), acquisition(2, 33)).left_out
    assert set(left_out) == {f"1.2.3.{number}" for number in range(33, 65)}


def test_what_a_broken_off_scan_shows_beyond_its_repeat_is_analysed() -> None:
    selection = selected(acquisition(1, 16, -15.0), acquisition(2, 28))
    assert (selection.from_mm, selection.to_mm) == (-15.0, 135.0)


def test_base_and_vault_that_share_a_slice_are_one_head() -> None:
    selection = selected(acquisition(1, 4), acquisition(2, 28, 15.0))
    assert list(selection.left_out) == ["1.2.3.5"]


def test_a_whole_repeat_of_which_a_slice_came_twice_is_not_refused() -> None:
    twice = acquisition(2, 29)[:1]
    for ds in twice:
        ds.AcquisitionTime = "120300"
    assert selected(acquisition(1, 11), acquisition(2, 29), twice).score is not None


def test_of_a_scan_numbered_by_rotation_and_a_second_one_the_first_is_analysed() -> None:
    rotations = [ds for number in range(16) for ds in acquisition(number + 1, 2, number * 10.0)]
    selection = selected(rotations, acquisition(17, 32))
    assert set(selection.left_out) == {f"1.2.3.{number}" for number in range(33, 65)}


def test_a_scanner_that_numbers_each_rotation_gives_one_stack() -> None:
    rotations = datasets(HEAD)
    for number, ds in enumerate(rotations):
        ds.AcquisitionNumber = number // 4 + 1
    again = datasets(HEAD)[8:12]
    for ds in again:
        ds.AcquisitionNumber = 20
    selection = selected(rotations, again)
    assert set(selection.left_out) == {f"1.2.3.{number}" for number in range(33, 37)}


def test_contrast_in_half_of_a_series_leaves_that_half_out() -> None:
    enhanced = datasets(HEAD | {"agent": "Ultravist"})
    selection = selected(enhanced, datasets(HEAD))
    # A word refuses nothing by itself: the plain half ranks higher and is the one that is read.
    assert set(selection.left_out.values()) == {"at a position that is analysed already"}
    assert set(selection.left_out) == {ds.SOPInstanceUID for ds in enhanced}


def test_two_halves_at_two_angles_are_refused_since_half_the_head_would_go_unread() -> None:
    base = datasets(HEAD | {"slice_position_mm": [index * 5.0 for index in range(14)], "count": 14})
    vertex = datasets(
        HEAD
        | {
            "slice_position_mm": [80 + index * 5.0 for index in range(14)],
            "count": 14,
            "tilt": 15.0,
        }
    )
    selection = selected(base, vertex)
    assert selection.score is None
    assert "would go unread" in selection.reason


def test_an_odd_slice_within_the_stack_is_left_out() -> None:
    odd = datasets(HEAD | {"slice_position_mm": [52.5], "count": 1, "pixel_mm": 0.5})
    assert list(selected(datasets(HEAD), odd).left_out) == ["1.2.3.33"]


def test_one_odd_slice_in_thirty_may_lie_outside() -> None:
    odd = datasets(HEAD | {"slice_position_mm": [175.0], "count": 1, "pixel_mm": 0.5})
    assert selected(datasets(HEAD), odd).score is not None


def test_of_head_and_neck_in_one_series_the_slices_below_the_head_are_left_out() -> None:
    selection = selected(datasets(HEAD | {"count": 61}))  # 300 mm, rising: the first are the lowest
    assert set(selection.left_out) == {f"1.2.3.{number}" for number in range(1, 11)}


def test_one_slice_without_a_position_refuses_the_series_since_it_may_lie_anywhere() -> None:
    objects = datasets(HEAD)
    del objects[3].ImagePositionPatient
    selection = selected(objects)
    assert selection.score is None
    assert selection.reason == "1 of 32 images: no usable position or orientation"


def test_a_label_that_half_of_the_slices_lack_parts_no_stack() -> None:
    for keyword in ("ConvolutionKernel", "ImageType", "Modality"):
        objects = datasets(HEAD)
        for ds in objects[:16]:
            delattr(ds, keyword)
        selection = selected(objects)
        assert "soft kernel H31s" in selection.reason
        assert not selection.left_out


def test_a_bone_kernel_that_half_of_the_slices_do_not_name_is_refused() -> None:
    objects = datasets(HEAD | {"kernel": "H70h"})
    for ds in objects[:16]:
        del ds.ConvolutionKernel
    assert selected(objects).reason == "sharp kernel H70h"


def test_positions_that_are_no_numbers_are_refused_with_a_reason() -> None:
    objects = datasets(HEAD)
    for ds in objects:
        ds["ImagePositionPatient"] = element("ImagePositionPatient", ["nan", "0", "0"])
    assert "no usable position" in selected(objects).reason


def test_a_series_of_all_kinds_of_images_is_refused() -> None:
    objects = datasets(HEAD | {"count": 80})
    for number, ds in enumerate(objects):
        ds.PixelSpacing = [0.4 + number / 100, 0.4]
    assert selected(objects).reason == "64 kinds of images and more in one series"


@pytest.mark.parametrize("descending", [False, True])
def test_the_order_of_arrival_does_not_matter(descending: bool) -> None:
    objects = datasets(HEAD)
    ordered = sorted(objects, key=lambda ds: ds.InstanceNumber, reverse=descending)
    assert (
        select_images(headers(ordered), RULES).score == select_images(headers(objects), RULES).score
    )


@given(dropped=st.sets(st.sampled_from(KEYWORDS)), some=st.booleans())
def test_any_missing_attribute_leaves_a_score_or_a_reason(dropped: set[str], some: bool) -> None:
    objects = datasets(HEAD | {"count": 10, "step_mm": 10.0})
    for ds in objects[:4] if some else objects:
        for keyword in dropped - UIDS:
            if keyword in ds:
                delattr(ds, keyword)
    selection = selected(objects)
    assert selection.reason
    assert selection.score is None or selection.score > 0


@given(
    keyword=st.sampled_from([keyword for keyword in KEYWORDS if keyword not in UIDS]),
    value=st.sampled_from([b"\xff\xfe", b"", b"\\\\\\", b"1e400", b"nan\\nan\\nan", b"\x00" * 7]),
)
def test_any_garbled_attribute_leaves_a_score_or_a_reason(keyword: str, value: bytes) -> None:
    objects = datasets(HEAD | {"count": 10, "step_mm": 10.0})
    for ds in objects[:2]:
        if keyword in ds:
            ds[keyword]._value = value
    assert select_images(headers(objects), RULES).reason
